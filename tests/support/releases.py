"""Small deployed models made by hand, for tests of what serves and draws them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrition.core import atomic_files, releases
from attrition.model.scorecard import Scorecard
from attrition.model.terms import KnotAxis, NumericTerm
from tests.conftest import Project

# A marker that makes a noise when it is unpickled: nobody who serves may load it.
CANARY_PICKLE = b"cposix\nabort\n(tR."
NOW = "2026-03-01T06:00:00+00:00"
SCORES: dict[str, Any] = {
    "rows": 100,
    "positives": 30,
    "undefined": None,
    "f1": 0.7,
    "f1_interval": [0.6, 0.8],
    "roc_auc": 0.85,
    "confusion": {"tn": 60, "fp": 10, "fn": 8, "tp": 22},
    "test_files": ["testdata.csv"],
}


def quiet_month_card(intercept: float = 0.0) -> Scorecard:
    """Log-odds: intercept, +2 at no activity last month to -2 at 100; missing counts 1."""

    def term(column: str, *points: float) -> NumericTerm:
        return NumericTerm(column, KnotAxis((0.0, 100.0), 50.0), points, 1.0, 0.0, 0.0)

    terms = (
        term("lastmonth_activity", 2.0, -2.0),
        term("lastyear_activity", 0.0, 0.0),
        term("number_of_employees", 0.0, 0.0),
    )
    return Scorecard(intercept, 0.5, terms, (), ())


def deploy(
    project: Project, intercept: float = 0.0, card: Scorecard | None = None, **scores: Any
) -> str:
    """Let a small model go live: this card, or the one of the quiet month.

    Returns:
        The release's name.
    """
    folder = project.root / "candidate"
    folder.mkdir(exist_ok=True)
    atomic_files.write_json(
        folder / "scorecard.json", (card or quiet_month_card(intercept)).to_json()
    )
    atomic_files.write_json(folder / "scores.json", {**SCORES, **scores})
    (folder / "trainedmodel.pkl").write_bytes(CANARY_PICKLE)
    for name, text in (
        ("latestscore.txt", "0.7\n"),
        ("ingestedfiles.txt", ""),
        ("training.json", "{}"),
    ):
        (folder / name).write_text(text)
    paths: dict[str, Path] = {name: folder / name for name in releases.RELEASE_FILES}
    about = {"deployed_at": NOW, "f1_score": 0.7, "training": {"rows": 5000}}
    return releases.publish_release(project.root / "production_deployment", paths, about).id
