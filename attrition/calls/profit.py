"""Whether a call pays, for each client and for a list: what it may keep against what it costs.

With p the predicted probability of leaving, v the client's value, d the cost of what is offered, f
that of a call, and g the success rate, the share of those who would leave that a call keeps, a call
is expected to earn

    E = g p (v - d) - (1 - p) d - f

A client who is kept takes the offer, one who would have stayed takes it as well, one who leaves
does not (Verbraken, Verbeke and Baesens 2013, IEEE TKDE 25(5), for one v; Janssens et al. 2022,
Annals of Operations Research, for each client's). Calls pay where E > 0, in the order of E.

E is linear in g, so its mean needs only the mean of g. But an error in g moves a whole list, and no
number of clients averages it out: the interval of a long list's profit is nearly all g's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attrition.calls.effect import Effect

INTERVAL_LEVEL = 0.90
_TAIL = (1 - INTERVAL_LEVEL) / 2
_NORMAL_QUANTILE = 1.6448536269514722  # of a probability of .95
_NODES = 400
_POINTS = 60  # of a curve

Floats = NDArray[np.float64]
_Spread = tuple[tuple[float, float], float | None]


@dataclass(frozen=True)
class CallCosts:
    """What a call costs: itself, and the offer, as a share 0-1 of the client's value or a sum."""

    contact_cost: float
    offer_share: float = 0.0
    offer_cost: float = 0.0

    def of_offer(self, value: ArrayLike) -> Floats:
        """The cost of the offer to clients of these values."""
        return self.offer_share * np.asarray(value, dtype=np.float64) + self.offer_cost


@dataclass(frozen=True)
class SuccessRate:
    """The share of would-be leavers that a call keeps, and how well that is known.

    Attributes:
        mean: a fraction; below 0 calls make clients leave, which only a measured one can say.
        low, high: the middle 90 % of what it may be; equal for a number taken as exact.
        is_measured: from a study: normal; else a range from people's experience: a beta
            distribution, which stays within 0 and 1 and has no edge at the limits (that of
            Verbraken's EMP, Beta(6, 14), is the range .147 to .475).
    """

    mean: float
    low: float
    high: float
    is_measured: bool = False

    @staticmethod
    def exactly(rate: float) -> SuccessRate:
        """A number that is taken as it is, a fraction 0-1."""
        return SuccessRate(rate, rate, rate)

    @staticmethod
    def between(low: float, high: float) -> SuccessRate:
        """A range believed to hold the rate with 90 %; 0 < low < high < 1."""
        a, b = _beta_of(low, high)
        return SuccessRate(a / (a + b), low, high)

    @staticmethod
    def measured(effect: Effect) -> SuccessRate | None:
        """What a study says; None while it has no estimate.

        Where a call turns the risk p_i into (1 - g) p_i, clients called keep g sum(c_i p_i) / n of
        themselves, c_i = 1 for a client that was reached. So g = saved / mean(c_i p_i): with all
        reached, the points saved divided by the mean risk of the called. The risks are the
        predicted ones: where they are too high by a factor, g is too low by it, and g p is right.
        Without records of contacts every listed client counts as reached. The interval is the
        study's, which holds at whatever look, and so is wider than one for a single look.
        """
        from scipy.stats import norm

        if effect.estimate is None:
            return None
        saved, (low, high) = effect.estimate.saved, effect.estimate.interval
        risk = effect.per_contact.risk if effect.per_contact else effect.called.mean_risk
        assert risk is not None  # a group without outcomes allows no estimate
        # A side may be cut off at a fraction of 1; the other is not.
        width = max(saved - low, high - saved) / float(norm.ppf((1 + effect.level) / 2))
        width *= _NORMAL_QUANTILE
        return SuccessRate(saved / risk, (saved - width) / risk, (saved + width) / risk, True)

    def quantiles(self, probabilities: ArrayLike) -> Floats:
        """The rates at these probabilities 0-1."""
        from scipy import stats

        chosen = np.asarray(probabilities, dtype=np.float64)
        if self.low == self.high:
            return np.full(chosen.shape, self.mean)
        if self.is_measured:
            spread = (self.high - self.low) / (2 * _NORMAL_QUANTILE)
            return np.asarray(stats.norm.ppf(chosen, self.mean, spread))
        return np.asarray(stats.beta.ppf(chosen, *_beta_of(self.low, self.high)))


