"""Score the candidate model on the labelled test data.

    python scoring.py              score the candidate in models/ and record it
    python scoring.py --deployed   only print the score of the deployed model

Reads  testdata/*.csv, models/scorecard.json or the live release.
Writes models/latestscore.txt (the F1 score, one number) and models/scores.json (all metrics).
"""

from __future__ import annotations

if __name__ == "__main__":
    from attrition.core import environment

    environment.require_packages()

import argparse
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from attrition.core import atomic_files, plain_values
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.core.formatting import between
from attrition.data.clients import TestClients
from attrition.data.ledger import read_ledger
from attrition.engines.context import gather_test_clients, score_clients
from attrition.model.champion import live_champion
from attrition.model.compatibility import misfit
from attrition.model.metrics import Score, score_to_judge_by
from attrition.model.scorecard import load_scorecard
from attrition.monitoring.examination import outcomes_of
from attrition.runs import cli

logger = logging.getLogger(__name__)


def run(config: Config, test: TestClients) -> Score:
    """Score the candidate on the test data and write `latestscore.txt` and `scores.json`.

    Args:
        test: the labelled test data, as `gather_test_clients` reads them.

    Returns:
        The candidate's score.

    Raises:
        DataError: there is no candidate.
    """
    path = config.output_model_path / "scorecard.json"
    if not path.exists():
        raise DataError(f"{path}: there is no candidate to score; train one with: training.py")
    card = load_scorecard(path)
    result = score_clients(card, test.clients, config)
    record = {
        "scorecard_sha256": atomic_files.sha256_of(path),
        "test_files": list(test.files),
        "test_rows_rejected": len(test.rejected),
        "test_rows_without_label": test.blank_labels,
        "test_rows_duplicate": test.duplicates,
        "test_rows_held_out": test.held_out,
        "outcomes": plain_values.to_json(outcomes_of(config, card, test.clients)),
        **result.to_json(),
    }
    atomic_files.write_json(config.scores, record)
    f1_text = "undefined" if result.f1 is None else repr(result.f1)
    atomic_files.write_text(config.output_model_path / "latestscore.txt", f1_text + "\n")
    if test.rejected:
        logger.warning("test data: %d rows cannot be used and were left out", len(test.rejected))
    return result


def describe(result: Score, training: Mapping[str, Any]) -> str:
    """The score as lines for a person, at most 80 columns wide.

    Args:
        result: on the test data.
        training: the record of the model's training, whose cross-validated score is told where
            that one is undefined.
    """
    if result.f1 is None or result.confusion is None:
        text = f"score undefined: {result.undefined}"
        known, _ = score_to_judge_by(result.to_json(), training.get("cross_validated"))
        if known["f1"] is None:
            return text
        return (
            f"{text}\ncross-validated F1 {known['f1']:.3f}   (on {known['rows']:,} training rows)"
        )
    confusion = result.confusion
    return "\n".join(
        [
            f"F1                 {result.f1:.3f}   (95 % interval {between(result.f1_interval)})",
            f"precision, recall  {result.precision:.3f}, {result.recall:.3f}",
            f"ROC AUC            {result.roc_auc:.3f}   "
            f"(95 % interval {between(result.roc_auc_interval)})",
            f"average precision  {result.average_precision:.3f}",
            f"log loss, Brier    {result.log_loss:.3f}, {result.brier_score:.3f}",
            f"calibration error  {result.calibration_error:.3f}",
            f"test rows          {result.rows:,}, of which {result.positives:,} left "
            f"({result.base_rate:.1%})",
            f"predictions        {confusion['tp']:,} leavers found, {confusion['fn']:,} missed, "
            f"{confusion['fp']:,} false alarms",
        ]
    )


def _score_candidate(config: Config, _arguments: argparse.Namespace) -> int:
    models = config.output_model_path
    path, training = (
        models / "scorecard.json",
        atomic_files.read_json_object(models / "training.json"),
    )
    if path.exists() and (reason := misfit(config, load_scorecard(path), training)) is not None:
        raise DataError(f"{path}: {reason}; run training.py")
    result = run(config, gather_test_clients(config, read_ledger(config.ledger)))
    print(describe(result, training))
    return 0


def _score_deployed(config: Config, _arguments: argparse.Namespace) -> int:
    champion = live_champion(config)
    if champion is None:
        raise DataError("no model is deployed yet; run fullprocess.py")
    release, reason = champion.release.id, champion.misfit
    if reason is not None:
        raise DataError(f"release {release} cannot be scored: {reason}; run fullprocess.py")
    test = gather_test_clients(config, read_ledger(config.ledger))
    print(f"release            {release}")
    print(describe(score_clients(champion.card, test.clients, config), champion.training))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Score the candidate, or with --deployed only the deployed model."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--deployed", action="store_true", help="score the deployed model, write nothing"
    )
    if parser.parse_args(argv).deployed:
        return cli.run(parser, argv, _score_deployed)
    return cli.run_stage(parser, argv, _score_candidate)


if __name__ == "__main__":
    raise SystemExit(main())
