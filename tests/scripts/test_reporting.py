"""The confusion matrix: right numbers in the picture, before and after, nothing stale."""

from __future__ import annotations

from pathlib import Path

import pytest

import reporting
from attrition.core import atomic_files, releases
from attrition.core.config import Config
from attrition.core.releases import Release
from attrition.report.drawing import Drawing
from tests.conftest import FORMS, Project
from tests.support.context import context_of
from tests.support.releases import deploy, labelled_rows, quiet_month_card


@pytest.fixture
def served(project: Project) -> Project:
    project.write("testdata/testdata.csv", labelled_rows(stayed=(10, 60), left=(22, 8)))
    deploy(project)
    return project


def told(config: Config, outgoing: Release | None = None) -> list[Path]:
    """The matrices that stand in the folder after a run's report."""
    context, drawing = context_of(config), Drawing()
    matrices = reporting.run(context, drawing, outgoing)
    reporting.tell(context, drawing, None, decision=None, diagnosed={}, listed="no list")
    return matrices


def is_picture(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") and path.stat().st_size < 300_000


def test_the_script_draws_the_deployed_model(served: Project) -> None:
    served.configure(reports=FORMS)
    result = served.run("reporting.py")
    path = served.root / "models/confusionmatrix.png"
    assert is_picture(path)
    names = ("confusionmatrix.png", "report.html", "report.pdf")
    first, *paths = result.stdout.splitlines()
    assert first == "There is no list of clients to call: there are no clients."
    assert paths == [f"models/{name}" for name in names]
    assert not (served.root / "models/confusionmatrix2.png").exists()


def test_why_there_is_no_list_is_recorded_for_page_and_api(served: Project) -> None:
    kept = {"verdict": "kept", "ranking": {"clients": 7}, "no_ranking": None}
    atomic_files.write_json(served.config.decision, kept)
    served.run("reporting.py")
    record = atomic_files.read_json(served.config.decision)
    assert record == {"verdict": "kept", "ranking": None, "no_ranking": "there are no clients"}


def test_drawing_twice_gives_the_same_bytes(served: Project) -> None:
    path = served.root / "models/confusionmatrix.png"
    served.run("reporting.py")
    first = path.read_bytes()
    served.run("reporting.py")
    assert path.read_bytes() == first


def test_after_a_replacement_both_models_are_drawn_and_later_only_the_live_one(
    served: Project,
) -> None:
    config = served.config
    first, second = config.confusion_matrix, config.output_model_path / reporting.SECOND
    assert told(config) == [first]
    old_picture = first.read_bytes()
    outgoing = releases.live_release(config.prod_deployment_path)
    deploy(served, intercept=5.0)
    assert told(config, outgoing) == [first, second]
    assert first.read_bytes() == old_picture
    assert is_picture(second)
    assert second.read_bytes() != old_picture
    assert told(config) == [first]
    assert first.read_bytes() != old_picture
    assert not second.exists()


def test_without_a_deployed_model_the_candidate_is_drawn(project: Project) -> None:
    project.write("testdata/testdata.csv", labelled_rows(stayed=(10, 60), left=(22, 8)))
    atomic_files.write_json(project.root / "models/scorecard.json", quiet_month_card().to_json())
    project.run("reporting.py")
    assert is_picture(project.root / "models/confusionmatrix.png")


def test_without_any_model_the_message_says_what_to_do(project: Project) -> None:
    result = project.run("reporting.py", check=False)
    assert result.returncode == 1
    assert "fullprocess.py" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("model", ["deployed", "candidate"])
def test_too_few_test_rows_leave_no_old_picture_standing_and_are_said(
    served: Project, model: str
) -> None:
    served.run("reporting.py")
    served.write("testdata/testdata.csv", labelled_rows(stayed=(3, 3), left=(3, 0)))
    if model == "candidate":
        (served.root / "production_deployment/current").unlink()
        atomic_files.write_json(served.root / "models/scorecard.json", quiet_month_card().to_json())
    result = served.run("reporting.py", check=False)
    assert result.returncode == 1
    assert "too few labelled rows: 9" in result.stderr
    assert not (served.root / "models/confusionmatrix.png").exists()


def test_rejected_test_data_are_said(served: Project) -> None:
    served.write("testdata/testdata.csv", "not,the,columns\n1,2,3\n")
    result = served.run("reporting.py", check=False)
    assert result.returncode == 1
    assert "testdata.csv: missing columns" in result.stderr


def test_other_columns_in_the_settings_are_said(served: Project) -> None:
    served.configure(numeric_columns=["lastmonth_activity"])
    result = served.run("reporting.py", check=False)
    assert result.returncode == 1
    assert "lastyear_activity" in result.stderr


def test_in_the_pipeline_a_picture_that_cannot_be_drawn_stops_nothing(project: Project) -> None:
    assert told(project.config) == []


def test_a_report_is_written_in_the_forms_that_are_asked_for_and_no_other_is_kept(
    served: Project,
) -> None:
    models = served.root / "models"

    def written(*forms: str) -> set[str]:
        served.configure(reports=list(forms))
        served.run("reporting.py")
        return {path.name for path in models.glob("report.*")}

    assert written("pdf", "html") == {"report.html", "report.pdf"}
    assert written("html") == {"report.html"}
    assert written("pdf") == {"report.pdf"}
    assert written() == set()
