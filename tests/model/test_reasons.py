"""The reasons of a client's risk: columns, by what their curve and their pairs do together."""

from __future__ import annotations

import copy
import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attrition.model.reasons import Reason, raised_by, reasons_of
from attrition.model.scorecard import scorecard_from_json
from benchmarks.quality import our_card, read_tables
from tests.conftest import REPOSITORY
from tests.support.scorecards import CARD, CLIENTS, card, random_card, random_clients


def table() -> dict[str, Any]:
    return {"tenure": [client[0] for client in CLIENTS], "contract": [one[1] for one in CLIENTS]}


def raised_by_yes(points: float) -> dict[str, Any]:
    """A categorical column with these points for "yes" and none for others."""
    by_level = {"points": {"yes": points}, "other_points": 0.0}
    return {**by_level, "usual_value": "no", "average_points": 0.0}


def test_reasons_are_the_columns_that_raise_the_risk_with_what_the_client_has() -> None:
    reasons = reasons_of(card(), table(), 2)
    assert reasons[0] == [  # the curves give 1.5 and 0.75, the pair 0.75 more to both
        Reason(("tenure",), (0.0,), 2.25),
        Reason(("contract",), ("monthly",), 1.5),
    ]
    assert reasons_of(card(), {"tenure": [], "contract": []}, 3) == []


def test_what_a_pair_takes_back_is_no_reason() -> None:
    assert card().contributions(table())[5].tolist() == [-0.25, 0.75, -1.25]
    assert reasons_of(card(), table(), 3)[5] == []


def test_a_column_that_raises_the_risk_above_all_in_a_pair_is_told_with_the_other() -> None:
    """Of the fourth client tenure lowers the risk by 1.5, and the pair raises it by 1.75."""
    assert reasons_of(card(), table(), 3)[3] == [
        Reason(("contract", "tenure"), ("weekly", 99.0), 0.125 + 1.75)
    ]


def test_a_missing_number_is_no_reason_by_a_pair_that_takes_it_for_the_usual_value() -> None:
    raw = copy.deepcopy(CARD)
    raw["pairs"][0]["points"] = [[0.0, 0.0], [3.0, 0.0]]  # at 20 and more with monthly
    reasons = reasons_of(
        scorecard_from_json(raw), {"tenure": [math.nan], "contract": ["monthly"]}, 3
    )
    assert reasons == [[Reason(("contract", "tenure"), ("monthly", None), 0.75 + 2.75)]]


def test_of_two_partners_the_weaker_keeps_what_it_does_without_the_other() -> None:
    """Each has 0.6 alone, and both together 0.7 more."""
    pair = {"columns": ["a", "b"], "axes": [{"levels": ["yes"]}] * 2, "average_points": 0.0}
    raw = {**CARD, "numeric": {}, "categorical": {"a": raised_by_yes(0.6), "b": raised_by_yes(0.6)}}
    raw["pairs"] = [{**pair, "points": [[0.7, 0.0], [0.0, 0.0]]}]
    (reasons,) = reasons_of(scorecard_from_json(raw), {"a": ["yes"], "b": ["yes"]}, 3)
    assert [reason.columns for reason in reasons] == [("a", "b"), ("b",)]
    assert [reason.points for reason in reasons] == pytest.approx([1.3, 0.6])


@pytest.mark.parametrize("seed", range(5))
def test_what_raises_a_risk_by_itself_are_all_its_reasons_but_those_by_a_pair(seed: int) -> None:
    model = random_card(seed)
    clients = random_clients(model, seed)
    expected = [
        {reason.columns[0] for reason in reasons if len(reason.columns) == 1}
        for reasons in reasons_of(model, clients, len(model.columns))
    ]
    found = [set(np.array(model.columns)[raised]) for raised in raised_by(model, clients)]
    assert found == expected
    assert raised_by(card(), table()).tolist()[3] == [False, False]  # see above: by the pair