def _beta_of(low: float, high: float) -> tuple[float, float]:
    """The parameters of the beta distribution with these quantiles at 5 % and 95 %."""
    from scipy import optimize, stats

    if not 0 < low < high < 1:
        raise ValueError(f"a range: expected 0 < low < high < 1, found {low} and {high}")
    middle, spread = (low + high) / 2, (high - low) / (2 * _NORMAL_QUANTILE)
    rows = max(middle * (1 - middle) / spread**2 - 1, 0.5)

    def misses(logarithms: Floats) -> Floats:
        reached = stats.beta.cdf(np.array([low, high]), *np.exp(logarithms))
        return np.asarray(reached - np.array([_TAIL, 1 - _TAIL]))

    start = np.log([middle * rows, (1 - middle) * rows])
    a, b = np.exp(optimize.least_squares(misses, start, xtol=1e-14, ftol=1e-14, gtol=1e-14).x)
    return float(a), float(b)


def expected_profit(
    risk: ArrayLike, value: ArrayLike, costs: CallCosts, success: SuccessRate
) -> Floats:
    """What a call to each client is expected to earn, in the unit of the values.

    Args:
        risk: array of shape (n_clients,), probability of leaving if not called, a fraction 0-1.
        value: the same or one number, what is lost with the client.
        costs: in the unit of the values.
        success: its mean counts.
    """
    probability, offer = np.asarray(risk, dtype=np.float64), costs.of_offer(value)
    kept = success.mean * probability * (np.asarray(value) - offer)
    return np.asarray(kept - (1 - probability) * offer - costs.contact_cost)


def break_even(value: float, costs: CallCosts, success: SuccessRate) -> float | None:
    """The probability of leaving above which a call pays; None where no call does.

    It is the threshold of `high_risk_threshold: "profit"`, at the mean value of the clients: where
    value and risk are independent, calls at this risk earn nothing on average. A list should
    nevertheless be cut by each client's own profit.
    """
    offer = float(costs.of_offer(value))
    gain = success.mean * (value - offer) + offer  # by how much E rises from p = 0 to p = 1
    loss = offer + costs.contact_cost
    return loss / gain if gain > 0 and loss < gain else None


@dataclass(frozen=True)
class CallProfit:
    """What calling the clients of highest profit is expected to earn; plain values.

    Attributes:
        clients: number of clients there are.
        worth_calling: how many have an expected profit above 0.
        calls: how many are called: those, or as many as can be made.
        expected: their profit, in the unit of the values.
        interval: 90 % of what the sum may come to, by the success rate and by chance.
        share_by_success_rate: share 0-1 of the sum's variance that is the success rate's; None
            where the sum is certain.
        gain_over_random: how much more than as many calls to clients drawn at random.
        next_call: what one more call than `calls` would earn; None where no client is left.
    """

    clients: int
    worth_calling: int
    calls: int
    expected: float
    interval: tuple[float, float]
    share_by_success_rate: float | None
    gain_over_random: float
    next_call: float | None


@dataclass(frozen=True)
class ProfitCurve:
    """What so many calls are expected to earn, in the order of profit; of equal lengths.

    Attributes:
        calls: numbers of calls, rising from 0; among them those of the plan.
        expected: the sums.
        low, high: 90 % of what each sum may come to, by the success rate and by chance.
        by_risk: what as many calls earn in the order of risk.
    """

    calls: tuple[int, ...]
    expected: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    by_risk: tuple[float, ...]


@dataclass(frozen=True)
class ListProfit:
    """What a list of clients to call is worth; plain values.

    Attributes:
        plan: of the clients that have a value.
        curve: for more and fewer calls than the plan has.
        success: what it rests on.
        calls_per_list: how many calls can be made; None: any number.
        without_value: clients to call of whom no profit can be told.
    """

    plan: CallProfit
    curve: ProfitCurve
    success: SuccessRate
    calls_per_list: int | None
    without_value: int


def list_profit(
    risk: Floats,
    value: Floats,
    costs: CallCosts,
    success: SuccessRate,
    calls_per_list: int | None = None,
) -> ListProfit:
    """What a list earns whose calls end where they no longer pay, or where no more can be made.

    Args:
        risk: array of shape (n_clients,), as of `expected_profit`.
        value: the same; NaN where it is not known.
        costs: in the unit of the values.
        success: with its range.
        calls_per_list: how many calls can be made; None: any number.
    """
    known = ~np.isnan(value)
    clients = _Clients(risk[known], value[known], costs, success)
    plan = clients.plan(calls_per_list)
    curve = clients.curve(plan, calls_per_list or 0)
    return ListProfit(plan, curve, success, calls_per_list, int((~known).sum()))


def order_of_profit(profit: Floats) -> NDArray[np.intp]:
    """The positions of clients, the most profitable first; equal ones as they come."""
    return np.argsort(-profit, kind="stable")


