"""Whether calls help: the estimate by hand and in simulated studies, and when there is none."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from attrition.calls.effect import (
    LEAST_OF_A_KIND,
    LEAST_OUTCOMES,
    Effect,
    Enrolled,
    Verdict,
    estimate,
    measure,
    split_evidence,
)
from attrition.calls.sequence import ConfidenceSequence
from attrition.calls.words import calls_in_brief, effect_in_words, study_in_words
from attrition.core.plain_values import from_json, to_json
from benchmarks.effect import Study, coverage

SEQUENCE = ConfidenceSequence()


def enrolled(risk: Any, is_called: Any, left: Any, share: Any = 0.5) -> Enrolled:
    called = np.asarray(is_called, dtype=bool)
    return Enrolled(
        np.broadcast_to(np.asarray(risk, dtype=np.float64), called.shape),
        called,
        np.broadcast_to(np.asarray(share, dtype=np.float64), called.shape),
        np.broadcast_to(np.asarray(left, dtype=np.float64), called.shape),
        called,
        np.full(called.shape, ""),
    )


def groups(called: int, called_left: int, held_out: int, held_out_left: int) -> Enrolled:
    """A study of a share of a half in which everyone had the same risk."""
    left = [1.0] * called_left + [0.0] * (called - called_left)
    left += [1.0] * held_out_left + [0.0] * (held_out - held_out_left)
    return enrolled(0.4, [True] * called + [False] * held_out, left)


def test_the_estimate_is_that_of_a_count_by_hand() -> None:
    # x: -2 (0 - .5) = 1; -2 (1 - .4) = -1.2; 2 (1 - .5) = 1; 2 (0 - .6) = -1.2
    clients = enrolled([0.5, 0.4, 0.5, 0.6], [True, True, False, False], [0, 1, 1, 0])
    result = estimate(clients, SEQUENCE)
    assert result.saved == pytest.approx(-0.1)
    # Squares around it: 4 * 1.1^2; expected variance: mean p (1 - p) / .25 = .245 / .25,
    # with the weight of 20 / .5 rows.
    deviation = math.sqrt((4.84 + 40 * 0.98) / (3 + 40))
    assert result.deviation == pytest.approx(deviation)
    assert result.interval == (-1, 1)
    assert (result.at_least, result.outcomes) == (-1, 4)


def test_with_equal_risks_it_is_the_difference_of_the_shares_left() -> None:
    effect = measure(groups(1000, 310, 1000, 390), SEQUENCE)
    assert effect.estimate is not None
    assert effect.estimate.saved == pytest.approx(0.08)
    width = SEQUENCE.half_width(2000, effect.estimate.deviation)
    assert effect.estimate.interval == pytest.approx((0.08 - width, 0.08 + width))
    bound = 0.08 - SEQUENCE.one_sided_width(2000, effect.estimate.deviation)
    assert effect.estimate.at_least == pytest.approx(bound)
    assert effect.verdict is Verdict.CALLS_SAVE
    assert (effect.called.share_left, effect.held_out.share_left) == (0.31, 0.39)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("risk", [0.01, 0.5, 0.93])
@pytest.mark.parametrize(("left", "left_if_called"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_over_the_draw_the_mean_is_the_effect_on_that_client_whatever_was_predicted(
    share: float, risk: float, left: int, left_if_called: int
) -> None:
    called, held_out = (
        estimate(enrolled([risk], [is_called], [outcome], share), SEQUENCE).saved
        for is_called, outcome in ((True, left_if_called), (False, left))
    )
    assert (1 - share) * called + share * held_out == pytest.approx(left - left_if_called)


def test_what_calling_saves_not_calling_loses() -> None:
    clients = Study(share=0.2).draw(np.random.default_rng(1), 400)[0]
    mirrored = replace(clients, is_called=~clients.is_called, share=1 - clients.share)
    result, mirror = (estimate(each, SEQUENCE) for each in (clients, mirrored))
    assert result.saved == pytest.approx(-mirror.saved)
    assert result.deviation == pytest.approx(mirror.deviation)


def test_a_client_without_outcome_counts_as_listed_only() -> None:
    clients = groups(400, 120, 400, 200)
    waiting = replace(clients, left=np.full(800, np.nan))
    both = Enrolled(
        *(
            np.concatenate([getattr(each, name) for each in (clients, waiting)])
            for name in ("risk", "is_called", "share", "left", "contacted", "kind")
        )
    )
    alone, mixed = measure(clients, SEQUENCE), measure(both, SEQUENCE)
    assert mixed.estimate == alone.estimate
    assert (mixed.called.clients, mixed.called.known) == (800, 400)
    words = effect_in_words(mixed)
    assert words.startswith("Of 1,600 listed, 800 were held out: 30% of the called and 50% of")
    assert "(800 outcomes not known yet)" in words


def test_the_share_contacted_divides_the_effect_and_its_interval() -> None:
    clients = groups(1000, 310, 1000, 390)
    contacted = np.zeros(2000, dtype=bool)
    contacted[:600], contacted[1000:1100] = True, True  # 60 % of the called, 10 % of the others
    effect = measure(replace(clients, contacted=contacted), SEQUENCE)
    assert effect.estimate is not None
    assert effect.per_contact is not None
    low, high = effect.estimate.interval
    assert effect.per_contact.saved == pytest.approx(0.16)
    assert effect.per_contact.interval == pytest.approx((2 * low, 2 * high))
    assert effect.per_contact.risk == pytest.approx(0.5 * 0.4)
    assert effect.called.share_contacted == 0.6
    nobody = measure(replace(clients, contacted=np.zeros(2000, dtype=bool)), SEQUENCE)
    assert nobody.per_contact is None
    assert nobody.estimate == effect.estimate


def test_kinds_of_action_are_described_where_there_are_enough() -> None:
    clients = groups(100, 30, 100, 40)
    kind = np.array(["visit"] * 29 + ["call"] * 41 + ["offer"] * 30 + [""] * 50 + ["call"] * 50)
    effect = measure(replace(clients, kind=kind), SEQUENCE)
    assert [(each.kind, each.clients) for each in effect.kinds] == [("call", 41), ("offer", 30)]
    assert LEAST_OF_A_KIND == 30
    assert effect.kinds[0].share_left == pytest.approx(1 / 41)
    assert effect.kinds[0].mean_risk == pytest.approx(0.4)


def test_before_each_group_has_ten_outcomes_there_is_no_estimate() -> None:
    few = measure(groups(12, 4, LEAST_OUTCOMES - 1, 4), SEQUENCE)
    assert (few.verdict, few.estimate, few.kinds) == (Verdict.TOO_FEW, None, ())
    assert measure(groups(12, 4, LEAST_OUTCOMES, 4), SEQUENCE).verdict is Verdict.NOT_SHOWN
    assert effect_in_words(few) == (
        "Of 21 listed, 9 were held out; so far the outcomes of 12 called and 9 held out are known, "
        "and a comparison needs 10 of each. If calls keep 20% of those who would leave, about "
        "1,100 more outcomes show it."
    )


def test_a_study_without_clients_says_so() -> None:
    effect = measure(enrolled([], [], []), SEQUENCE)
    assert effect.verdict is Verdict.TOO_FEW
    assert effect.more_if_planned is None
    assert effect_in_words(effect).endswith("a comparison needs 10 of each.")


def test_the_outcomes_needed_turn_the_width_around() -> None:
    effect = measure(groups(100, 31, 100, 39), SEQUENCE)
    assert effect.estimate is not None
    assert effect.more_outcomes is not None
    assert effect.more_if_planned == effect.more_outcomes  # a fifth of .4 is what is seen
    width = SEQUENCE.half_width(200 + effect.more_outcomes, effect.estimate.deviation)
    assert width == pytest.approx(0.08, rel=1e-3)
    equal = measure(groups(1000, 400, 1000, 400), SEQUENCE)
    assert (equal.more_outcomes, equal.more_if_planned) == (None, 0)
    assert measure(groups(1000, 310, 1000, 390), SEQUENCE).more_outcomes is None


def test_the_evidence_against_a_split_is_1_on_average_when_it_is_as_intended() -> None:
    count, share = 30, 0.2
    mean = 0.0
    for held_out in range(count + 1):
        chance = math.comb(count, held_out) * share**held_out * (1 - share) ** (count - held_out)
        mean += chance * split_evidence(np.arange(count) >= held_out, np.full(count, share))
    assert mean == pytest.approx(1)


def test_groups_of_wrong_sizes_allow_no_verdict() -> None:
    is_called = np.arange(812) >= 300
    effect = measure(enrolled(0.4, is_called, 0.0, share=0.2), SEQUENCE)
    assert (effect.verdict, effect.estimate) == (Verdict.BROKEN_SPLIT, None)
    assert effect_in_words(effect) == (
        "Of 812 listed, 300 were held out. No verdict: of 812 clients listed, 300 are of clients "
        "held out where 162 are expected; a draw by lot is so far off in fewer than 1 of 1,000 "
        "studies."
    )
    sound = measure(enrolled(0.4, np.arange(812) >= 180, 0.0, share=0.2), SEQUENCE)
    assert sound.verdict is not Verdict.BROKEN_SPLIT


def test_outcomes_known_more_often_in_one_group_allow_no_verdict() -> None:
    clients = groups(500, 150, 500, 200)
    left = clients.left.copy()
    left[:200] = np.nan
    effect = measure(replace(clients, left=left), SEQUENCE)
    assert effect.verdict is Verdict.BROKEN_SPLIT
    assert "of 800 known outcomes, 500 are of clients held out where 400 are" in str(effect.reason)


def test_lists_of_different_shares_are_each_checked_and_weighed_by_their_own() -> None:
    # 10 % of 1,000 and 50 % of 1,000 held out; together 30 %, as one share of 30 % would be.
    share = np.repeat([0.1, 0.5], 1000)
    is_called = np.concatenate([np.arange(1000) >= 100, np.arange(1000) >= 500])
    risk = np.repeat([0.6, 0.2], 1000)
    left = np.zeros(2000)
    left[:60], left[100:640] = 1, 1  # 60 % of either group of the first list
    left[1000:1100], left[1500:1600] = 1, 1  # 20 % of either group of the second
    clients = enrolled(risk, is_called, left, share)
    assert measure(clients, SEQUENCE).verdict is Verdict.NOT_SHOWN
    assert estimate(clients, SEQUENCE).saved == pytest.approx(0, abs=1e-12)
    swapped = replace(clients, share=share[::-1].copy())
    assert measure(swapped, SEQUENCE).verdict is Verdict.BROKEN_SPLIT


@pytest.mark.parametrize(
    ("clients", "expected"),
    [
        (
            groups(1000, 310, 1000, 390),
            "Of 2,000 listed, 1,000 were held out: 31% of the called and 39% of the held out have "
            "left. At equal risk, calling saves 8 points (90%: 2 to 14, at whatever moment you "
            "look).",
        ),
        (
            groups(1000, 490, 1000, 390),
            "Of 2,000 listed, 1,000 were held out: 49% of the called and 39% of the held out have "
            "left. At equal risk, calling makes 10 more in 100 leave (90%: 4 to 16, at whatever "
            "moment you look): stop, and look at how clients are called.",
        ),
        (
            groups(100, 31, 100, 39),
            "Of 200 listed, 100 were held out: 31% of the called and 39% of the held out have "
            "left. Whether calling helps is not shown yet: at equal risk it may save up to 29 "
            "points or cost up to 13 (90%, at whatever moment you look). If calls keep 20% of "
            "those who would leave, about 900 more outcomes show it.",
        ),
        (
            groups(1000, 370, 1000, 400),
            "Of 2,000 listed, 1,000 were held out: 37% of the called and 40% of the held out have "
            "left. Whether calling helps is not shown yet: at equal risk it may save up to 9 "
            "points or cost up to 3 (90%, at whatever moment you look). If the difference stays, "
            "about 7,300 more outcomes show it.",
        ),
        (
            groups(1000, 399, 1000, 400),
            "Of 2,000 listed, 1,000 were held out: 40% of the called and 40% of the held out have "
            "left. Whether calling helps is not shown yet: at equal risk it may save up to 6 "
            "points or cost up to 6 (90%, at whatever moment you look). The difference so far is "
            "so small that 10 times as many outcomes would not show it.",
        ),
        (
            groups(1000, 400, 1000, 400),
            "Of 2,000 listed, 1,000 were held out: 40% of the called and 40% of the held out have "
            "left. Whether calling helps is not shown yet: at equal risk it may save up to 6 "
            "points or cost up to 6 (90%, at whatever moment you look). The difference so far is "
            "so small that 10 times as many outcomes would not show it.",
        ),
    ],
    ids=["saves", "harms", "not shown yet", "small", "hardly any", "none"],
)
def test_a_manager_reads_what_follows(clients: Enrolled, expected: str) -> None:
    assert effect_in_words(measure(clients, SEQUENCE)) == expected


@pytest.mark.parametrize(
    ("clients", "expected"),
    [
        (
            groups(1000, 310, 1000, 390),
            "Of 100 clients to call, calls so far have kept 8 (90%: 2 to 14).",
        ),
        (
            groups(1000, 490, 1000, 390),
            "Of 100 clients to call, calls so far have made 10 leave (90%: 4 to 16).",
        ),
        (groups(100, 31, 100, 39), "It is not shown yet that calls keep clients."),
        (
            groups(12, 4, 9, 4),
            "What calls keep is not known yet: it takes about 1,100 more outcomes.",
        ),
        (
            enrolled(0.4, np.arange(812) >= 300, 0.0, share=0.2),
            "What calls keep cannot be measured: the groups are not those that were drawn.",
        ),
        (enrolled([], [], []), "What calls keep is not known yet."),
    ],
    ids=["keeps", "harms", "not shown yet", "few", "broken split", "nobody"],
)
def test_the_first_screen_says_in_a_sentence_what_calls_have_kept(
    clients: Enrolled, expected: str
) -> None:
    assert calls_in_brief(None, measure(clients, SEQUENCE)) == expected
    assert calls_in_brief(None, None) == ""


def test_an_effect_is_plain_values_and_comes_back_from_json() -> None:
    clients = Study(share=0.5).draw(np.random.default_rng(2), 900)[0]
    for effect in (measure(clients, SEQUENCE), measure(enrolled([], [], []), SEQUENCE)):
        assert from_json(Effect, json.loads(json.dumps(to_json(effect)))) == effect


@pytest.mark.slow
@pytest.mark.parametrize("cut", [0.0, 0.2])
@pytest.mark.parametrize("bias", [0.0, -0.2])
def test_the_interval_holds_at_every_look(cut: float, bias: float) -> None:
    """Fewer and shorter studies than in `make effect`; 3 standard errors of leeway."""
    result = coverage(Study(share=0.2, cut=cut, bias=bias), studies=150, clients=1000, step=50)
    assert result.covered > 0.9 - 3 * math.sqrt(0.09 / 150)
    assert abs(result.error) < 3 * result.standard_error


def test_how_long_it_takes_is_said_by_the_pace_so_far() -> None:
    effect = measure(groups(100, 35, 100, 37), SEQUENCE)
    assert effect.more_if_planned is not None
    weeks = math.ceil(effect.more_if_planned / 200 * 4)  # 200 outcomes came in four
    now = "2026-05-29T06:00:00+00:00"
    words = study_in_words(replace(effect, since="2026-05-01"), now)
    assert words == f"{effect_in_words(effect)} At the pace so far that takes about {weeks} weeks."
    for since in ("2026-05-28", "junk", None):
        assert study_in_words(replace(effect, since=since), now) == effect_in_words(effect)
    slow = study_in_words(replace(effect, since="2016-05-01"), now)
    assert slow.endswith("takes more than ten years.")
    shown = measure(groups(1000, 310, 1000, 390), SEQUENCE)
    assert study_in_words(replace(shown, since="2026-05-01"), now) == effect_in_words(shown)


def test_that_held_out_clients_were_contacted_is_said() -> None:
    effect = measure(groups(100, 35, 100, 37), SEQUENCE)
    assert "hides" not in study_in_words(effect, "2026-05-29")
    careless = replace(effect, held_out_contacted=31)
    assert study_in_words(careless, "2026-05-29").endswith(
        "31 of the 100 held out have been contacted since listed, which hides what calls change."
    )
