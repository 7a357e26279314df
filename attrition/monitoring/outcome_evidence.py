"""What outcomes say of the predictions made before them.

A model's probabilities are a promise: of the clients to whom it gives .3, three of ten leave. From
the probabilities of some rows follow, before any outcome, the log loss, the AUC and the number of
leavers to expect of them; what comes is compared with that. So a batch of other clients, easier or
harder to tell apart, is no change of the model.

A model falls short of its promise already when it is fitted: on rows that it has not learnt, but
models of its kind have predicted out of fold. That much is usual, and is expected of it again. Each
batch carries what is usual of the model that predicted it; so batches add up, whichever models they
met.

All three measures are sums over rows of (outcome - probability) times a weight, whose mean is 0 and
whose variance is known while the promise holds: weight 1 (leavers), the log-odds (log loss), the
rank among the others (AUC; Hajek's projection of the Mann-Whitney statistic). Where the outcomes
vary more than promised, what was observed counts; that is seen on all rows of a look together, for
a few rows often seem to. Rows of one client may be alike: the variance grows by as much as their
sums vary more than single rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attrition.model.comparison import SMALLEST_COMPARED
from attrition.model.metrics import Minimum, too_few_clients, undefined_reason
from attrition.model.uncertainty import repeating_clients

NEWEST_ROWS = 100  # the newest batches are looked at together until they have so many rows
RECENT_ROWS = 1000  # likewise, for a change too slow or too small for the first look

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """One measure summed over rows.

    Attributes:
        promised: what the probabilities let expect.
        departure: what came less that.
        variance: of `departure` while the promise holds.
        observed: the same as the outcomes vary.
        usual: the departure to expect, because the model has shown it since it was fitted.
        usual_error: standard error of `usual`.
    """

    promised: float = 0.0
    departure: float = 0.0
    variance: float = 0.0
    observed: float = 0.0
    usual: float = 0.0
    usual_error: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        names = [item.name for item in fields(self)]
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def expecting(self, reference: Tally, share: float) -> Tally:
        """The same, with so much of a reference's departure as the usual one."""
        usual, error = reference.departure * share, sqrt(reference.larger_variance) * share
        return replace(self, usual=usual, usual_error=error)

    @property
    def larger_variance(self) -> float:
        """Of `departure`: as promised, or as observed where that is more."""
        return max(self.variance, self.observed)

    @property
    def came(self) -> float:
        """What came."""
        return self.promised + self.departure

    @property
    def change(self) -> float:
        """What came less what was to be expected."""
        return self.departure - self.usual

    @property
    def change_variance(self) -> float:
        """Variance of `change` while nothing changes; both errors are in it."""
        return self.larger_variance + self.usual_error**2


@dataclass(frozen=True)
class OutcomeEvidence:
    """Sums over rows that were predicted before their outcome came; those of two batches add up.

    Errors of what is usual are added as those of one reference: batches share most of theirs.

    Attributes:
        rows, clients: their numbers.
        pairs: of a leaver and a client who stayed, within a batch.
        leavers: how many left.
        loss: log loss, in nats.
        wins: pairs in which the leaver has the higher probability; half of those that are equal.
        covariance: of the departures of `leavers` and `loss`, while the promise holds.
    """

    rows: int = 0
    clients: int = 0
    pairs: float = 0.0
    leavers: Tally = field(default_factory=Tally)
    loss: Tally = field(default_factory=Tally)
    wins: Tally = field(default_factory=Tally)
    covariance: float = 0.0

    @property
    def larger_covariance(self) -> float:
        """Of the departures of `leavers` and `loss`, as far as their variances are enlarged."""
        chance = self.leavers.variance * self.loss.variance
        growth = (
            self.leavers.larger_variance * self.loss.larger_variance / chance if chance else 1.0
        )
        return self.covariance * sqrt(growth)

    def __add__(self, other: OutcomeEvidence) -> OutcomeEvidence:
        names = [item.name for item in fields(self)]
        return OutcomeEvidence(**{n: getattr(self, n) + getattr(other, n) for n in names})

    def expecting(self, reference: OutcomeEvidence) -> OutcomeEvidence:
        """The same rows, with the departure of a reference (of some rows) as the usual one."""
        by_row = self.rows / max(reference.rows, 1)
        by_pair = self.pairs / reference.pairs if reference.pairs else 0.0
        return replace(
            self,
            leavers=self.leavers.expecting(reference.leavers, by_row),
            loss=self.loss.expecting(reference.loss, by_row),
            wins=self.wins.expecting(reference.wins, by_pair),
        )

    def undefined(self, minimum: Minimum) -> str | None:
        """Why these rows are too few to be judged; None if they are enough."""
        left = round(self.leavers.came)
        reason = undefined_reason(self.rows, left, minimum)
        return reason or too_few_clients(self.rows, self.clients, minimum)


