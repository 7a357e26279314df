"""deployment.py: whole releases only, a list a person can read, and rolling back."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest

from app import create_app
from attrition.ranking import lookup_db
from tests.conftest import Project, book
from tests.support.answers import problem
from tests.support.releases import live_id


def retrain(project: Project, seed: int) -> None:
    """Another candidate in models/, of some rows more."""
    project.write(f"sourcedata/{seed}.csv", book(200, seed))
    project.run("ingestion.py")
    project.run("training.py")
    project.run("scoring.py")


def test_deploying_twice_changes_nothing(finished_copy: Project) -> None:
    before = live_id(finished_copy)
    for _ in range(2):
        assert "was live already" in finished_copy.run("deployment.py").stdout
    assert live_id(finished_copy) == before
    releases = finished_copy.root / "production_deployment/releases"
    assert len(list(releases.iterdir())) == 1


def test_another_candidate_becomes_a_release_of_its_own(finished_copy: Project) -> None:
    before = live_id(finished_copy)
    retrain(finished_copy, 7)
    assert "is live now" in finished_copy.run("deployment.py").stdout
    assert live_id(finished_copy) != before
    listed = finished_copy.run("deployment.py", "--list").stdout.splitlines()
    assert max(map(len, listed)) <= 80
    assert listed[1].startswith(f"* {live_id(finished_copy)}")
    assert listed[2].startswith(f"  {before}")


def test_rollback_goes_one_back_or_where_one_says(finished_copy: Project) -> None:
    first = live_id(finished_copy)
    retrain(finished_copy, 7)
    finished_copy.run("deployment.py")
    second = live_id(finished_copy)
    finished_copy.run("deployment.py", "--rollback")
    assert live_id(finished_copy) == first
    finished_copy.run("deployment.py", "--rollback", "2")
    assert live_id(finished_copy) == second
    finished_copy.run("deployment.py", "--rollback", str(first))
    assert live_id(finished_copy) == first


def test_the_select_of_the_live_model_says_what_the_pipeline_says(finished_copy: Project) -> None:
    config = finished_copy.config
    table = str(finished_copy.write("to_score.csv", book(50, 4)))
    predicted = finished_copy.run("diagnostics.py", "--predict", table, "--json").stdout
    printed = finished_copy.run("deployment.py", "--sql", "duckdb", "--table", f"'{table}'").stdout
    assert str(live_id(finished_copy)) in printed.splitlines()[0]
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM ({printed}) ORDER BY ALL").fetchall()
    expected = sorted(
        (row["id"], pytest.approx(row["probability"], abs=1e-9), row["prediction"])
        for row in json.loads(predicted)
    )
    assert config.id_column and len(found) == 50
    assert [tuple(map(str, row[::2])) for row in found] == [row[::2] for row in expected]
    assert [row[1] for row in found] == [row[1] for row in expected]


def test_a_forgotten_option_deploys_nothing(finished_copy: Project) -> None:
    before = live_id(finished_copy)
    retrain(finished_copy, 7)
    failed = finished_copy.run("deployment.py", "--table", "crm.clients", check=False)
    assert failed.returncode == 2
    assert "--table goes with --sql" in failed.stderr
    assert live_id(finished_copy) == before


def test_without_a_model_for_these_columns_there_is_no_select(project: Project) -> None:
    failed = project.run("deployment.py", "--sql", "spark", check=False)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "no model is deployed yet" in failed.stderr


def ranked_by(project: Project) -> set[str]:
    """The releases that clients.db and each route of the API name as that which ranked."""
    with lookup_db.opened(project.config.client_book) as opened:
        releases = {str(opened.about["release"])}
    browser = create_app(project.config).test_client()
    answer = browser.get("/clients?per_page=1").get_json()
    (first,) = answer["clients"]
    one = browser.get(f"/clients?client={quote(first['client'])}").get_json()
    return releases | {answer["release"], one["release"], one["live_release"]}


def test_after_a_rollback_list_book_and_api_are_those_of_the_live_release(
    finished_copy: Project,
) -> None:
    first = live_id(finished_copy)
    before = finished_copy.config.client_risk.read_text()
    retrain(finished_copy, 7)
    shown = finished_copy.run("deployment.py").stdout
    assert "ranked anew" in shown
    assert ranked_by(finished_copy) == {live_id(finished_copy)} != {first}
    between = finished_copy.config.client_risk.read_text()
    assert "ranked anew" in finished_copy.run("deployment.py", "--rollback").stdout
    assert ranked_by(finished_copy) == {first}
    after = risks(finished_copy)
    assert after.items() >= risks_in(before).items()
    assert after != risks_in(between)


def risks(project: Project) -> dict[str, str]:
    return risks_in(project.config.client_risk.read_text())


def risks_in(text: str) -> dict[str, str]:
    """Client -> probability."""
    return {row["client"]: row["probability"] for row in csv.DictReader(io.StringIO(text))}


def test_where_a_rollback_leaves_no_list_it_says_why_and_no_other_list_is_shown(
    finished_copy: Project,
) -> None:
    """The older model asks for a column that the settings no longer name."""
    retrain(finished_copy, 7)
    finished_copy.configure(numeric_columns=["lastmonth_activity", "lastyear_activity"])
    for script in ("ingestion.py", "training.py", "scoring.py", "deployment.py"):
        finished_copy.run(script)
    assert ranked_by(finished_copy) == {live_id(finished_copy)}
    shown = finished_copy.run("deployment.py", "--rollback", "1").stdout
    assert "There is no list of clients to call: config.json no longer names the columns" in shown
    assert not finished_copy.config.client_risk.exists()
    browser = create_app(finished_copy.config).test_client()
    answer = browser.get("/clients")
    reason = problem(answer, 503)
    assert reason in " ".join(shown.split("\n"))  # the reason, not "run it again"
    page = browser.get("/", headers={"Accept": "text/html"}).text
    assert "<h1>No list of clients</h1>" in page
    assert reason in page
    finished_copy.run("deployment.py", "--rollback", "2")  # a list again, and no reason for none
    record = json.loads(finished_copy.config.decision.read_text())
    assert (record["no_ranking"], browser.get("/clients").status_code) == (None, 200)


def test_a_rollback_whose_list_fails_leaves_none_of_the_other_release(
    finished_copy: Project,
) -> None:
    first = live_id(finished_copy)
    retrain(finished_copy, 7)
    finished_copy.run("deployment.py")
    finished_copy.config.open_clients.write_text("damaged\n")
    shown = finished_copy.run("deployment.py", "--rollback").stdout
    assert live_id(finished_copy) == first
    assert "There is no list of clients to call: " in shown
    assert "openclients.csv" in shown
    assert not finished_copy.config.client_book.exists()


@pytest.mark.parametrize(
    "damaged",
    ["", '[{"to": "000001-', "{}", '[{"to": "000001"}]', '[{"to": "1", "commits": [{}]}]'],
)
def test_damaged_rollbacks_are_told_and_the_advice_keeps_the_older_release(
    finished_copy: Project, damaged: str
) -> None:
    first = live_id(finished_copy)
    retrain(finished_copy, 7)
    finished_copy.run("deployment.py")
    finished_copy.run("deployment.py", "--rollback")
    recorded = finished_copy.write("production_deployment/rollbacks.json", damaged)
    ended = finished_copy.run("fullprocess.py", check=False)
    assert ended.returncode == 1
    advice = "delete it and then, so that the pipeline does not deploy again what was left, run: "
    assert f"rollbacks.json: damaged; restore it, or {advice}" in " ".join(ended.stderr.split())
    recorded.unlink()
    finished_copy.run("deployment.py", "--rollback", str(first))
    finished_copy.run("fullprocess.py")
    assert live_id(finished_copy) == first


def test_a_rollback_that_cannot_be_done_names_the_releases(finished_copy: Project) -> None:
    before = live_id(finished_copy)
    for arguments in (["--rollback"], ["--rollback", "77"], ["--rollback", "../x"]):
        result = finished_copy.run("deployment.py", *arguments, check=False)
        assert result.returncode == 1
        assert str(before) in result.stderr
    assert live_id(finished_copy) == before


def test_a_damaged_release_is_listed_as_such_and_not_rolled_back_to(finished_copy: Project) -> None:
    first = live_id(finished_copy)
    retrain(finished_copy, 7)
    finished_copy.run("deployment.py")
    pickle = finished_copy.root / f"production_deployment/releases/{first}/trainedmodel.pkl"
    pickle.write_bytes(pickle.read_bytes()[:-1])
    assert "damaged" in finished_copy.run("deployment.py", "--list").stdout
    result = finished_copy.run("deployment.py", "--rollback", check=False)
    assert result.returncode == 1
    assert "damaged" in result.stderr
    assert live_id(finished_copy) != first


@pytest.mark.parametrize("name", ["trainedmodel.pkl", "scorecard.json", "scores.json"])
def test_a_candidate_whose_files_do_not_belong_together_is_refused(
    finished_copy: Project, name: str
) -> None:
    """As a training that was killed half-way, or never scored, leaves it."""
    old = (finished_copy.root / "models" / name).read_bytes()
    retrain(finished_copy, 7)
    (finished_copy.root / "models" / name).write_bytes(old)
    before = live_id(finished_copy)
    result = finished_copy.run("deployment.py", check=False)
    assert result.returncode == 1
    assert ".py" in result.stderr
    assert live_id(finished_copy) == before


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
