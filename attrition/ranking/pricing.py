"""What calls cost and keep: from the settings, or as the study of calls has measured it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from attrition.calls.effect import Effect
from attrition.calls.profit import CallCosts, SuccessRate, break_even
from attrition.core.config import BY_PROFIT, BY_RISK, BY_VALUE, MEASURED, Config
from attrition.model.terms import Floats
from attrition.ranking.ranking import Pricing

NOT_MEASURED = (
    "no profit is shown: the success rate of calls is to be measured, and the hold-out has "
    "measured nothing yet (a number or a range as success_rate serves until then)"
)


def pricing(config: Config, effect: Effect | None) -> Pricing | str | None:
    """The costs and the success rate of calls.

    Args:
        effect: what the study of calls has measured; None for nothing.

    Returns:
        None where no costs are set; a text where nothing is known of the success rate.
    """
    if config.contact_cost is None or config.success_rate is None:
        return None
    costs = CallCosts(config.contact_cost, config.offer_share, config.offer_cost)
    success = _success_rate(config.success_rate, effect)
    return Pricing(costs, success, config.calls_per_list) if success else NOT_MEASURED


def _success_rate(
    setting: float | tuple[float, float] | str, effect: Effect | None
) -> SuccessRate | None:
    if isinstance(setting, float):
        return SuccessRate.exactly(setting)
    if isinstance(setting, tuple):
        return SuccessRate.between(*setting)
    assert setting == MEASURED
    return None if effect is None else SuccessRate.measured(effect)


def order(config: Config, priced: Pricing | str | None, values: Floats | None) -> str:
    """What orders the list: until a profit can be computed, the value at risk stands for it; where
    no value is known, the risk.

    Args:
        values: of the clients, or their values at risk: NaN where they are not known.
    """
    if values is None or np.isnan(values).all():
        return BY_RISK
    is_priced = isinstance(priced, Pricing)
    return BY_VALUE if config.rank_by == BY_PROFIT and not is_priced else config.rank_by


def order_settings(config: Config, rank_by: str, *, held_out: bool) -> str:
    """All settings that order a list, as JSON: with others a place says nothing of a client.

    What a `MEASURED` success rate is today is data, not a setting.

    Args:
        rank_by: the result of `order`.
        held_out: whether clients are held out.
    """
    settings: dict[str, Any] = {"rank_by": rank_by}
    if held_out:
        settings["hold_out"] = config.holdout_share, config.salt_digest
    if rank_by != BY_RISK:
        settings["value"] = config.value_column
    if rank_by == BY_PROFIT:
        costs = config.contact_cost, config.offer_share, config.offer_cost
        settings["profit"] = *costs, config.success_rate
    return json.dumps(settings)


def high_threshold(
    config: Config, priced: Pricing | str | None, values: Floats | None
) -> float | None:
    """The least probability of a client at high risk by the settings; None: the model's own.

    It is the model's own, too, where no call pays a client of mean value, or nothing is known.
    """
    setting = config.high_risk_threshold
    if setting is None or isinstance(setting, float):
        return setting
    if not isinstance(priced, Pricing) or values is None or np.isnan(values).all():
        return None
    return break_even(float(np.nanmean(values)), priced.costs, priced.success)