def outcome_evidence(
    labels: ArrayLike, probabilities: ArrayLike, clients: ArrayLike | None = None
) -> OutcomeEvidence:
    """Compare predictions of one model with the outcomes.

    Args:
        labels: array of shape (n_rows,), 1 left, 0 stayed.
        probabilities: array of shape (n_rows,), of leaving, fractions 0-1, not fitted to these
            labels.
        clients: array of shape (n_rows,), the client of each row; None: every row has its own.
    """
    truth = np.asarray(labels, dtype=np.float64)
    risk = np.asarray(probabilities, dtype=np.float64)
    codes = repeating_clients(clients)
    bounded = np.clip(risk, SMALLEST_COMPARED, 1 - SMALLEST_COMPARED)
    log_odds, variance, residual = np.log(bounded / (1 - bounded)), risk * (1 - risk), truth - risk
    expected_pairs, auc, ranks = _ranking(risk)
    left = float(truth.sum())
    pairs = left * (len(truth) - left)
    weights = np.stack([np.ones_like(risk), -log_odds, ranks])
    promised: Floats = (weights * variance) @ weights.T
    observed, alike = _observed(weights * residual, codes)
    chances = promised * np.sqrt(np.outer(alike, alike))
    loss = -(risk * np.log(bounded) + (1 - risk) * np.log1p(-bounded)).sum()
    scale = pairs / expected_pairs if expected_pairs else 0.0

    def tally(number: int, promise: float, departure: float, scale: float = 1.0) -> Tally:
        chance, seen = chances[number, number] * scale, observed[number] * scale
        return Tally(promise, departure, float(chance), float(seen))

    return OutcomeEvidence(
        rows=len(truth),
        clients=len(truth) if codes is None else int(codes.max()) + 1,
        pairs=pairs,
        leavers=tally(0, float(risk.sum()), float(residual.sum())),
        loss=tally(1, float(loss), float(residual @ -log_odds)),
        wins=tally(2, auc * pairs, _wins(truth, risk) - auc * pairs, scale),
        covariance=float(chances[0, 1]),
    )


def _observed(weighted: Floats, codes: NDArray[np.intp] | None) -> tuple[Floats, Floats]:
    """Variances of sums of weighted residuals as observed, and their growth by rows of one client.

    Args:
        weighted: array of shape (n_sums, n_rows).
        codes: the rows' clients, each of whom counts once; None: every row has its own.
    """
    by_row: Floats = (weighted**2).sum(axis=1)
    if codes is None:
        return by_row, np.ones_like(by_row)
    by_client = (np.stack([np.bincount(codes, row) for row in weighted]) ** 2).sum(axis=1)
    ratio = np.divide(by_client, by_row, where=by_row > 0, out=np.ones_like(by_row))
    alike = np.maximum(ratio, 1.0)
    return by_row * alike, alike


def _ranking(risk: Floats) -> tuple[float, float, Floats]:
    """Expected pairs and AUC, and what one leaver more would change of the won pairs, by row."""
    if len(risk) < 2:
        return 0.0, 0.5, np.zeros_like(risk)
    _, group = np.unique(risk, return_inverse=True)
    leaving, staying = np.bincount(group, risk), np.bincount(group, 1 - risk)
    # Half of those that are equal, without the row itself.
    leavers_below = (np.cumsum(leaving) - leaving / 2)[group] - risk / 2
    stayers_below = (np.cumsum(staying) - staying / 2)[group] - (1 - risk) / 2
    other_leavers, other_stayers = risk.sum() - risk, (1 - risk).sum() - (1 - risk)
    pairs = float(risk @ other_stayers)
    auc = float(risk @ stayers_below) / pairs if pairs else 0.5
    as_leaver = stayers_below - auc * other_stayers
    as_stayer = (other_leavers - leavers_below) - auc * other_leavers
    return pairs, auc, as_leaver - as_stayer


def _wins(truth: Floats, risk: Floats) -> float:
    """Pairs in which the leaver has the higher probability; half of those that are equal."""
    from scipy.stats import rankdata

    left = truth == 1
    count = int(left.sum())
    return float(rankdata(risk)[left].sum()) - count * (count + 1) / 2


@dataclass(frozen=True)
class OutcomeWatch:
    """What the batches since the last change have said.

    Attributes:
        batches: the newest ones, oldest first, each as predicted by the model that was live when
            it came, and with what is usual of that one.
        commit: id of the last ingested rows among them, or that the live model has learnt; None
            before any.
        rows_since_change: how many of the newest rows came since a change that is not answered yet;
            None where there is none.
    """

    batches: tuple[OutcomeEvidence, ...] = ()
    commit: str | None = None
    rows_since_change: int | None = None

    def with_batch(self, batch: OutcomeEvidence, commit: str | None) -> OutcomeWatch:
        """The same with a further batch, without those too old for any look."""
        if not batch.rows:
            return replace(self, commit=commit)
        longer = OutcomeWatch((*self.batches, batch), commit)
        return replace(longer, batches=longer.newest(RECENT_ROWS))

    def newest(self, rows: int) -> tuple[OutcomeEvidence, ...]:
        """The newest batches, oldest first: as few as have so many rows together, else all."""
        taken: list[OutcomeEvidence] = []
        for batch in reversed(self.batches):
            if sum(one.rows for one in taken) >= rows:
                break
            taken.append(batch)
        return tuple(taken[::-1])
