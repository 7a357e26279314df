"""Small deployed models made by hand, for tests of what serves and draws them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrition.core import atomic_files, releases
from attrition.model.scorecard import Scorecard
from attrition.model.terms import KnotAxis, NumericTerm
from tests.conftest import HEADER, Project

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
TRAINING: dict[str, Any] = {
    "test_share": 0.0,
    "reference": {"rows": 0, "numeric": {}, "categorical": {}},
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
    project: Project,
    intercept: float = 0.0,
    card: Scorecard | None = None,
    cross_validated: dict[str, Any] | None = None,
    **scores: Any,
) -> str:
    """Let a small model go live: this card, or the one of the quiet month.

    Args:
        project: where.
        intercept: of that card.
        card: the model.
        cross_validated: its score in cross-validation.
        scores: what is other than `SCORES` on the test data.

    Returns:
        The release's name.
    """
    folder = project.root / "candidate"
    folder.mkdir(exist_ok=True)
    atomic_files.write_json(
        folder / "scorecard.json", (card or quiet_month_card(intercept)).to_json()
    )
    atomic_files.write_json(folder / "scores.json", {**SCORES, **scores})
    training = TRAINING | ({"cross_validated": cross_validated} if cross_validated else {})
    atomic_files.write_json(folder / "training.json", training)
    (folder / "trainedmodel.pkl").write_bytes(CANARY_PICKLE)
    for name, text in (("latestscore.txt", "0.7\n"), ("ingestedfiles.txt", "")):
        (folder / name).write_text(text)
    paths: dict[str, Path] = {name: folder / name for name in releases.RELEASE_FILES}
    about = {"deployed_at": NOW, "f1_score": 0.7, "training": {"rows": 5000}}
    return releases.publish_release(project.root / "production_deployment", paths, about).id


def live_id(project: Project) -> str | None:
    """Name of the live release."""
    return releases.live_release_id(project.root / "production_deployment")


def damage(release: Path, name: str) -> None:
    """Change a bit of a file of a release."""
    content = bytearray((release / name).read_bytes())
    content[len(content) // 2] ^= 1
    (release / name).write_bytes(content)


def labelled_rows(stayed: tuple[int, int], left: tuple[int, int]) -> str:
    """Test data of which (quiet, busy) so many stayed and left; the model calls quiet ones."""
    kinds = [(0, 0, stayed[0]), (100, 0, stayed[1]), (0, 1, left[0]), (100, 1, left[1])]
    rows = [f"{activity},1,1,{label}" for activity, label, count in kinds for _ in range(count)]
    return "\n".join([HEADER, *(f"client {n},{row}" for n, row in enumerate(rows, 1)), ""])
