"""scoring.py: one number and all metrics, honest where there is nothing to score."""

from __future__ import annotations

from pathlib import Path

from attrition.core import atomic_files
from tests.conftest import HEADER, Project, book


def test_scoring_twice_gives_the_same_bytes(finished_copy: Project) -> None:
    def outputs() -> list[bytes]:
        models = finished_copy.root / "models"
        return [(models / name).read_bytes() for name in ("scores.json", "latestscore.txt")]

    before = outputs()
    shown = finished_copy.run("scoring.py").stdout
    assert outputs() == before
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("95 % interval") == 2


def test_all_metrics_and_counts_are_recorded(finished: Path) -> None:
    scores = atomic_files.read_json(finished / "models/scores.json")
    for name in ("f1", "roc_auc", "average_precision", "log_loss", "brier_score", "base_rate"):
        assert 0 < scores[name] < 1
    low, high = scores["f1_interval"]
    assert low < scores["f1"] < high
    low, high = scores["roc_auc_interval"]
    assert low < scores["roc_auc"] < high
    assert sum(scores["confusion"].values()) == scores["rows"]
    assert scores["test_files"] == ["testdata.csv"]


def test_the_deployed_model_is_scored_without_writing(finished_copy: Project) -> None:
    (finished_copy.root / "models/scores.json").unlink()
    shown = finished_copy.run("scoring.py", "--deployed").stdout
    assert "000001-" in shown
    assert "F1" in shown
    assert not (finished_copy.root / "models/scores.json").exists()


def test_an_undefined_score_is_said_and_not_shown_as_zero(finished_copy: Project) -> None:
    finished_copy.write("testdata/testdata.csv", f"{HEADER}\na,1,1,1,1\nb,2,2,2,0\n")
    crossed = atomic_files.read_json(finished_copy.root / "models/training.json")["cross_validated"]
    for arguments in ((), ("--deployed",)):
        shown = finished_copy.run("scoring.py", *arguments).stdout
        assert "too few labelled rows: 2" in shown
        assert f"cross-validated F1 {crossed['f1']:.3f}   (on {crossed['rows']:,} training" in shown
    assert (finished_copy.root / "models/latestscore.txt").read_text() == "undefined\n"
    assert atomic_files.read_json(finished_copy.root / "models/scores.json")["f1"] is None


def test_bad_test_rows_are_left_out_and_counted(finished_copy: Project) -> None:
    text = book(300, 3, open_share=0.1) + "x,1e309,1,1,1\ny,1,1,1,perhaps\n"
    finished_copy.write("testdata/testdata.csv", text)
    result = finished_copy.run("scoring.py")
    scores = atomic_files.read_json(finished_copy.root / "models/scores.json")
    assert scores["test_rows_rejected"] == 2
    assert scores["test_rows_without_label"] > 10
    assert "2 rows cannot be used" in result.stderr


def test_without_a_model_it_says_what_to_run(project: Project) -> None:
    result = project.run("scoring.py", check=False)
    assert result.returncode == 1
    assert "training.py" in result.stderr
    assert "fullprocess.py" in project.run("scoring.py", "--deployed", check=False).stderr
