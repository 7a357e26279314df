"""Whether calling keeps clients: those to be called against those held out, drawn by lot.

A client enters the study once, when first listed at high risk, and is counted in the group drawn
then, whether reached or not: only the draw makes the groups alike. With T = 1 for a client to be
called, s its chance of being held out, y = 1 if it left and m its predicted risk when listed,

    x = ((1 - T) / s - T / (1 - s)) (y - m)

has as its mean the share of clients that calling keeps (the augmented inverse-probability
estimator; Robins, Rotnitzky and Zhao 1994), whatever m is: T is drawn independently of both. An m
near the risk makes x vary less; it varies least at m = s (risk if called) + (1 - s) (risk if not),
with a small share held out nearly the risk if nobody calls, which is what a model of risk predicts.
The weights need no clipping, since s is set and not tiny; lists of different shares go into one
mean.

The interval is one of a `ConfidenceSequence`, which is exact only for many rows. Two measures keep
its promise in the first hundred, by simulation (`make effect`): there is none before each group has
`LEAST_OUTCOMES`, and the variance starts at what the predictions expect, with the weight of as many
rows as hold `PRIOR_OUTCOMES` of the smaller group: the first few held-out clients may by chance all
have stayed. Without that, at 10 % risk and 10 % held out, intervals hold in 88 rather than in 92 %
of studies; where outcomes abound it costs nothing. Intervals of different looks are not
intersected: later clients may be helped less than earlier ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from attrition.calls.sequence import ConfidenceSequence

LEAST_OUTCOMES = 10  # of each group
PRIOR_OUTCOMES = 20  # of the smaller group
LEAST_OF_A_KIND = 30
# Below this difference of the shares contacted, an effect per contact would be mostly noise.
LEAST_CONTACT_SHARE = 0.05
# The effect that a study is planned for: calls that keep one in five of those who would leave.
PLANNED_CUT = 0.2
# A split drawn by lot fails the check in at most so many studies, over all looks together.
SPLIT_LEVEL = 0.001
_SPLIT_PRIOR_ROWS = 100


@dataclass(frozen=True)
class Enrolled:
    """The clients of a study, each once; arrays of shape (n_clients,).

    Attributes:
        risk: predicted probability of leaving when first listed, before any call, a fraction 0-1.
        is_called: whether the client was drawn to be called; else it was to be held out.
        share: the client's chance of being held out, the share in force then; above 0, below 1.
        left: 1 left, 0 stayed, NaN not known yet. Leavers are often known before stayers: count an
            outcome only once as much time has passed as a stayer's takes. (Counted too early they
            distort the size of an effect; where there is none, they show none.)
        contacted: whether anything was done with the client after it was listed.
        kind: the kind of action ("call", "offer"); empty where there was none.
    """

    risk: NDArray[np.float64]
    is_called: NDArray[np.bool_]
    share: NDArray[np.float64]
    left: NDArray[np.float64]
    contacted: NDArray[np.bool_]
    kind: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.risk)

    def where(self, chosen: NDArray[np.bool_] | slice) -> Enrolled:
        """Some of these clients."""
        return Enrolled(
            self.risk[chosen],
            self.is_called[chosen],
            self.share[chosen],
            self.left[chosen],
            self.contacted[chosen],
            self.kind[chosen],
        )


class Verdict(Enum):
    """What a study says so far."""

    BROKEN_SPLIT = "the split is broken"
    TOO_FEW = "too few outcomes"
    NOT_SHOWN = "not shown"
    CALLS_SAVE = "calls save"
    CALLS_HARM = "calls harm"


@dataclass(frozen=True)
class Group:
    """One side of the comparison; the last three are of clients whose outcome is known."""

    clients: int
    known: int
    share_left: float | None
    mean_risk: float | None
    share_contacted: float | None


BY_KIND = "What became of the called clients, by the first that was done with them"
WHY_NOT_COMPARED = (
    "People choose what to do with whom, and not everybody can be reached: this says what "
    "happened, and not which kind of action helps more."
)


@dataclass(frozen=True)
class KindOfAction:
    """What became of the called clients with one kind of action.

    It describes, and proves nothing: people choose the kind, and who can be reached, so clients of
    two kinds differ in more than the kind. `share_left` below `mean_risk` may be the clients' doing
    or the model's error. To compare kinds, draw them by lot.
    """

    kind: str
    clients: int
    share_left: float
    mean_risk: float


@dataclass(frozen=True)
class Estimate:
    """The share of clients that calling keeps, and what that is known to be.

    Attributes:
        saved: mean over clients listed of (left if not called) - (left if called), a fraction;
            below 0 calls make clients leave.
        interval: of `saved`; it holds at whatever moment one looks.
        at_least: one-sided bound of the same level.
        deviation: standard deviation of one client's x.
        outcomes: number of clients this rests on.
    """

    saved: float
    interval: tuple[float, float]
    at_least: float
    deviation: float
    outcomes: int


@dataclass(frozen=True)
class PerContact:
    """The estimate divided by the difference of the shares contacted (Bloom 1984).

    Its premise: to be listed without being reached changes nothing.

    Attributes:
        saved, interval: as of the estimate.
        risk: mean over the called of (risk if contacted, 0 if not), less the same over the held
            out; by this `SuccessRate.measured` divides.
    """

    saved: float
    interval: tuple[float, float]
    risk: float


@dataclass(frozen=True)
class Effect:
    """Everything a report says about a study; plain values for `plain_values.to_json`.

    Attributes:
        verdict: what the study says so far.
        level: of the intervals, a fraction 0-1.
        called, held_out: the two groups.
        reason: why there is no estimate; None where there is one.
        estimate: per client listed to be called.
        per_contact: the same per client reached because of the list; None where too few were.
        more_outcomes: how many more outcomes show the difference if it stays as it is; None where
            it is shown or too small ever to show, and without an estimate.
        more_if_planned: how many more show calls that cut leaving by `PLANNED_CUT`; 0 or more. At
            least every second study of such calls has shown it by then.
        kinds: the kinds of action with enough outcomes, most frequent first.
        since: the day on which the first clients were enrolled, where that is known.
        held_out_contacted: how many held-out clients have been contacted since they were listed,
            whether their outcome is known or not.
    """

    verdict: Verdict
    level: float
    called: Group
    held_out: Group
    reason: str | None = None
    estimate: Estimate | None = None
    per_contact: PerContact | None = None
    more_outcomes: int | None = None
    more_if_planned: int | None = None
    kinds: tuple[KindOfAction, ...] = ()
    since: str | None = None
    held_out_contacted: int = 0


def measure(enrolled: Enrolled, sequence: ConfidenceSequence) -> Effect:
    """Compare the called with the held out."""
    contacted = int((enrolled.contacted & ~enrolled.is_called).sum())
    return replace(_compared(enrolled, sequence), held_out_contacted=contacted)


def _compared(enrolled: Enrolled, sequence: ConfidenceSequence) -> Effect:
    known = enrolled.where(~np.isnan(enrolled.left))
    called = _group(enrolled.is_called, known, known.is_called)
    held_out = _group(~enrolled.is_called, known, ~known.is_called)
    verdict, reason = Verdict.BROKEN_SPLIT, _broken_split(enrolled, known)
    if reason is None and min(called.known, held_out.known) < LEAST_OUTCOMES:
        verdict = Verdict.TOO_FEW
        reason = f"a comparison needs {LEAST_OUTCOMES} known outcomes in each group"
    if reason is not None:
        more = _more_if_planned(enrolled, known, sequence)
        return Effect(verdict, sequence.level, called, held_out, reason, more_if_planned=more)
    result = estimate(known, sequence)
    return Effect(
        _verdict(result),
        sequence.level,
        called,
        held_out,
        estimate=result,
        per_contact=_per_contact(result, known),
        more_outcomes=_more_if_it_stays(result, sequence),
        more_if_planned=_more_if_planned(enrolled, known, sequence),
        kinds=_kinds(known),
    )


def estimate(known: Enrolled, sequence: ConfidenceSequence) -> Estimate:
    """The effect on clients whose outcomes are known, at least one."""
    weights = np.where(known.is_called, -1 / (1 - known.share), 1 / known.share)
    saved = weights * (known.left - known.risk)
    mean, rows = float(saved.mean()), len(saved)
    prior_rows = PRIOR_OUTCOMES / float(np.minimum(known.share, 1 - known.share).mean())
    squares = float(np.square(saved - mean).sum()) + prior_rows * _expected_variance(known)
    deviation = math.sqrt(squares / (rows - 1 + prior_rows))
    width = sequence.half_width(rows, deviation)
    return Estimate(
        saved=mean,
        interval=(max(mean - width, -1.0), min(mean + width, 1.0)),
        at_least=max(mean - sequence.one_sided_width(rows, deviation), -1.0),
        deviation=deviation,
        outcomes=rows,
    )


def _expected_variance(clients: Enrolled) -> float:
    """The variance of x if every client leaves with its predicted risk, called or not."""
    variances = clients.risk * (1 - clients.risk) / (clients.share * (1 - clients.share))
    return float(variances.mean())


def _verdict(result: Estimate) -> Verdict:
    low, high = result.interval
    if low > 0:
        return Verdict.CALLS_SAVE
    return Verdict.CALLS_HARM if high < 0 else Verdict.NOT_SHOWN


def _more_if_it_stays(result: Estimate, sequence: ConfidenceSequence) -> int | None:
    needed = sequence.rows_needed(result.saved, result.deviation)
    is_shown = _verdict(result) is not Verdict.NOT_SHOWN
    return None if is_shown or needed is None else needed - result.outcomes


def _more_if_planned(
    enrolled: Enrolled, known: Enrolled, sequence: ConfidenceSequence
) -> int | None:
    if not len(enrolled):
        return None
    deviation = math.sqrt(_expected_variance(enrolled))
    if len(known):
        deviation = estimate(known, sequence).deviation
    needed = sequence.rows_needed(PLANNED_CUT * float(enrolled.risk.mean()), deviation)
    return None if needed is None else max(needed - len(known), 0)


def _group(is_enrolled: NDArray[np.bool_], known: Enrolled, is_known: NDArray[np.bool_]) -> Group:
    clients = known.where(is_known)
    left, risk, contacted = (
        float(values.mean()) if len(clients) else None
        for values in (clients.left, clients.risk, clients.contacted)
    )
    return Group(int(is_enrolled.sum()), len(clients), left, risk, contacted)


def _per_contact(result: Estimate, known: Enrolled) -> PerContact | None:
    called, held_out = known.where(known.is_called), known.where(~known.is_called)
    share = float(called.contacted.mean() - held_out.contacted.mean())
    if share < LEAST_CONTACT_SHARE:
        return None
    low, high = result.interval
    risks = [float((group.contacted * group.risk).mean()) for group in (called, held_out)]
    return PerContact(result.saved / share, (low / share, high / share), risks[0] - risks[1])


def _kinds(known: Enrolled) -> tuple[KindOfAction, ...]:
    acted_on = known.where(known.is_called & (known.kind != ""))
    names, counts = np.unique(acted_on.kind, return_counts=True)
    kinds = []
    for name, count in sorted(
        zip(names.tolist(), counts.tolist(), strict=True), key=lambda item: -item[1]
    ):
        if count >= LEAST_OF_A_KIND:
            clients = acted_on.where(acted_on.kind == name)
            kinds.append(
                KindOfAction(name, count, float(clients.left.mean()), float(clients.risk.mean()))
            )
    return tuple(kinds)


def split_evidence(is_called: NDArray[np.bool_], share: NDArray[np.float64]) -> float:
    """How much likelier the sizes of the groups are under other shares than under those drawn.

    A Bayes factor: for each share in force, the number held out under a beta prior around the share
    against the same under the share itself; the factors are multiplied. Of 1,000 studies that are
    split as intended at most one ever reaches 1000, over all its looks together (Ville's
    inequality); a chi-square test at p < .001 fails in more of them with every look.

    Source: Lindon and Malek, Anytime-valid inference for multinomial count data (NeurIPS 2022).
    """
    from scipy.special import betaln

    logarithm = 0.0
    for value in np.unique(share):
        group = is_called[share == value]
        called, held_out = int(group.sum()), int((~group).sum())
        a, b = _SPLIT_PRIOR_ROWS * value, _SPLIT_PRIOR_ROWS * (1 - value)
        logarithm += float(betaln(a + held_out, b + called) - betaln(a, b))
        logarithm -= held_out * math.log(value) + called * math.log1p(-value)
    return math.exp(min(logarithm, 700.0))


def _broken_split(enrolled: Enrolled, known: Enrolled) -> str | None:
    """Why the groups cannot have been drawn by lot; None where they can.

    The outcomes are checked as well: where they are known more often in one group than in the
    other, those who are compared were not drawn by lot.
    """
    for clients, whose in ((enrolled, "clients listed"), (known, "known outcomes")):
        if split_evidence(clients.is_called, clients.share) >= 1 / SPLIT_LEVEL:
            return (
                f"of {len(clients):,} {whose}, {int((~clients.is_called).sum()):,} are of clients "
                f"held out where {clients.share.sum():,.0f} are expected; a draw by lot is so far "
                f"off in fewer than 1 of {1 / SPLIT_LEVEL:,.0f} studies"
            )
    return None
