"""Whether a list helped, by hand-made outcomes, and what is kept of it until they come."""

from __future__ import annotations

import numpy as np
import pytest

from attrition.core.formatting import OPEN_CLIENTS as KIND
from attrition.ranking import outcomes
from attrition.ranking.outcomes import OutcomeCounts, Remembered
from tests.support.rankings import ranked


def remembered(clients: int) -> Remembered:
    names = tuple(f"{place:02}" for place in range(1, clients + 1))
    return Remembered("key", "release", "commit", clients, names[:50], tuple(sorted(names)))


def test_precision_at_the_top_counts_known_outcomes_only() -> None:
    # Of the first ten three left, one stayed; 11 to 20 one left, two stayed; 21 to 30 four stayed.
    labels = {"01": 1, "02": 1, "05": 1, "09": 0, "11": 1, "12": 0, "20": 0}
    labels |= {"21": 0, "22": 0, "23": 0, "30": 0, "somebody else": 1}
    tops, everybody = outcomes.precision_at_top(remembered(30), labels)
    assert {size: (top.known, top.left, top.share_left) for size, top in tops.items()} == {
        10: (4, 3, 0.75),
        20: (7, 4, 4 / 7),
    }
    assert (everybody.clients, everybody.known, everybody.left) == (30, 11, 4)
    assert everybody.share_left == pytest.approx(4 / 11)


def test_outcomes_that_a_call_may_have_changed_are_counted_by_themselves() -> None:
    labels = {"01": 1, "02": outcomes.CONTACTED, "05": outcomes.CONTACTED, "09": 0}
    tops, everybody = outcomes.precision_at_top(remembered(30), labels)
    assert tops[10] == OutcomeCounts(clients=10, known=2, left=1, share_left=0.5, contacted=2)
    assert (everybody.known, everybody.left, everybody.contacted) == (2, 1, 2)


def test_who_is_held_out_is_remembered_where_the_risk_puts_them() -> None:
    chances = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6, "e": 0.5}
    is_held_out = np.array([True, False, True, False, False])
    ranking = ranked(chances, held_out=is_held_out)
    assert ranking.ids.tolist() == ["b", "d", "e", "a", "c"]
    assert outcomes.remember(ranking, "release", None, KIND).top == ("a", "b", "c", "d", "e")


def test_a_short_list_is_its_own_top_and_nothing_known_is_no_precision() -> None:
    tops, everybody = outcomes.precision_at_top(remembered(3), {})
    assert list(tops) == [3]
    assert tops[3].share_left is None
    assert everybody == OutcomeCounts(clients=3, known=0, left=0, share_left=None)


def test_an_outcome_is_the_first_label_that_came() -> None:
    assert outcomes.first_outcomes(["a", "b", "a"], [1, 0, 0]) == {"a": 1, "b": 0}


def test_what_is_remembered_is_bounded_and_the_sample_stands_for_all() -> None:
    clients = 12_000
    chances = np.linspace(0.99, 0.01, clients)
    names = {f"client {place}": chance for place, chance in enumerate(chances.tolist())}
    kept = outcomes.remember(ranked(names), "release", "commit", KIND)
    assert kept.clients == clients
    assert kept.top == tuple(f"client {place}" for place in range(50))
    assert len(kept.sample) == len(set(kept.sample)) == 5000
    places = np.array([int(name.split()[1]) for name in kept.sample])
    # Mean place of a uniform sample: 6000, standard error 12000 / sqrt(12 * 5000) = 49, less still
    # for one drawn without putting back.
    assert abs(places.mean() - clients / 2) < 150
    mixed = dict(reversed(list(names.items())))
    assert outcomes.remember(ranked(mixed), "release", "commit", KIND) == kept
    assert outcomes.remember(ranked(names), "other", "commit", KIND).key != kept.key
    small = outcomes.remember(ranked({"b": 0.9, "a": 0.1}), "release", None, KIND)
    assert (small.top, small.sample) == (("b", "a"), ("a", "b"))
