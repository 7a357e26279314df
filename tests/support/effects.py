"""Studies of calls and what they have shown, for tests of who tells it."""

from __future__ import annotations

import numpy as np

from attrition.calls.effect import Effect, Enrolled, measure
from attrition.calls.sequence import ConfidenceSequence
from attrition.data.ledger import read_ledger
from attrition.ranking import call_list
from attrition.ranking.call_list import RankingResult
from tests.conftest import Project


def effect_of(called_left: int, held_out_left: int, each: int = 1000, kind: str = "call") -> Effect:
    """So many to be called, all of them reached, and as many held out, all at a risk of .4.

    Args:
        called_left, held_out_left: how many of each group left.
        each: the size of each group.
        kind: of the action.
    """
    is_called = np.arange(2 * each) < each
    left = np.tile(np.arange(each), 2) < np.repeat([called_left, held_out_left], each)
    return measure(
        Enrolled(
            np.full(2 * each, 0.4),
            is_called,
            np.full(2 * each, 0.5),
            left.astype(np.float64),
            is_called,
            np.where(is_called, kind, ""),
        ),
        ConfidenceSequence(),
    )


def ranked_effect(project: Project) -> Effect:
    """Rank a project's clients, and what its study of calls then says."""
    result = call_list.rank(project.config)
    assert isinstance(result, RankingResult)
    effect, fault = call_list.effect_of_calls(
        project.config, read_ledger(project.config.ledger), result
    )
    assert effect is not None, fault
    return effect
