"""What stands between a script and Spark is told in one line, in bounded time, nothing written."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Project, book
from tests.support.ingested import outputs
from tests.support.spark import NEEDS_SPARK, engine


def ingest(project: Project, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        project.command("ingestion.py"),
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def refused(project: Project, result: subprocess.CompletedProcess[str]) -> str:
    """The one line a script ends with when Spark is not to be had; nothing is half written."""
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert not project.config.ledger.exists()
    assert {path.name for path in project.config.output_folder_path.iterdir()} <= {
        "ingestedfiles.txt",
        ".lock",
    }
    return line


@pytest.fixture
def waiting(project: Project) -> Project:
    """A project with something to ingest."""
    project.write("sourcedata/a.csv", book(60, 1))
    project.configure(engine=engine("local[2]"))
    return project


@pytest.mark.parametrize("missing", ["pyspark", "pyarrow"])
def test_an_engine_that_is_not_installed(waiting: Project, tmp_path: Path, missing: str) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(f"import sys; sys.modules[{missing!r}] = None\n")
    line = refused(waiting, ingest(waiting, PYTHONPATH=str(hidden)))
    assert "pip install -r requirements-spark.txt" in line
    assert (REPOSITORY / "requirements-spark.txt").read_text().count(missing)


@pytest.mark.slow
@NEEDS_SPARK
def test_no_java(waiting: Project, tmp_path: Path) -> None:
    line = refused(waiting, ingest(waiting, PATH=str(tmp_path), JAVA_HOME=""))
    assert "Spark needs Java 17 or newer" in line
    line = refused(waiting, ingest(waiting, JAVA_HOME="/nowhere"))
    assert "/nowhere/bin/java" in line


@pytest.mark.slow
@NEEDS_SPARK
def test_a_java_that_does_not_start(waiting: Project, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'Unrecognized VM option' >&2\nexit 1\n")
    java.chmod(0o755)
    line = refused(waiting, ingest(waiting, JAVA_HOME=str(tmp_path)))
    assert line.endswith("it needs Java 17 or newer): Unrecognized VM option")


@pytest.mark.slow
@NEEDS_SPARK
def test_a_master_that_needs_more_than_an_address(
    waiting: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what Java says at its end the reason counts, not the trace behind it."""
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    waiting.configure(engine=engine("yarn"))
    line = refused(waiting, ingest(waiting))
    assert "must be set in the environment" in line


@pytest.mark.slow
@NEEDS_SPARK
def test_a_master_whose_door_is_shut(waiting: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    waiting.configure(engine=engine(f"spark://127.0.0.1:{port}"))
    line = refused(waiting, ingest(waiting))
    assert f"no answer from the Spark master spark://127.0.0.1:{port}" in line
    assert "Connection refused" in line


@pytest.mark.slow
@NEEDS_SPARK
def test_a_master_that_no_host_can_be_called(waiting: Project) -> None:
    waiting.configure(engine=engine("spark://my..host:7077"))
    assert "my..host:7077: not a host name" in refused(waiting, ingest(waiting))


@pytest.mark.slow
@NEEDS_SPARK
def test_rows_are_not_given_up_for_a_master_that_does_not_answer(waiting: Project) -> None:
    """Who names a wrong master has the rows of this machine still, and goes on with them."""
    waiting.configure()
    waiting.run("ingestion.py")
    before = outputs(waiting) | {"ledger.json": waiting.config.ledger.read_bytes()}
    assert "finaldata.csv" in before
    waiting.configure(engine=engine("spark://nowhere.invalid:7077"))
    assert "no answer from the Spark master" in ingest(waiting).stderr
    assert outputs(waiting) | {"ledger.json": waiting.config.ledger.read_bytes()} == before
    waiting.configure()
    assert "nothing new" in waiting.run("ingestion.py").stdout


@pytest.mark.slow
@NEEDS_SPARK
def test_a_master_that_opens_and_says_nothing(waiting: Project) -> None:
    """As one of another version does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"spark://127.0.0.1:{server.getsockname()[1]}"
        waiting.configure(engine=engine(address, patience_seconds=4))
        start = time.monotonic()
        line = refused(waiting, ingest(waiting))
    assert "accepts no application (not within 4 seconds)" in line
    assert "pip install pyspark==VERSION" in line
    assert time.monotonic() - start < 120