class _Clients:
    """Clients in the order of their profit."""

    def __init__(self, risk: Floats, value: Floats, costs: CallCosts, success: SuccessRate) -> None:
        profit = expected_profit(risk, value, costs, success)
        self._risk, self._profit, self._costs = risk, profit, costs
        self._rates = success.quantiles((np.arange(_NODES) + 0.5) / _NODES)
        self._order = order_of_profit(profit)
        self._ordered_risk, self._ordered_value = risk[self._order], value[self._order]

    def plan(self, calls_per_list: int | None) -> CallProfit:
        profit = self._profit
        worth_calling = int((profit > 0).sum())
        calls = worth_calling if calls_per_list is None else min(worth_calling, calls_per_list)
        expected = float(profit[self._order[:calls]].sum())
        ((interval, share),) = self._spreads([calls])
        return CallProfit(
            clients=len(profit),
            worth_calling=worth_calling,
            calls=calls,
            expected=expected,
            interval=interval,
            share_by_success_rate=share,
            gain_over_random=expected - calls * float(profit.mean()) if calls else 0.0,
            next_call=float(profit[self._order[calls]]) if calls < len(profit) else None,
        )

    def curve(self, plan: CallProfit, calls_per_list: int) -> ProfitCurve:
        """As far as its shape is to be seen: beyond what pays and what can be done."""
        end = min(len(self._profit), max(round(1.25 * plan.worth_calling), 2 * calls_per_list, 20))
        marks = {plan.calls, plan.worth_calling, min(calls_per_list, end)}
        calls = sorted({round(end * k / _POINTS) for k in range(_POINTS + 1)} | marks)
        intervals = [interval for interval, _ in self._spreads(calls)]
        by_risk = np.argsort(-self._risk, kind="stable")[:end]
        return ProfitCurve(
            calls=tuple(calls),
            expected=tuple(_sum_of_first(self._profit[self._order[:end]])[calls].tolist()),
            low=tuple(low for low, _ in intervals),
            high=tuple(high for _, high in intervals),
            by_risk=tuple(_sum_of_first(self._profit[by_risk])[calls].tolist()),
        )

    def _spreads(self, calls: Sequence[int]) -> Iterator[_Spread]:
        """Of the first k clients, for each k."""
        end = max(calls)
        sums = _sums(self._ordered_risk[:end], self._ordered_value[:end], self._costs)
        for k in calls:
            yield _spread(self._costs.contact_cost * k, sums[:, k], self._rates)


def _sum_of_first(amounts: Floats) -> Floats:
    """The sum of the first k amounts, for k from 0 on."""
    return np.concatenate([[0.0], np.cumsum(amounts)])


def _sums(risk: Floats, value: Floats, costs: CallCosts) -> Floats:
    """What the spread of the first k calls needs, for k = 0 to n_calls: shape (9, n_calls + 1)."""
    offer = costs.of_offer(value)
    gain, stays = value - offer, (1 - risk) * offer
    kept = risk * gain
    terms = (kept, stays, kept * gain, stays * offer, kept * stays, stays**2, kept**2, gain, offer)
    return np.stack([_sum_of_first(term) for term in terms])


def _spread(contacts: float, sums: Floats, rates: Floats) -> _Spread:
    """The 90 % interval of the sum, and the share of its variance that is the success rate's.

    Given g, clients behave independently and the sum of some hundred is nearly normal; over g it is
    a mixture of such, at equally probable rates. A rate below 0 varies as one above. Of few clients
    it is rough, but holds nothing beyond the loss of all offers and the gain of all clients.
    """
    kept, stays, kept_gain, stays_offer, kept_stays, stays_2, kept_2, gain, offer = sums.tolist()
    means = rates * kept - stays - contacts
    # Of one call: g p of `gain`, (1 - p) of `-offer`, else 0; variance = mean square - mean^2.
    variances = np.abs(rates) * kept_gain + stays_offer
    variances += 2 * rates * kept_stays - stays_2 - rates**2 * kept_2
    deviations = np.sqrt(np.maximum(variances, 0))
    total = float(np.var(means) + np.mean(deviations**2))
    if total == 0:
        return (float(means[0]), float(means[0])), None
    low, high = _quantiles_of_mixture(means, deviations)
    worst = -offer - contacts - (gain if rates.min() < 0 else 0.0)
    interval = max(low, worst), min(high, gain - contacts)
    return interval, float(np.var(means)) / total


def _quantiles_of_mixture(means: Floats, deviations: Floats) -> tuple[float, float]:
    """Between which values the middle 90 % of an equal mixture of normal distributions lies."""
    from scipy import optimize, special

    reach = 10 * float(deviations.max()) + 1e-9 * float(np.abs(means).max())
    limits = float(means.min()) - reach, float(means.max()) + reach
    scale = np.maximum(deviations, 1e-12 * (limits[1] - limits[0]))

    def quantile(probability: float) -> float:
        def excess(amount: float) -> float:
            return float(special.ndtr((amount - means) / scale).mean()) - probability

        return float(optimize.brentq(excess, *limits))

    return quantile(_TAIL), quantile(1 - _TAIL)
