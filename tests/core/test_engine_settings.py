from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attrition.core.config_parsing import load_config
from attrition.core.engine_settings import SparkSettings, parse_engine
from attrition.core.errors import ConfigError
from tests.conftest import Project


def test_without_the_setting_the_stages_work_on_this_machine(project: Project) -> None:
    assert project.config.engine is None
    project.configure(engine="local")
    assert project.config.engine is None


def test_a_master_alone_is_enough(project: Project) -> None:
    project.configure(engine={"spark": "spark://host:7077"})
    assert project.config.engine == SparkSettings("spark://host:7077")


@pytest.mark.parametrize(
    "master",
    [
        "local",
        "local[2]",
        "local[*]",
        "local-cluster[2,1,1024]",
        "spark://a:1,b:2",
        "yarn",
        "k8s://https://host:443",
    ],
)
def test_every_kind_of_master_is_known(master: str) -> None:
    found = parse_engine({"spark": master}, Path("/p"))
    assert found is not None
    assert found.master == master


def test_data_may_lie_anywhere_and_a_plain_path_starts_at_the_settings_file() -> None:
    def data(address: str) -> str | None:
        found = parse_engine({"spark": "local", "data": address}, Path("/project"))
        assert found is not None
        return found.data

    assert data("hdfs://name/clients") == "hdfs://name/clients"
    assert data("s3a://bucket/clients") == "s3a://bucket/clients"
    assert data("shared/my clients") == "file:///project/shared/my clients"


def test_further_settings_of_spark_are_taken_as_they_are() -> None:
    raw = {
        "spark": "local",
        "memory": "4g",
        "python": "/venv/python",
        "patience_seconds": 200,
        "conf": {"spark.b": "2", "spark.a": "1"},
    }
    conf = (("spark.a", "1"), ("spark.b", "2"))
    expected = SparkSettings("local", None, "4g", "/venv/python", conf, 200.0)
    assert parse_engine(raw, Path("/p")) == expected


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("spark", '"local", or an object'),
        (None, '"local", or an object'),
        ({}, '"local", or an object'),
        ({"spark": "host:7077"}, 'a master under "spark"'),
        ({"spark": 7077}, 'a master under "spark"'),
        ({"spark": "local", "memmory": "1g"}, "not memmory"),
        ({"spark": "local", "memory": "lots"}, 'under "memory"'),
        ({"spark": "local", "memory": 4}, 'under "memory"'),
        ({"spark": "local", "data": ""}, 'under "data"'),
        ({"spark": "local", "python": ["x"]}, 'under "python"'),
        ({"spark": "yarn", "patience_seconds": "60"}, 'under "patience_seconds"'),
        ({"spark": "yarn", "patience_seconds": True}, 'under "patience_seconds"'),
        ({"spark": "yarn", "patience_seconds": 0}, 'under "patience_seconds"'),
        ({"spark": "local", "conf": {"cores": "2"}}, 'under "conf"'),
        ({"spark": "local", "conf": {"spark.cores": 2}}, 'under "conf"'),
    ],
)
def test_a_mistake_is_told_with_what_was_expected(project: Project, engine: Any, said: str) -> None:
    project.configure(engine=engine)
    with pytest.raises(ConfigError) as caught:
        load_config(project.config_path)
    assert "engine: expected" in str(caught.value)
    assert said in str(caught.value)
