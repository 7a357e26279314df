"""Has the data moved? Two samples compared column by column, the older one kept as a small summary.

Later rows are compared with the summary of the training rows (`monitoring/reference.py`). Each
column, and the predictions, is one chi-square test of homogeneity on bins, missing values being a
bin of their own: it suits numbers and categories alike, and treats the reference as the sample it
is. (Kolmogorov and Smirnov's test would see neither missing values nor categories, and what it sees
earlier in numbers lies far below the effect size that is asked for.) Beside each p-value stand
effect sizes, and both must speak before drift is claimed: the p-value so that a small sample does
not cry wolf, the effect size so that a large one does not make noise look like news.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from attrition.core.errors import DataError
from attrition.core.formatting import are_years, year_text
from attrition.monitoring.findings import (
    MISSINGNESS,
    PREDICTIONS,
    PSI_FLOOR,
    VALUES,
    ColumnDrift,
    Drift,
    DriftVerdict,
)
from attrition.monitoring.reference import (
    CUTS,
    Counts,
    Floats,
    category_counts,
    median,
    number_counts,
    slice_means,
)
from attrition.monitoring.statistical_tests import (
    Test,
    holm,
    homogeneity,
    population_stability_index,
)

MISSING_FLOOR = 0.05  # so much more or less of a column missing is worth the name, whatever its PSI


def compare(
    reference: Mapping[str, Any],
    features: pd.DataFrame,
    log_odds: ArrayLike,
    level: float,
    minimum_rows: int,
) -> Drift:
    """Compare rows with a reference made by `summarise`.

    The predictions join the columns in one Holm family, so that under no drift at all the chance
    of any alarm in the one overall verdict is at most `level`.

    Args:
        reference: from `summarise`.
        features: as for `summarise`, with at least the reference's columns.
        log_odds: array of shape (n_rows,), predictions of the same model as the reference's.
        level: significance level of the whole family of tests, a fraction 0-1.
        minimum_rows: with fewer rows (in the reference or now) there is no verdict.

    Raises:
        DataError: a column of the reference is absent.
    """
    absent = [n for n in (*reference["numeric"], *reference["categorical"]) if n not in features]
    if absent:
        raise DataError(f"columns of the drift reference are absent: {', '.join(absent)}")
    numbers = {n: features[n].to_numpy(np.float64) for n in reference["numeric"]}
    tables = [
        *(_numeric(n, s, numbers[n]) for n, s in reference["numeric"].items()),
        *(_categorical(n, s, features[n]) for n, s in reference["categorical"].items()),
        replace(
            _numeric(PREDICTIONS, reference["log_odds"], np.asarray(log_odds, dtype=np.float64)),
            kind=PREDICTIONS,
        ),
    ]
    enough = min(int(reference["rows"]), len(features)) >= minimum_rows
    results = _judge(tables, level) if enough else [_unjudged(table) for table in tables]
    verdicts = {result.verdict for result in results}
    overall = next(
        (v for v in (DriftVerdict.DRIFT, DriftVerdict.NO_DRIFT) if v in verdicts),
        DriftVerdict.INSUFFICIENT,
    )
    return Drift(
        overall, level, int(reference["rows"]), len(features), tuple(results[:-1]), results[-1]
    )


@dataclass(frozen=True)
class _Table:
    """One column counted before and now; the last count is of missing values."""

    column: str
    kind: str
    before: Counts
    now: Counts
    wasserstein: float | None
    value_change: str

    @property
    def missing(self) -> tuple[float, float]:
        """Share missing before and now."""
        return _last_share(self.before), _last_share(self.now)


def _numeric(column: str, summary: Mapping[str, Any], values: Floats) -> _Table:
    before, now = number_counts(summary, values)
    present = values[~np.isnan(values)]
    distance, words = None, "the values changed"  # without numbers
    if len(present) and summary["slices"] is not None:
        distance = _wasserstein(summary, present)
        before_and_now = summary["median"], median(present)
        years = are_years((*before_and_now, float(present.min()), float(present.max())))
        words = _move_words(*map(year_text if years else _plain, before_and_now))
    return _Table(column, "numeric", before, now, distance, words)


def _wasserstein(summary: Mapping[str, Any], present: Floats) -> float | None:
    """Wasserstein distance over the reference's standard deviation; None where that is 0."""
    if not summary["deviation"]:
        return None
    with np.errstate(over="ignore"):
        gaps = np.abs(slice_means(present) - np.asarray(summary["slices"])) / summary["deviation"]
        distance = float(gaps @ np.diff(CUTS))
    return distance if np.isfinite(distance) else None


