"""deployment.py: whole releases only, a list a person can read, and rolling back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attrition import files
from tests.conftest import Project, book


def live(project: Project) -> str | None:
    return files.live_release_id(project.root / "production_deployment")


def retrain(project: Project, seed: int) -> None:
    """Another candidate in models/, of some rows more."""
    project.write(f"sourcedata/{seed}.csv", book(200, seed))
    project.run("ingestion.py")
    project.run("training.py")
    project.run("scoring.py")


def test_deploying_twice_changes_nothing(finished_copy: Project) -> None:
    before = live(finished_copy)
    for _ in range(2):
        assert "was live already" in finished_copy.run("deployment.py").stdout
    assert live(finished_copy) == before
    releases = finished_copy.root / "production_deployment/releases"
    assert len(list(releases.iterdir())) == 1


def test_another_candidate_becomes_a_release_of_its_own(finished_copy: Project) -> None:
    before = live(finished_copy)
    retrain(finished_copy, 7)
    assert "is live now" in finished_copy.run("deployment.py").stdout
    assert live(finished_copy) != before
    listed = finished_copy.run("deployment.py", "--list").stdout.splitlines()
    assert max(map(len, listed)) <= 80
    assert listed[1].startswith(f"* {live(finished_copy)}")
    assert listed[2].startswith(f"  {before}")


def test_rollback_goes_one_back_or_where_one_says(finished_copy: Project) -> None:
    first = live(finished_copy)
    retrain(finished_copy, 7)
    finished_copy.run("deployment.py")
    second = live(finished_copy)
    finished_copy.run("deployment.py", "--rollback")
    assert live(finished_copy) == first
    finished_copy.run("deployment.py", "--rollback", "2")
    assert live(finished_copy) == second
    finished_copy.run("deployment.py", "--rollback", str(first))
    assert live(finished_copy) == first


def test_a_rollback_that_cannot_be_done_names_the_releases(finished_copy: Project) -> None:
    before = live(finished_copy)
    for arguments in (["--rollback"], ["--rollback", "77"], ["--rollback", "../x"]):
        result = finished_copy.run("deployment.py", *arguments, check=False)
        assert result.returncode == 1
        assert str(before) in result.stderr
    assert live(finished_copy) == before


def test_a_damaged_release_is_listed_as_such_and_not_rolled_back_to(finished_copy: Project) -> None:
    first = live(finished_copy)
    retrain(finished_copy, 7)
    finished_copy.run("deployment.py")
    pickle = finished_copy.root / f"production_deployment/releases/{first}/trainedmodel.pkl"
    pickle.write_bytes(pickle.read_bytes()[:-1])
    assert "damaged" in finished_copy.run("deployment.py", "--list").stdout
    result = finished_copy.run("deployment.py", "--rollback", check=False)
    assert result.returncode == 1
    assert "damaged" in result.stderr
    assert live(finished_copy) != first


@pytest.mark.parametrize("name", ["trainedmodel.pkl", "scorecard.json", "scores.json"])
def test_a_candidate_whose_files_do_not_belong_together_is_refused(
    finished_copy: Project, name: str
) -> None:
    """As a training that was killed half-way, or never scored, leaves it."""
    old = (finished_copy.root / "models" / name).read_bytes()
    retrain(finished_copy, 7)
    (finished_copy.root / "models" / name).write_bytes(old)
    before = live(finished_copy)
    result = finished_copy.run("deployment.py", check=False)
    assert result.returncode == 1
    assert ".py" in result.stderr
    assert live(finished_copy) == before


def test_a_missing_candidate_says_what_to_run(project: Project) -> None:
    result = project.run("deployment.py", check=False)
    assert result.returncode == 1
    assert "run training.py" in result.stderr
    assert "no release yet" in project.run("deployment.py", "--list").stdout


def test_the_manifest_tells_versions_training_and_score(finished: Path) -> None:
    manifest = json.loads((finished / "production_deployment/manifest.json").read_text())
    assert manifest["f1_score"] == float((finished / "models/latestscore.txt").read_text())
    assert manifest["training"]["rows"] > 2000
    assert {"python", "numpy", "scikit-learn"} <= manifest["training"]["versions"].keys()


def test_only_the_newest_releases_are_kept(finished_copy: Project) -> None:
    for seed in (7, 8, 9):
        retrain(finished_copy, seed)
        finished_copy.configure(releases_to_keep=2)
        finished_copy.run("deployment.py")
    releases = finished_copy.root / "production_deployment/releases"
    assert [path.name[:6] for path in sorted(releases.iterdir())] == ["000003", "000004"]
