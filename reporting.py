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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attrition import cli, clock, files, history, ranking, risklist
from attrition.champion import score_clients
from attrition.clients import Clients, TestClients, labelled_test_clients
from attrition.config import Config
from attrition.engine import engine
from attrition.errors import DataError
from attrition.files import Release
from attrition.ledger import Ledger, read_ledger
from attrition.ranking import Ranking, Remembered, Tiers
from attrition.scorecard import Scorecard, load_scorecard
from attrition.scores import Score

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORECARD = "scorecard.json"
FIRST, SECOND = "confusionmatrix.png", "confusionmatrix2.png"
INK, SOFT = "#1d2327", "#5a646b"
DOTS_PER_INCH = 160
OPEN, NEWEST = "open clients", "clients of the newest batch"
TOLD_OUTCOMES = 12  # old rankings whose outcomes a record tells
WIDTH = 80
_TOP = 10

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


@dataclass(frozen=True)
class RankingResult:
    """The list that was written, and what became of the clients of earlier ones.

    Attributes:
        ranking: the clients in order.
        ranked: which clients these are.
        tiers: the thresholds used.
        outcomes: of earlier rankings, newest first: time, release, the first k clients' outcomes
            for each k, and those of all clients ranked.
        not_listed: clients of lower risk that are not on the list, since it would grow too long.
    """

    ranking: Ranking
    ranked: str
    tiers: Tiers
    outcomes: list[dict[str, Any]]
    not_listed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Counts only, no client's name: these go into records and logs."""
        tiers = (ranking.HIGH, ranking.MEDIUM, ranking.LOW)
        return {
            "ranked": self.ranked,
            "clients": len(self.ranking),
            "not_listed": self.not_listed,
            **{tier: self.ranking.count(tier) for tier in tiers},
            "thresholds": asdict(self.tiers),
            "outcomes": self.outcomes,
        }


def rank(config: Config) -> RankingResult | None:
    """Rank the open clients (where none is open, those of the newest batch) by the live model.

    Returns:
        What was written; None where there is no model or no client. Then no older list is kept,
        and the log says why.
    """
    path = config.client_risk
    release = files.live_release(config.prod_deployment_path)
    if release is None:
        _no_list(path, "no model is deployed")
        return None
    card = load_scorecard(release.folder / SCORECARD)
    if (unfit := _unfit(config, card)) is not None:
        _no_list(path, unfit)
        return None
    ledger = read_ledger(config.ledger)
    clients, ranked, total = _clients_to_rank(config, ledger, card)
    if not len(clients):
        _no_list(path, "there are no clients")
        return None
    tiers = ranking.choose_tiers(
        config.high_risk_threshold, config.medium_risk_threshold, card.threshold
    )
    found = ranking.rank(
        card,
        clients.ids,
        clients.columns,
        values=clients.values,
        tiers=tiers,
        with_reasons=config.clients_with_reasons,
    )
    if config.id_column is None:
        found = ranking.with_changes(found, None)
        risklist.write_list(path, found)
        return RankingResult(found, ranked, tiers, [], total - len(clients))
    found = ranking.with_changes(found, _last_list(path))
    risklist.write_list(path, found)
    kept = ranking.remember(found, release.id, ledger.commit_id)
    now = clock.now()
    history.record_ranking(config.history, kept.key, now, asdict(kept), config.rankings_to_keep)
    outcomes = earlier_outcomes(config, ledger)
    return RankingResult(found, ranked, tiers, outcomes, total - len(clients))


def _no_list(path: Path, reason: str) -> None:
    path.unlink(missing_ok=True)
    logger.info("%s: not written: %s", path, reason)


def _unfit(config: Config, card: Scorecard) -> str | None:
    """Why a model cannot be asked about today's columns; None if it can."""
    known = {*card.numeric_columns, *card.categorical_columns}
    absent = sorted(known.difference(config.feature_columns))
    return f"config.json no longer names the columns {', '.join(absent)}" if absent else None


def _clients_to_rank(config: Config, ledger: Ledger, card: Scorecard) -> tuple[Clients, str, int]:
    """The clients, each once, in words which ones they are, and how many of these there are."""
    place = engine(config)
    clients, total = place.riskiest_opened(ledger, card)
    if total or not ledger.commits:
        return clients, OPEN, total
    clients, total = place.riskiest_newest(ledger, card)
    return clients, NEWEST, total


def _last_list(path: Path) -> ranking.Previous | None:
    try:
        return risklist.read_list(path)
    except DataError as error:
        logger.warning("%s; the new list tells no changes", error)
        return None


def earlier_outcomes(config: Config, ledger: Ledger) -> list[dict[str, Any]]:
    """What became of the clients of earlier rankings, by the labelled rows that came after each.

    A ranking made before the training set was made anew is passed over: what came after it can
    no longer be told.

    Returns:
        See `RankingResult`; rankings of which no outcome is known are not among them.
    """
    places = {commit.id: place for place, commit in enumerate(ledger.commits, start=1)}
    remembered = [
        (time, Remembered(**kept), 0 if kept["commit"] is None else places[kept["commit"]])
        for time, kept in history.rankings(config.history)
        if kept["commit"] is None or kept["commit"] in places
    ]
    later = [item for item in remembered if item[2] < len(ledger.commits)]
    if not later:
        return []
    oldest = min(place for _, _, place in later)
    ids, labels, numbers = _labelled_since(config, ledger, oldest, [kept for _, kept, _ in later])
    rows = np.cumsum([0, *(commit.rows for commit in ledger.commits[oldest:])])
    found = []
    for time, kept, place in later:
        start = int(np.searchsorted(numbers, rows[place - oldest]))
        outcomes = ranking.first_outcomes(ids[start:], labels[start:])
        tops, everybody = ranking.precision_at_top(kept, outcomes)
        if everybody.known or any(top.known for top in tops.values()):
            found.append({
                "time": time,
                "release": kept.release,
                "top": {str(size): top.to_json() for size, top in tops.items()},
                "all": everybody.to_json(),
            })  # fmt: skip
    return found[:TOLD_OUTCOMES]


