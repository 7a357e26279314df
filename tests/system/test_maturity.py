"""Labels that come of age: with no new file the pipeline wakes up, learns them, and rests again."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from attrition.core import atomic_files, releases
from attrition.data.synthetic import COLUMNS, client_rows
from attrition.runs import idle
from tests.conftest import Project
from tests.support.script_runner import Job, shared_runner

DAY = 86_400.0


@pytest.mark.slow
def test_labels_of_age_are_learnt_without_a_new_file_and_leavers_never_listed(
    project: Project,
) -> None:
    project.configure(snapshot_column="month", outcome_days=30)
    today = datetime.now(UTC).date()
    rows = [
        [*row, (today - timedelta(days=20 if number % 3 == 0 else 40)).isoformat()]
        for number, row in enumerate(client_rows(600, seed=1, open_share=0.1))
    ]
    with (project.root / "sourcedata/a.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([[*COLUMNS, "month"], *rows])
    leavers = {row[0] for row in rows if row[4] == "1"}

    shown = said = ""

    def run(days: int) -> dict[str, Any]:
        nonlocal shown, said
        job = Job("fullprocess", str(project.config_path), clock_shift=DAY * days)
        ended = shared_runner().run(job)
        assert ended.code == 0, ended.text
        shown, said = ended.stdout, ended.text
        with project.config.client_risk.open(encoding="utf-8-sig", newline="") as stream:
            assert not leavers & {row[0] for row in csv.reader(stream)}
        return dict(atomic_files.read_json(project.config.decision))

    first = run(0)
    labelled = {tuple(row) for row in rows if row[4]}
    young = {row for row in labelled if row[5] == (today - timedelta(days=20)).isoformat()}
    assert first["new_rows"] == len(labelled) - len(young)
    assert first[idle.STATE][idle.WAKE_DAY] == (today + timedelta(days=10)).isoformat()
    assert run(9)["run_id"] == first["run_id"]
    second = run(11)
    assert second["run_id"] != first["run_id"]
    assert second["new_rows"] == second["evidence"]["unseen"]["rows"] == len(young)
    assert f"a candidate is due: {len(young)} labelled rows came after" in said
    assert f"New data     {len(young)} labelled rows of earlier files, due now." in shown
    assert idle.WAKE_DAY not in second[idle.STATE]
    live = releases.live_release(project.config.prod_deployment_path)
    assert live is not None
    assert atomic_files.read_json(live.folder / "training.json")["rows"] == len(labelled)
    assert run(12)["run_id"] == second["run_id"]
