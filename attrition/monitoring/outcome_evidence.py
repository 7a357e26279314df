"""What outcomes say of the predictions made before them.

A model's probabilities are a promise: of the clients to whom it gives .3, three of ten leave. From
the probabilities of some rows follow, before any outcome, the log loss, the AUC and the number of
leavers to expect of them; what comes is compared with that. So a batch of other clients, easier or
harder to tell apart, is no change of the model, and rows that met different models add up.

All three comparisons are sums over rows of (outcome - probability) times a weight, whose mean is 0
and whose variance is known while the promise holds: weight 1 (leavers), the log-odds (log loss),
the rank among the others (AUC; Hajek's projection of the Mann-Whitney statistic).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attrition.model.metrics import SMALLEST_PROBABILITY

NEWEST_ROWS = 100  # the newest batches are looked at together until they have so many rows
RECENT_ROWS = 1000  # likewise, for a change too slow or too small for the first look


@dataclass(frozen=True)
class OutcomeEvidence:
    """Sums over rows that were predicted before their outcome came; those of two batches add up.

    Attributes:
        rows: their number.
        leavers: how many of them left.
        expected_leavers: sum of the probabilities.
        promised_loss: log loss to expect from the probabilities, in nats, summed over the rows.
        excess_loss: the log loss that came less the promised one.
        pairs: expected number of pairs of a leaver and a client who stayed, within a batch.
        promised_wins: of these, those in which the leaver is to have the higher probability.
        missing_wins: how many fewer pairs than by the promised AUC were in this order.
        leavers_variance: variance of `leavers` while the promise holds.
        covariance: of `leavers` with the loss that came.
        loss_variance, wins_variance: variance of `excess_loss` and of `missing_wins`.
    """

    rows: int = 0
    leavers: int = 0
    expected_leavers: float = 0.0
    promised_loss: float = 0.0
    excess_loss: float = 0.0
    pairs: float = 0.0
    promised_wins: float = 0.0
    missing_wins: float = 0.0
    leavers_variance: float = 0.0
    covariance: float = 0.0
    loss_variance: float = 0.0
    wins_variance: float = 0.0

    def __add__(self, other: OutcomeEvidence) -> OutcomeEvidence:
        names = [item.name for item in fields(self)]
        return OutcomeEvidence(**{n: getattr(self, n) + getattr(other, n) for n in names})


def outcome_evidence(labels: ArrayLike, probabilities: ArrayLike) -> OutcomeEvidence:
    """Compare predictions of one model with the outcomes.

    Args:
        labels: array of shape (n_rows,), 1 left, 0 stayed.
        probabilities: array of shape (n_rows,), of leaving, fractions 0-1, not fitted to these
            labels.
    """
    truth = np.asarray(labels, dtype=np.float64)
    risk = np.asarray(probabilities, dtype=np.float64)
    risk = np.clip(risk, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    log_odds, variance, residual = np.log(risk / (1 - risk)), risk * (1 - risk), truth - risk
    pairs, auc, weights = _ranking(risk)
    leavers = float(truth.sum())
    return OutcomeEvidence(
        rows=len(truth),
        leavers=int(leavers),
        expected_leavers=float(risk.sum()),
        promised_loss=float(-(risk * np.log(risk) + (1 - risk) * np.log1p(-risk)).sum()),
        excess_loss=float(-(residual @ log_odds)),
        pairs=pairs,
        promised_wins=auc * pairs,
        missing_wins=auc * leavers * (len(truth) - leavers) - _wins(truth, risk),
        leavers_variance=float(variance.sum()),
        covariance=float(-(variance @ log_odds)),
        loss_variance=float(variance @ log_odds**2),
        wins_variance=float(variance @ weights**2),
    )


def _ranking(risk: NDArray[np.float64]) -> tuple[float, float, NDArray[np.float64]]:
    """Expected pairs and AUC, and what one outcome more would change of the won pairs, by row."""
    if len(risk) < 2:
        return 0.0, 0.5, np.zeros_like(risk)
    _, group = np.unique(risk, return_inverse=True)
    leaving, staying = np.bincount(group, risk), np.bincount(group, 1 - risk)
    # Half of those that are equal, without the row itself.
    leavers_below = (np.cumsum(leaving) - leaving / 2)[group] - risk / 2
    stayers_below = (np.cumsum(staying) - staying / 2)[group] - (1 - risk) / 2
    other_leavers, other_stayers = risk.sum() - risk, (1 - risk).sum() - (1 - risk)
    pairs = float(risk @ other_stayers)
    auc = float(risk @ stayers_below) / pairs
    as_leaver = stayers_below - auc * other_stayers
    as_stayer = (other_leavers - leavers_below) - auc * other_leavers
    return pairs, auc, as_leaver - as_stayer


def _wins(truth: NDArray[np.float64], risk: NDArray[np.float64]) -> float:
    """Pairs in which the leaver has the higher probability; half of those that are equal."""
    from scipy.stats import rankdata

    left = truth == 1
    count = int(left.sum())
    return float(rankdata(risk)[left].sum()) - count * (count + 1) / 2


@dataclass(frozen=True)
class OutcomeWatch:
    """What the batches have said since the model was last fitted to a change.

    Attributes:
        batches: the newest ones, oldest first, each as predicted by the model that was live when
            it came.
        commit: id of the last ingested rows among them; None before any.
        reference: what a model fitted to the last change reached on the rows that showed it; None
            before any: what the model reached on the rows it learnt from.
    """

    batches: tuple[OutcomeEvidence, ...] = ()
    commit: str | None = None
    reference: OutcomeEvidence | None = None

    def with_batch(self, batch: OutcomeEvidence, commit: str | None) -> OutcomeWatch:
        """The same with a further batch, without those too old for any look."""
        longer = replace(self, batches=(*self.batches, batch), commit=commit)
        return replace(longer, batches=longer.newest(RECENT_ROWS))

    def newest(self, rows: int) -> tuple[OutcomeEvidence, ...]:
        """The newest batches, oldest first: as few as have so many rows together, else all."""
        taken: list[OutcomeEvidence] = []
        for batch in reversed(self.batches):
            if sum(one.rows for one in taken) >= rows:
                break
            taken.append(batch)
        return tuple(taken[::-1])
