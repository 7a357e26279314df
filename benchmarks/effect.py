"""Whether what is said of calls holds: simulated studies of clients called and held out.

    make effect                               or: python -m benchmarks.effect [--studies N]

Clients leave with known probabilities; a call cuts them by a known share. In each study the real
code looks at the outcomes again and again, every ten clients, as a team would after every list.

Exit code: 0 the bars are met; 1 one is missed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from attrition.calls.effect import LEAST_OUTCOMES, SPLIT_LEVEL, Enrolled, estimate, measure
from attrition.calls.effect import split_evidence as evidence_against
from attrition.calls.holdout import is_held_out
from attrition.calls.profit import CallCosts, Floats, SuccessRate, list_profit, order_of_profit
from attrition.calls.profit import expected_profit as profit_of
from attrition.calls.sequence import ConfidenceSequence
from attrition.core.command_line import Parser
from attrition.core.config import BY_PROFIT
from attrition.core.loading import uncollected
from attrition.model.scorecard import Scorecard
from attrition.model.terms import KnotAxis, NumericTerm
from attrition.ranking.csv_list import write_list
from attrition.ranking.lookup_db import opened
from attrition.ranking.lookup_db_writer import write_ranking
from attrition.ranking.ranking import Pricing, Tiers, rank, with_changes
from benchmarks.measuring import markdown_table

SEED, STUDIES, CLIENTS, STEP = 11, 500, 3000, 10
SEQUENCE = ConfidenceSequence()


@dataclass(frozen=True)
class Study:
    """A world to study calls in; fractions 0-1.

    Attributes:
        share: of the clients, held out.
        risk: mean probability of leaving; single ones follow a beta distribution.
        cut: share of the leavers that a call keeps; below 0 calls make clients leave.
        bias: what the model adds to every probability.
        reached: share of the called who are reached.
    """

    share: float = 0.2
    risk: float = 0.46
    cut: float = 0.2
    bias: float = 0.0
    reached: float = 1.0

    def draw(self, chance: Generator, clients: int) -> tuple[Enrolled, Floats]:
        """Clients in the order of their outcomes, and the expected effect on each."""
        probability = chance.beta(6 * self.risk, 6 * (1 - self.risk), clients)
        is_called = chance.random(clients) >= self.share
        contacted = is_called & (chance.random(clients) < self.reached)
        left = chance.random(clients) < probability * (1 - self.cut * contacted)
        enrolled = Enrolled(
            risk=np.clip(probability + self.bias, 0.01, 0.99),
            is_called=is_called,
            share=np.full(clients, self.share),
            left=left.astype(np.float64),
            contacted=contacted,
            kind=np.where(contacted, "call", ""),
        )
        return enrolled, probability * self.cut * self.reached


@dataclass(frozen=True)
class Coverage:
    """What became of some studies.

    Attributes:
        covered: share of the studies in which every look's interval held the truth.
        covered_one_sided: the same of the one-sided bound.
        shown: share in which some look's interval left out 0.
        median: clients at the first such look, in the median study; infinite if half had none.
        error: mean estimate at the end less the mean truth; with its standard error.
        deviation: mean standard deviation of x at the end.
    """

    covered: float
    covered_one_sided: float
    shown: float
    median: float
    error: float
    standard_error: float
    deviation: float


def coverage(
    study: Study, studies: int = STUDIES, clients: int = CLIENTS, step: int = STEP, seed: int = SEED
) -> Coverage:
    """Look at every study after every `step` clients."""
    chance = np.random.default_rng(seed)
    covered, one_sided, first_shown, errors, deviations = [], [], [], [], []
    for _ in range(studies):
        enrolled, effects = study.draw(chance, clients)
        truth = effects.cumsum() / np.arange(1, clients + 1)
        called = enrolled.is_called.cumsum()
        holds, stays_above, shown = True, True, np.inf
        for count in range(step, clients + 1, step):
            if min(called[count - 1], count - called[count - 1]) < LEAST_OUTCOMES:
                continue
            result = estimate(_first(enrolled, count), SEQUENCE)
            low, high = result.interval
            holds &= bool(low <= truth[count - 1] <= high)
            stays_above &= bool(result.at_least <= truth[count - 1])
            if not low <= 0 <= high:
                shown = min(shown, count)
        covered.append(holds)
        one_sided.append(stays_above)
        first_shown.append(shown)
        errors.append(result.saved - truth[-1])
        deviations.append(result.deviation)
    return Coverage(
        covered=float(np.mean(covered)),
        covered_one_sided=float(np.mean(one_sided)),
        shown=float(np.isfinite(first_shown).mean()),
        median=float(np.median(first_shown)),
        error=float(np.mean(errors)),
        standard_error=float(np.std(errors) / np.sqrt(studies)),
        deviation=float(np.mean(deviations)),
    )


def _first(enrolled: Enrolled, count: int) -> Enrolled:
    return enrolled.where(slice(count))


def broken_splits(share: float, excess: float, studies: int, clients: int = CLIENTS) -> float:
    """In what share of studies the check of the split ever fails, a look every 100 clients.

    `excess` is by how much more are held out than the share says.
    """
    chance = np.random.default_rng(SEED)
    failed = 0
    for _ in range(studies):
        is_called = chance.random(clients) >= share + excess
        failed += any(
            evidence_against(is_called[:count], np.full(count, share)) >= 1 / SPLIT_LEVEL
            for count in range(100, clients + 1, 100)
        )
    return failed / studies


COSTS = CallCosts(contact_cost=5, offer_share=0.05)
RANGE = (0.15, 0.45)


def profit_coverage(success: SuccessRate | Study, lists: int) -> tuple[float, float]:
    """In what share of lists the realised profit is in its interval; and what share is the rate's.

    The success rate is drawn from what is believed of it, or measured by a study of 3,000 clients.
    """
    chance = np.random.default_rng(SEED)
    hits, shares = [], []
    for _ in range(lists):
        if isinstance(success, Study):
            believed = SuccessRate.measured(measure(success.draw(chance, CLIENTS)[0], SEQUENCE))
            assert believed is not None
            rate = success.cut
        else:
            believed, rate = success, float(success.quantiles(chance.random()))
        probability = chance.beta(2.76, 3.24, CLIENTS)
        value = chance.lognormal(5, 0.8, CLIENTS)
        plan = list_profit(probability, value, COSTS, believed, calls_per_list=500).plan
        called = order_of_profit(profit_of(probability, value, COSTS, believed))[: plan.calls]
        realised = _realised(chance, probability[called], value[called], rate)
        hits.append(plan.interval[0] <= realised <= plan.interval[1])
        if plan.share_by_success_rate is not None:
            shares.append(plan.share_by_success_rate)
    return float(np.mean(hits)), float(np.mean(shares))


def _realised(chance: Generator, probability: Floats, value: Floats, rate: float) -> float:
    """What calls earned: outcomes drawn one by one, from the story and not from the formula."""
    offer = COSTS.of_offer(value)
    leaves = chance.random(len(value)) < probability
    is_kept = leaves & (chance.random(len(value)) < rate)
    earned = np.where(is_kept, value - offer, np.where(leaves, 0.0, -offer)) - COSTS.contact_cost
    return float(earned.sum())


@dataclass(frozen=True)
class Line:
    """One line of the table: what was measured, the figure, its bar, and whether that is met."""

    what: str
    figure: str
    bar: str
    met: bool


def at_least(what: str, figure: float, bar: float, form: str = ".3f") -> Line:
    """A line whose figure must not be below its bar."""
    return Line(what, format(figure, form), f"at least {bar:g}", figure >= bar)


def at_most(what: str, figure: float, bar: float, form: str = ".3f") -> Line:
    """A line whose figure must not be above its bar."""
    return Line(what, format(figure, form), f"at most {bar:g}", figure <= bar)


def lines(studies: int = STUDIES) -> Iterator[Line]:
    """Every bar, one after the other."""
    yield from _lines_of_sequence(studies)
    yield from _lines_of_planned_study(studies)
    yield at_most("split as intended: check fails at some look", broken_splits(0.2, 0, 1000), 0.001)
    yield at_least("7 points too many held out: check fails", broken_splits(0.2, 0.07, 100), 0.9)
    yield from _lines_of_profit(studies)


def _lines_of_sequence(studies: int) -> Iterator[Line]:
    for share in (0.1, 0.2, 0.5):
        for risk in (0.1, 0.46):
            for cut in (0.0, 0.2):
                result = coverage(Study(share, risk, cut), studies)
                name = f"{share:.0%} held out, risk {risk:g}, cut {cut:g}"
                yield at_least(f"{name}: interval holds at every look", result.covered, 0.9)
                one_sided = result.covered_one_sided
                yield at_least(f"{name}: one-sided bound holds", one_sided, 0.9)


def _lines_of_planned_study(studies: int) -> Iterator[Line]:
    """The study of the design: a fifth kept, mean risk .46, a fifth held out."""
    planned = Study()
    result = coverage(planned, studies)
    yield at_most("20% held out, cut .2: outcomes until shown, median", result.median, 1000, ".0f")
    without = coverage(replace(planned, bias=-1.0), studies)  # a risk of .01 for every client
    ratio = (result.deviation / without.deviation) ** 2
    yield at_most("outcomes needed with predicted risks, against none", ratio, 0.55)
    for bias in (-0.2, 0.2):
        wrong = coverage(replace(planned, bias=bias), studies)
        name = f"risks wrong by {bias:+g}"
        yield at_most(
            f"{name}: bias in standard errors", abs(wrong.error) / wrong.standard_error, 3
        )
        yield at_least(f"{name}: interval holds at every look", wrong.covered, 0.9)
        yield at_most(f"{name}: outcomes until shown, median", wrong.median, 2000, ".0f")
    harmful = coverage(replace(planned, cut=-0.2), studies)
    yield at_most("calls that add a fifth: outcomes until shown", harmful.median, 1100, ".0f")


RANKED = 1_000_000


def ranking_seconds(clients: int = RANKED) -> tuple[float, float]:
    """Seconds of the processor to rank clients, write the list and read it back: without groups and
    profit, and with both, ordered by profit.
    """
    chance = np.random.default_rng(SEED)
    terms = [
        NumericTerm(name, KnotAxis((-3.0, 0.0, 3.0), 0.0), (-weight, 0.0, weight), 0.0, 0.0, 0.0)
        for name, weight in (("a", 2.0), ("b", 1.0), ("c", 0.5))
    ]
    card = Scorecard(-1.5, 0.5, tuple(terms), (), ())
    table = {name: chance.normal(size=clients).round(3) for name in "abc"}
    ids = np.array([f"Client {number}" for number in range(clients)], dtype=object)
    value = chance.lognormal(6, 0.8, clients).round()
    pricing = Pricing(COSTS, SuccessRate.between(*RANGE), 500)

    @uncollected()  # as the stage is
    def run(**more: Any) -> float:
        start = time.process_time()
        if more:
            more["held_out"] = is_held_out(ids.tolist(), 0.1, "calls 2026")
        tiers = Tiers(0.5, 0.25)
        ranked = rank(card, ids, table, values=value, tiers=tiers, with_reasons=100_000, **more)
        ranked = with_changes(ranked, None)
        with tempfile.TemporaryDirectory(prefix="attrition-bench-") as folder:
            write_list(Path(folder) / "clientrisk.csv", ranked)
            path = Path(folder) / "clients.db"
            about = {"time": "", "release": "", "ranked": ""}
            write_ranking(path, ranked, table, tiers, about)
            with opened(path) as book:
                book.previous("")
        if more:
            ranked.profit(pricing)
        return time.process_time() - start

    pairs = [(run(), run(rank_by=BY_PROFIT, pricing=pricing)) for _ in range(3)]
    without, both = zip(*pairs, strict=True)
    return min(without), min(both)


def _lines_of_profit(lists: int) -> Iterator[Line]:
    # 90 % is what the interval promises: two standard errors of 500 lists are .027.
    hits, share = profit_coverage(SuccessRate.between(*RANGE), lists)
    yield at_least("profit, rate of a range: interval holds what was earned", hits, 0.873)
    yield at_least("profit: share of the variance that is the rate's", share, 0.5)
    hits, _ = profit_coverage(Study(reached=0.7), lists)
    yield at_least("profit, rate measured: interval holds what was earned", hits, 0.9)
    without, both = ranking_seconds()
    yield at_most("1 million clients ranked with groups and profit / without", both / without, 1.2)


def as_markdown(measured: Sequence[Line]) -> str:
    """The lines as a table."""
    body = [(line.what, line.figure, line.bar, "yes" if line.met else "NO") for line in measured]
    return markdown_table(("what", "measured", "bar", "met"), body)


def measure_all(studies: int) -> list[Line]:
    """Every line, printed when it comes."""
    measured = []
    for line in lines(studies):
        measured.append(line)
        missed = "" if line.met else "MISSED  "
        print(f"{line.figure:>8}  {line.bar:<15}{missed}{line.what}", flush=True)
    return measured


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 1 when a bar is missed."""
    parser = Parser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=STUDIES, metavar="N", help="of each kind")
    measured = measure_all(parser.parse_args(argv).studies)
    print(f"\n{as_markdown(measured)}")
    return 0 if all(line.met for line in measured) else 1


if __name__ == "__main__":
    raise SystemExit(main())