def _categorical(column: str, summary: Mapping[str, Any], values: pd.Series[Any]) -> _Table:
    before, now = category_counts(summary, values)
    names = [*(f'"{level}"' for level in summary["levels"]), "all others"]
    old, new = _shares(before[:-1]), _shares(now[:-1])
    most = int(np.abs(new - old).argmax())
    words = f"{names[most]} {_percent(new[most])}, was {_percent(old[most])}"
    return _Table(column, "categorical", before, now, None, words)


def _shares(counts: Counts) -> Floats:
    shares: Floats = counts / max(int(counts.sum()), 1)
    return shares


def _move_words(old: str, new: str) -> str:
    return f"median {new}, was {old}" if old != new else f"median still {new}, spread otherwise"


def _missing_words(before: float, now: float) -> str:
    return f"missing in {_percent(now)}, was {_percent(before)}"


def _plain(number: float) -> str:
    text = f"{number:,.0f}" if 1000 <= abs(number) < 1e15 else f"{number:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def _percent(share: float) -> str:
    return f"{share:.1%}" if 0 < share < 0.1 else f"{share:.0%}"


def _unjudged(table: _Table) -> ColumnDrift:
    before, now = table.missing
    return ColumnDrift(
        column=table.column,
        kind=table.kind,
        verdict=DriftVerdict.INSUFFICIENT,
        missing_before=before,
        missing_now=now,
    )


def _last_share(counts: Counts) -> float:
    total = int(counts.sum())
    return float(counts[-1] / total) if total else 0.0


def _judge(tables: Sequence[_Table], level: float) -> list[ColumnDrift]:
    """Test every table and decide over all of them together."""
    tests = [homogeneity(table.before, table.now) for table in tables]
    adjusted = holm([test.p for test in tests])
    return [_verdict(*judged, level) for judged in zip(tables, tests, adjusted, strict=True)]


def _verdict(table: _Table, test: Test, adjusted_p: float, level: float) -> ColumnDrift:
    missing_before, missing_now = table.missing
    changed = _changed(table, test.psi) if adjusted_p <= level else ()
    words = [_missing_words(missing_before, missing_now)] if MISSINGNESS in changed else []
    words += [table.value_change] if VALUES in changed or not words else []
    return ColumnDrift(
        column=table.column,
        kind=table.kind,
        verdict=DriftVerdict.DRIFT if changed else DriftVerdict.NO_DRIFT,
        missing_before=missing_before,
        missing_now=missing_now,
        test=test.name,
        statistic=test.statistic,
        degrees_of_freedom=test.degrees_of_freedom,
        p=test.p,
        adjusted_p=adjusted_p,
        psi=test.psi,
        psi_missing=_missing_psi(table),
        wasserstein=table.wasserstein,
        changed=changed,
        change="; ".join(words),
    )


def _missing_psi(table: _Table) -> float:
    """PSI of missing against present.

    Relative entropy obeys a chain rule, so the PSI over all bins is this and a part that is zero
    when the present values are distributed as before.
    """
    before, now = (
        np.array([counts[:-1].sum(), counts[-1]]) for counts in (table.before, table.now)
    )
    used = before + now > 0
    return population_stability_index(before[used], now[used])


def _changed(table: _Table, psi: float) -> tuple[str, ...]:
    """What changed enough to be called drift, if the test calls it more than chance."""
    before, now = table.missing
    psi_missing = _missing_psi(table)
    parts = {
        VALUES: psi - psi_missing >= PSI_FLOOR,
        MISSINGNESS: psi_missing >= PSI_FLOOR or abs(now - before) >= MISSING_FLOOR,
    }
    named = tuple(part for part, is_large in parts.items() if is_large)
    if named or psi < PSI_FLOOR:
        return named
    return (MISSINGNESS if psi_missing > psi / 2 else VALUES,)  # large only together