def test_what_has_less_than_a_quarter_of_the_strongest_is_no_reason() -> None:
    raw = copy.deepcopy(CARD) | {"pairs": []}  # tenure gives 1.5
    for points, expected in ((0.374, ["tenure"]), (0.376, ["tenure", "contract"])):
        raw["categorical"]["contract"]["points"]["monthly"] = points
        found = reasons_of(scorecard_from_json(raw), table(), 3)
        assert [reason.columns[0] for reason in found[0]] == expected


def test_what_doubles_the_odds_is_a_reason_beside_any_other() -> None:
    raw = copy.deepcopy(CARD) | {"pairs": []}
    raw["numeric"]["tenure"]["points"][0] = 4.5
    for points, expected in ((0.692, ["tenure"]), (0.694, ["tenure", "contract"])):
        raw["categorical"]["contract"]["points"]["monthly"] = points
        found = reasons_of(scorecard_from_json(raw), table(), 3)
        assert [reason.columns[0] for reason in found[0]] == expected


def test_first_comes_what_sets_a_client_apart_from_those_it_is_listed_with() -> None:
    """Everybody has a; two have each of b, c and d; b and c are too weak to come first, and e is
    too little.
    """
    names, values = "abcde", {"a": 2.0, "b": 0.5, "c": 0.6, "d": 0.7, "e": 0.49}
    raw = {**CARD, "numeric": {}, "pairs": []}
    raw["categorical"] = {name: raised_by_yes(points) for name, points in values.items()}
    clients = ("ab", "ac", "ad", "ae", "abcd")
    table = {name: ["yes" if name in has else "no" for has in clients] for name in names}
    card = scorecard_from_json(raw)

    def named(count: int, groups: list[str] | None) -> list[str]:
        listed = None if groups is None else np.array(groups, dtype=object)
        reasons = reasons_of(card, table, count, listed)
        return ["".join(one.columns[0] for one in each) for each in reasons]

    assert named(3, None) == ["ab", "ac", "ad", "a", "adc"]
    assert named(3, ["high"] * 5) == ["ab", "ac", "da", "a", "dca"]
    assert named(1, ["high"] * 5) == ["a"] * 5  # the strongest is never left out
    # Alone in its group nothing sets a client apart: the stronger reasons, the less said one first.
    assert named(3, ["high", "high", "high", "high", "low"]) == ["ab", "ac", "da", "a", "dac"]


def test_clients_who_are_alike_do_not_all_begin_with_the_same_reason() -> None:
    """Two reasons are important, a third is not."""
    names, values = "abc", {"a": 0.6, "b": 0.4, "c": 0.16}
    raw = {**CARD, "numeric": {}, "pairs": []}
    raw["categorical"] = {name: raised_by_yes(points) for name, points in values.items()}
    table = {name: ["yes"] * 60 for name in names}
    reasons = reasons_of(scorecard_from_json(raw), table, 3, np.array(["high"] * 60, dtype=object))
    orders = ["".join(one.columns[0] for one in each) for each in reasons]
    assert set(orders) == {"abc", "bac"}
    for start in range(60 - 25):
        assert max(Counter(orders[start : start + 25]).values()) <= 13
    assert reasons_of(scorecard_from_json(raw), table, 3)[1][0].columns[0] == "a"


def test_one_sentence_does_not_begin_all_because_its_points_differ_a_little() -> None:
    """Both columns have pairs with a third, which adds to each client's points another trifle."""
    number = {"knots": [0.0, 59.0], "points": [0.0, 0.0], "missing_points": 0.0, "usual_value": 0.0}
    pair = {"axes": [{"levels": ["yes"]}, {"knots": [0.0, 59.0]}], "average_points": 0.0}
    raw = {
        **CARD,
        "numeric": {"n": {**number, "missing_share": 0.0, "average_points": 0.0}},
        "categorical": {"a": raised_by_yes(0.6), "b": raised_by_yes(0.6)},
        "pairs": [{**pair, "columns": [one, "n"], "points": [[0, 0.04], [0, 0]]} for one in "ab"],
    }
    listed = {"a": ["yes"] * 60, "b": ["yes"] * 60, "n": [float(n) for n in range(60)]}
    reasons = reasons_of(scorecard_from_json(raw), listed, 2, np.array(["high"] * 60, dtype=object))
    assert len({reason.points for of_client in reasons for reason in of_client}) == 60
    assert Counter(of_client[0].columns for of_client in reasons)[("a",)] in (29, 30, 31)


