"""Rank the clients by their risk of leaving, and draw how good the model's predictions are.

    python reporting.py   both for the deployed model; print the first ten clients to call
                          (while none is deployed: only the picture, of the candidate)

Reads  ingesteddata/openclients.csv (finaldata.csv where no client is open), testdata/*.csv, the
       live release or models/scorecard.json, models/history.db.
Writes models/clientrisk.csv: the clients to call, in order, with reasons and changes;
       models/confusionmatrix.png; when a run replaced the deployed model, that one's matrix, and
       the new model's in models/confusionmatrix2.png: before and after, on the same rows;
       models/history.db: what it takes to see later whether the list helped.

Without an id_column a client is its row: the list names "row 17" of the file that was ranked, which
says where the row stands and not who it is, so nothing can be compared with the last list.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from attrition import cli, figures, files, modelfigures
from attrition.calllist import rank, top_table, unfit
from attrition.champion import score_clients
from attrition.clients import TestClients, labelled_test_clients
from attrition.config import Config
from attrition.errors import DataError
from attrition.files import Release
from attrition.scorecard import load_scorecard

SCORECARD = "scorecard.json"
FIRST, SECOND = "confusionmatrix.png", "confusionmatrix2.png"
DOTS_PER_INCH = 160

logger = logging.getLogger(__name__)


def run(
    config: Config, outgoing: Release | None = None, test: TestClients | None = None
) -> list[Path]:
    """Draw the matrix of the live model, and before it that of the model it has just replaced.

    Args:
        config: the settings.
        outgoing: the release that this run replaced; None when it replaced none.
        test: the labelled test data; None reads them.

    Returns:
        The pictures that are there now. A picture that cannot be drawn (no model, or too few test
        rows for a score) is not kept from an earlier model either, and the log says why.
    """
    live = files.live_release(config.prod_deployment_path)
    test = labelled_test_clients(config) if test is None else test
    pictures = [(FIRST, live)] if outgoing is None else [(FIRST, outgoing), (SECOND, live)]
    if len(pictures) == 1:
        (config.output_model_path / SECOND).unlink(missing_ok=True)
    drawn = []
    for name, release in pictures:
        path = config.output_model_path / name
        if release is None:
            path.unlink(missing_ok=True)
            logger.info("%s: not drawn: no model is deployed", path)
        elif _draw(config, release.folder / SCORECARD, f"Release {release.id}", test, path):
            drawn.append(path)
    return drawn


def _draw(config: Config, scorecard: Path, title: str, test: TestClients, path: Path) -> bool:
    """Draw a model's matrix; where that is not possible, say why and leave no older picture."""
    card = load_scorecard(scorecard)
    reason = unfit(config, card)
    if reason is None:
        score = score_clients(card, test.clients, config)
        reason = score.undefined and score.undefined + _rejections(test)
    if reason is not None:
        path.unlink(missing_ok=True)
        logger.warning("%s: not drawn: %s", path, reason)
        return False
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its font cache
    picture = modelfigures.confusion(score, title)
    assert isinstance(picture, figures.Picture), "the score is defined"
    with files.replacing(path) as temporary:
        temporary.write_bytes(figures.png(picture, DOTS_PER_INCH))
    return True


def _rejections(test: TestClients) -> str:
    """The first thing wrong with the test data, since it may be why there are too few rows."""
    if not test.rejected:
        return ""
    first = test.rejected[0]
    where = first.file if first.line is None else f"{first.file}, line {first.line}"
    return f" (rejected rows or files: {len(test.rejected):,}; {where}: {first.reason})"


def _report(config: Config, _arguments: argparse.Namespace) -> int:
    if files.live_release_id(config.prod_deployment_path) is not None:
        drawn = run(config)
        if (result := rank(config)) is not None:
            print(top_table(result))
            print(config.client_risk)
    else:
        drawn = _draw_candidate(config)
    for path in drawn:
        print(path)
    return 0 if drawn else 1


def _draw_candidate(config: Config) -> list[Path]:
    scorecard, path = config.output_model_path / SCORECARD, config.output_model_path / FIRST
    if not scorecard.exists():
        raise DataError("no model is deployed and none is trained yet; run fullprocess.py")
    test = labelled_test_clients(config)
    return [path] if _draw(config, scorecard, "Candidate, not deployed", test, path) else []


def main(argv: Sequence[str] | None = None) -> int:
    """Rank the clients, and draw the confusion matrix of the current model."""
    return cli.run_alone(cli.parser(__doc__), argv, _report)


if __name__ == "__main__":
    raise SystemExit(main())