def _labelled_since(
    config: Config, ledger: Ledger, commit: int, rankings: Sequence[Remembered]
) -> tuple[list[str], list[int], NDArray[np.intp]]:
    """Ids, labels and row numbers, from a commit on, of the rows that outcomes are read from."""
    wanted = {client for kept in rankings for client in (*kept.top, *kept.sample)}
    return engine(config).outcomes(ledger, ledger.commits[commit].start, wanted)


def _draw(config: Config, scorecard: Path, title: str, test: TestClients, path: Path) -> bool:
    """Draw a model's matrix; where that is not possible, say why and leave no older picture."""
    card = load_scorecard(scorecard)
    reason = _unfit(config, card)
    if reason is None:
        score = score_clients(card, test.clients, config)
        reason = score.undefined and score.undefined + _rejections(test)
    if reason is not None:
        path.unlink(missing_ok=True)
        logger.warning("%s: not drawn: %s", path, reason)
        return False
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its font cache
    figure = confusion_figure(score, title)
    with files.replacing(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH, facecolor="white")
    return True


def _rejections(test: TestClients) -> str:
    """The first thing wrong with the test data, since it may be why there are too few rows."""
    if not test.rejected:
        return ""
    first = test.rejected[0]
    where = first.file if first.line is None else f"{first.file}, line {first.line}"
    return f" (rejected rows or files: {len(test.rejected):,}; {where}: {first.reason})"


def confusion_figure(score: Score, title: str) -> Figure:
    """The confusion matrix as a picture: counts, and shares of each row.

    Args:
        score: of a model on labelled clients; not undefined.
        title: which model it is.
    """
    import seaborn
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    assert score.confusion is not None
    counts = score.confusion
    table = np.array([[counts["tn"], counts["fp"]], [counts["fn"], counts["tp"]]])
    shares = row_shares(table)
    figure = Figure(figsize=(6.4, 5.8), layout=ConstrainedLayoutEngine(w_pad=0.2, h_pad=0.2))
    axes = figure.subplots()
    seaborn.heatmap(
        shares, ax=axes, cmap=seaborn.light_palette("#1f5f74", as_cmap=True), vmin=0, vmax=1,
        cbar=False, linewidths=3, linecolor="white",
    )  # fmt: skip
    _write_cells(axes, table, shares)
    _label_axes(axes, table)
    _write_title(axes, score, title)
    return figure


def row_shares(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each count as a fraction of its row's sum; 0 in an empty row."""
    totals = np.maximum(table.sum(axis=1, keepdims=True), 1)
    shares: NDArray[np.float64] = table / totals
    return shares


def _write_cells(axes: Any, table: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    meanings = (("stayed, no alarm", "stayed, false alarm"), ("left, missed", "left, found"))
    for row, column in np.ndindex(2, 2):
        color = "white" if shares[row, column] > 0.55 else INK
        whose = ("who stayed", "who left")[row]
        for shift, text, style in (
            (-0.2, meanings[row][column], {"fontsize": 12}),
            (0.0, f"{table[row, column]:,}", {"fontsize": 28, "fontweight": "bold"}),
            (0.2, f"{shares[row, column]:.1%} of those {whose}", {"fontsize": 11}),
        ):
            axes.text(column + 0.5, row + 0.5 + shift, text, color=color, ha="center", va="center",
                      **style)  # fmt: skip


def _label_axes(axes: Any, table: NDArray[np.int64]) -> None:
    stayed, left = table.sum(axis=1)
    will_stay, will_leave = table.sum(axis=0)
    axes.xaxis.tick_top()
    columns = [f"predicted to stay\n{will_stay:,}", f"predicted to leave\n{will_leave:,}"]
    axes.set_xticks([0.5, 1.5], columns)
    axes.set_yticks([0.5, 1.5], [f"stayed\n{stayed:,}", f"left\n{left:,}"], rotation=0, va="center")
    axes.tick_params(length=0, labelsize=12, labelcolor=INK, pad=8)


def _write_title(axes: Any, score: Score, title: str) -> None:
    assert score.f1_interval is not None
    low, high = score.f1_interval
    known = f"F1 {score.f1:.3f} (95% interval {low:.3f} to {high:.3f}) on {score.rows:,} test rows"
    for height, text, style in (
        (78, title, {"fontsize": 15, "fontweight": "bold", "color": INK}),
        (58, known, {"fontsize": 11, "color": SOFT}),
    ):
        axes.annotate(text, (0, 1), (0, height), "axes fraction", "offset points", **style)


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


def top_table(result: RankingResult) -> str:
    """The first ten clients as a table of at most 80 columns."""
    found = result.ranking
    head = (
        f"{len(found):,} {result.ranked}: {found.count(ranking.HIGH):,} at high risk (from "
        f"{result.tiers.high:.0%} on), {found.count(ranking.MEDIUM):,} at medium"
    )
    lines = [head, "", "rank   risk  tier    client, and the strongest reason"]
    for place in range(min(_TOP, len(found))):
        line = f"{place + 1:4} {found.probabilities[place]:6.1%}  {found.tiers[place]:6}  "
        lines.append(line + found.ids[place])
        if place < len(found.reasons):
            lines.append(" " * len(line) + found.reasons[place][0])
    return "\n".join(_cut(line, WIDTH) for line in lines)


def _cut(text: str, width: int) -> str:
    """A text no wider than that, without characters that steer a terminal."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= width else text[: width - 1] + "…"


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