def test_of_one_column_the_rarer_value_sets_a_client_apart() -> None:
    """All five have both columns as reasons; only the fourth has as many points of tenure."""
    raw = {**copy.deepcopy(CARD), "pairs": []}
    raw["numeric"]["tenure"] |= {"knots": [0.0, 10.0], "points": [1.0, 0.0], "average_points": 0.0}
    raw["categorical"]["contract"]["points"]["monthly"] = 1.0
    listed = {"tenure": [2.0, 2.0, 2.0, 1.0, 4.0], "contract": ["monthly"] * 5}
    reasons = reasons_of(scorecard_from_json(raw), listed, 2, np.array(["high"] * 5, dtype=object))
    first = [of_client[0].columns[0] for of_client in reasons]
    # The second says what the first has not said; of what is said as often the rarer comes first.
    assert first == ["tenure", "contract", "tenure", "tenure", "tenure"]


@pytest.mark.parametrize(
    ("columns", "points", "expected"),
    [
        (11, 1.0, [f"c{n}" for n in range(11)]),  # none is weak beside another
        (1, 0.048, []),  # raises the odds by less than a twentieth
        (1, 0.049, ["c0"]),
    ],
)
def test_the_strongest_lift_is_a_reason_unless_it_is_a_trifle(
    columns: int, points: float, expected: list[str]
) -> None:
    level = {"points": {}, "other_points": points, "usual_value": "", "average_points": 0.0}
    names = [f"c{n}" for n in range(columns)]
    raw = {**CARD, "numeric": {}, "pairs": [], "categorical": dict.fromkeys(names, level)}
    (reasons,) = reasons_of(scorecard_from_json(raw), {name: ["x"] for name in names}, 20)
    assert [reason.columns[0] for reason in reasons] == expected


def test_a_missing_value_is_shown_as_none_in_a_reason() -> None:
    raw = copy.deepcopy(CARD) | {"pairs": []}
    raw["numeric"]["tenure"]["missing_points"] = 3.0
    client = {"tenure": [math.nan], "contract": [""]}
    (reason, *_), *_ = reasons_of(scorecard_from_json(raw), client, 1)
    assert reason == Reason(("tenure",), (None,), 2.5)


# Real tables


DATA = REPOSITORY.parent / "shared" / "data"


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real tables are not there: {DATA}")
@pytest.mark.parametrize("name", ["bank_churn_10k", "churn_mlc5000", "iranian_churn"])
def test_a_reason_has_the_points_by_which_the_client_is_above_all_values_of_the_column(
    name: str,
) -> None:
    """Found out by scoring the client with the values of all others."""
    (data,) = (one for one in read_tables(DATA) if one.name == name)
    rows = np.random.default_rng(1).permutation(len(data.labels))[:2000]
    model = our_card(data, rows, seed=1)
    clients = data.features.iloc[rows]
    riskiest = clients.iloc[np.argsort(-model.probabilities(clients))[:30]]
    count = 0
    for position, reasons in enumerate(reasons_of(model, riskiest, 3)):
        client = riskiest.iloc[[position]]
        own = float(model.log_odds(client)[0])
        for reason in reasons:
            changed = pd.concat([client] * len(clients), ignore_index=True)
            changed[reason.columns[0]] = clients[reason.columns[0]].to_numpy()
            raised = own - model.log_odds(changed).mean()
            is_rest = raised > reason.points and len(reason.columns) == 1
            assert raised == pytest.approx(reason.points, abs=1e-6) or is_rest
            count += not is_rest
    assert count > 45
