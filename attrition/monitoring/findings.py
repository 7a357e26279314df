"""What is found about a deployed model and decided about a candidate: the values alone.

Light to import: the server reads them in the records of the runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from attrition.model.comparison import Comparison
from attrition.model.suspicion import Together
from attrition.runs import history

PREDICTIONS = "predictions"
PSI_FLOOR = 0.1  # the usual reading: below 0.1 no shift worth the name, above 0.25 a large one
NAMED_RISK_CHANGE = 0.02  # of the mean predicted risk, however small the shifts behind it look
VALUES, MISSINGNESS = "values", "missingness"  # what may change of a column
ASSUMPTION = (
    "an estimate, not a measurement: it holds as far as the model's probabilities still do, that "
    "is, clients who look alike leave as often as they did among the training rows"
)


class Sample(StrEnum):
    """The rows that a deployed model is examined on."""

    TEST_DATA = "test data"
    NEW_ROWS = "new rows"
    OPEN_CLIENTS = "open clients"


class DriftVerdict(StrEnum):
    """Whether a model, a column or a sample has drifted."""

    DRIFT = "drift"
    NO_DRIFT = "no drift"
    INSUFFICIENT = "insufficient data"


class _Judged:
    """What has a verdict."""

    verdict: DriftVerdict

    @property
    def has_drifted(self) -> bool:
        """Whether it is drift."""
        return self.verdict is DriftVerdict.DRIFT


class RunVerdict(StrEnum):
    """What a run came to; kept is the old model, and a run that failed came to nothing.

    A proposed candidate is good enough to be deployed, and waits for a person to approve it.
    """

    DEPLOYED = "deployed"
    KEPT = "kept"
    PROPOSED = "proposed"
    NOT_ENOUGH_EVIDENCE = "not enough evidence"
    FAILED = history.FAILED


class TrainingKind(StrEnum):
    """Why a candidate is trained."""

    NOTHING = "nothing"
    FIRST = "first"
    NEW_COLUMNS = "new columns"
    NEW_DIRECTIONS = "new directions"  # of the risk along columns, which the model is to obey
    NEW_TEST_ROWS = "new test rows"
    NEW_ROWS = "new rows"
    NEW_LIBRARY = "new library"


@dataclass(frozen=True)
class TrainingNeed:
    """Whether to train, and why (not)."""

    kind: TrainingKind
    reason: str

    @property
    def train(self) -> bool:
        """Whether a candidate is to be trained."""
        return self.kind is not TrainingKind.NOTHING


@dataclass(frozen=True)
class Suspicion:
    """Columns that tell the answer beyond belief.

    Attributes:
        columns: those that do so alone, with their AUC.
        model_auc: of the whole model.
        together: without any, those that carry a model that as a whole does.
    """

    columns: Mapping[str, float] = field(default_factory=dict)
    model_auc: float | None = None
    together: Together | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """The columns to look at, if any."""
        return tuple(self.columns) or (self.together.columns if self.together else ())


@dataclass(frozen=True)
class Evidence:
    """Champion against challenger: on the test data, on the rows new to both, and on both pooled.

    Attributes:
        unseen: None when no labelled row came after the deployed model was trained.
        look: number of comparisons since the last one that claimed "better", this one included.
        needed_confidence: that a claim of "better" needs at this look.
        claims_better: whether the candidate is said to be better; None where nothing was decided.
    """

    test: Comparison
    unseen: Comparison | None
    pooled: Comparison
    look: int = 1
    needed_confidence: float | None = None
    claims_better: bool | None = None


@dataclass(frozen=True)
class Looks:
    """The comparisons with the live model since a candidate was last claimed to be better.

    Attributes:
        count: their number.
        last: the last one of all, that claim's included; None before any.
    """

    count: int = 0
    last: Evidence | None = None

    def number_of(self, evidence: Evidence) -> int:
        """Which comparison this is, from 1 on; the last one made again is no further one."""
        last = self.last
        compared = evidence.test, evidence.unseen, evidence.pooled
        if last is not None and compared == (last.test, last.unseen, last.pooled):
            return last.look
        return self.count + 1

    def with_comparison(self, evidence: Evidence | None) -> Looks:
        """After a run that compared so; None where it compared nothing."""
        if evidence is None:
            return self
        return Looks(0 if evidence.claims_better else evidence.look, evidence)


class Measure(StrEnum):
    """By what outcomes are compared with the probabilities given before."""

    LOG_LOSS = "log loss"
    LEAVERS = "share of leavers"
    AUC = "AUC"


@dataclass(frozen=True)
class Departure:
    """How far one measure departs from what was to be expected, on some rows.

    Attributes:
        measure: which.
        rows, batches: on how many rows of how many batches.
        promised: what was to be expected, corrected by what the model reached when it was fitted.
        now: what came.
        change: the difference of the two.
        size: how far that is for the worse; of the share of leavers, in either direction.
        p: of so large a departure by chance, adjusted for all that were looked at.
        is_drift: whether its size is above `drift_threshold` and more than chance.
        net: whether what follows from another share of leavers alone is left out.
    """

    measure: Measure
    rows: int
    batches: int
    promised: float
    now: float
    change: float
    size: float
    p: float
    is_drift: bool
    net: bool = False


@dataclass(frozen=True)
class PerformanceDrift(_Judged):
    """Whether the outcomes depart from what the model's probabilities promised.

    F1 stands beside for people: `fall` is a difference of F1, and the interval (95 %) that of F1 at
    deployment, where it is known. `reason` is "" in the thinned record of an old run.

    Attributes:
        departures: what was compared, by the rows looked at.
        f1_at_former_share: today's F1, had as many clients left as among the training rows.
    """

    verdict: DriftVerdict
    reason: str = ""
    at_deployment: float | None = None
    now: float | None = None
    fall: float | None = None
    interval_at_deployment: tuple[float, float] | None = None
    departures: tuple[Departure, ...] = ()
    f1_at_former_share: float | None = None


@dataclass(frozen=True)
class MeasureChange:
    """One measure today and at deployment, on the same kind of rows.

    Attributes:
        measure: "roc_auc", "calibration_gap" (mean probability less the observed share: above 0 the
            model warns of too many) or "calibration_error" (see `attrition/model/metrics.py`).
        at_deployment: None when it was undefined.
        error_at_deployment: its standard error; None where it is not known.
        now, standard_error: today's value.
        interval, interval_at_deployment: 95 %; None where the measure has none, or none is known.
        change: today's less that at deployment.
        change_error: its standard error as if the two samples were apart; too wide, never too
            narrow, where they share rows. None when one of theirs is not known.
    """

    measure: str
    at_deployment: float | None
    now: float
    standard_error: float | None
    change: float | None = None
    change_error: float | None = None
    error_at_deployment: float | None = None
    interval: tuple[float, float] | None = None
    interval_at_deployment: tuple[float, float] | None = None


@dataclass(frozen=True)
class ExpectedScore:
    """The F1 to expect of rows whose outcome is not known.

    `f1_interval` (95 %) is for the chance of the outcomes alone; it knows nothing of probabilities
    that are wrong. `confusion` holds expected numbers of rows. `disbelieved` says why the estimate
    is not to be believed: the model has drifted, or its probabilities are off; None where nothing
    speaks against it.
    """

    rows: int
    is_estimate: bool = True
    assumption: str = ASSUMPTION
    undefined: str | None = None
    f1: float | None = None
    f1_interval: tuple[float, float] | None = None
    positives: float | None = None
    confusion: Mapping[str, float] | None = None
    disbelieved: str | None = None

    @property
    def believable_f1(self) -> float | None:
        """The estimate; None where there is none, or where it is not to be believed."""
        return None if self.disbelieved else self.f1


@dataclass(frozen=True, kw_only=True)
class ColumnDrift(_Judged):
    """One column's comparison; without enough data test, statistic, p-values and effects are None.

    Attributes:
        column: its name.
        kind: "numeric", "categorical" or "predictions"; "" in the thinned record of an old run.
        missing_before, missing_now: share of the rows, a fraction 0-1.
        adjusted_p: Holm's, over all columns and the predictions.
        psi: population stability index over all bins, missing being one.
        psi_missing: the part of it that lies in how many are missing; the rest is the values'.
        wasserstein: distance of the numbers over the reference's standard deviation; None for
            categories and for constant columns.
        changed: of a drifted column "values", "missingness" or both.
        change: what changed most, in words.
    """

    column: str
    kind: str = ""
    verdict: DriftVerdict
    missing_before: float | None = None
    missing_now: float = 0.0
    test: str | None = None
    statistic: float | None = None
    degrees_of_freedom: int | None = None
    p: float | None = None
    adjusted_p: float | None = None
    psi: float | None = None
    psi_missing: float | None = None
    wasserstein: float | None = None
    changed: tuple[str, ...] = ()
    change: str | None = None

    @property
    def missingness_changed(self) -> bool:
        """Whether values went missing, or came back."""
        return MISSINGNESS in self.changed


_NOT_JUDGED = ColumnDrift(column=PREDICTIONS, kind=PREDICTIONS, verdict=DriftVerdict.INSUFFICIENT)


@dataclass(frozen=True)
class Drift(_Judged):
    """The comparison of two samples; `verdict` is drift when any column or the predictions did.

    The thinned record of an old run lacks `level` and `reference_rows`.
    """

    verdict: DriftVerdict
    level: float | None = None
    reference_rows: int = 0
    rows: int = 0
    columns: tuple[ColumnDrift, ...] = ()
    predictions: ColumnDrift = _NOT_JUDGED

    @property
    def judged(self) -> tuple[ColumnDrift, ...]:
        """The columns in their order, then the predictions."""
        return (*self.columns, self.predictions)

    @property
    def drifted(self) -> tuple[ColumnDrift, ...]:
        """What drifted, in that order."""
        return tuple(one for one in self.judged if one.has_drifted)


@dataclass(frozen=True)
class TermImpact:
    """One term's share in the change of the mean log-odds.

    Attributes:
        term: a column, or two joined by " x ": what a pair adds beyond its columns is its own.
        columns: the columns it reads.
        points_before: mean points over the rows at training.
        points_now: mean points over today's rows.
        change: the difference, in log-odds; above 0 the shift lifts the risk.
        standard_error: of `change`, from the spread of today's points and both numbers of rows.
        risk_without: what today's mean predicted risk, a fraction 0-1, would be without this shift:
            each client gets, of this term, the points that stood at its rank among the training
            rows (the order of the clients and all other points stay). None beyond the strongest
            terms.
    """

    term: str
    columns: tuple[str, ...]
    points_before: float
    points_now: float
    change: float
    standard_error: float
    risk_without: float | None


@dataclass(frozen=True)
class Impact:
    """How the deployed model's view of today's rows differs from that of its training rows.

    Attributes:
        rows: today's number of clients.
        terms: largest absolute change first; the changes sum to `log_odds_change`.
        log_odds_before, log_odds_now, log_odds_change: means over the clients.
        risk_before, risk_now: mean predicted probability of leaving, fraction 0-1.
        leavers_before, leavers_now: share of the clients at or above the threshold, 0-1.
        moved_clients: how many more (below 0: fewer) of today's clients stand on the leavers' side
            than if the share of the training rows still held: `rows` times
            (`leavers_now` - `leavers_before`). A net number: those who crossed either way cancel.
        risk_error: standard error of the change of the mean risk, by both numbers of rows; None in
            an old record.
    """

    rows: int
    terms: tuple[TermImpact, ...]
    log_odds_before: float
    log_odds_now: float
    log_odds_change: float
    risk_before: float
    risk_now: float
    leavers_before: float
    leavers_now: float
    moved_clients: float
    risk_error: float | None = None

    @property
    def moves_risk(self) -> bool:
        """Whether the mean risk moves by two points or more, and more than chance does at 1 %."""
        moved = abs(self.risk_now - self.risk_before)
        error = self.risk_error
        return error is not None and moved >= NAMED_RISK_CHANGE and moved > 2.576 * error


@dataclass(frozen=True)
class WeakSegment:
    """Clients of some kind, for whom the model is clearly worse than for the rest.

    Attributes:
        conditions: what they have in common, in words: one column, or two.
        rows: their number, without those of segments named before.
        log_loss: the model's, mean over them, in nats.
        difference: by how much their log loss is above what is to be expected of their
            probabilities, less the same of all other rows; nats per client.
        interval: of `difference`, 95 % for all segments looked at together; it leaves out 0 where
            the test of loss is significant.
        adjusted_p: Bonferroni's, the smaller one of its two tests (loss and calibration), over
            those of all segments looked at.
        left: share who left, a fraction 0-1.
        left_interval: its 95 % interval.
        predicted: mean predicted probability of leaving.
        expected_left: the same, corrected for what is wrong over all rows.
    """

    conditions: tuple[str, ...]
    rows: int
    log_loss: float
    difference: float
    interval: tuple[float, float]
    adjusted_p: float
    left: float
    left_interval: tuple[float, float]
    predicted: float
    expected_left: float


@dataclass(frozen=True)
class SegmentSearch:
    """Where the live model is weak, the surest first, on rows that it had not learnt.

    Attributes:
        rows: how many there were.
        looked_at: number of segments, of one column or two.
        level: largest chance that any segment is named where the model is right everywhere.
        weak: the segments.
        log_loss: the model's, over all rows.
    """

    rows: int
    looked_at: int
    level: float
    weak: tuple[WeakSegment, ...] = ()
    log_loss: float | None = None
