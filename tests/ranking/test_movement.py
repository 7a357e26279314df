"""Who has come to high risk and who has left it, from list to list."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from attrition.ranking.lookup_db import Question, opened
from attrition.ranking.lookup_db_writer import write_ranking
from attrition.ranking.movement import CAME, LEFT, moved_as_before, moved_since
from attrition.ranking.ranking import Ranking, Tiers

NOW = "2026-03-{:02}T06:00:00+00:00"


def listed(high: str, low: str) -> Ranking:
    """A ranking; each letter is a client, and worth 10."""
    count = len(high + low)
    return Ranking(
        ids=np.array(list(high + low), dtype=object),
        probabilities=np.linspace(0.9, 0.1, count),
        tiers=np.array(["high"] * len(high) + ["low"] * len(low), dtype=object),
        reasons=[],
        values=np.full(count, 10.0),
        values_at_risk=np.linspace(9.0, 1.0, count),
        value_ranks=np.arange(1, count + 1),
        probability_changes=[""] * count,
        rank_changes=[""] * count,
        rows=np.arange(count),
    )


def write(path: Path, ranking: Ranking, day: int, *, again: bool = False) -> None:
    """Write a list after the last one; `again`: of the same clients and risks as that."""
    movement = None
    if path.exists():
        with opened(path) as book:
            moved = moved_as_before if again else moved_since
            movement = moved(book.high_risk(), ranking, 0.5)
    about = {"time": NOW.format(day), "release": "000001-a", "ranked": "open clients"}
    features = {"size": np.zeros(len(ranking))}
    write_ranking(path, ranking, features, Tiers(0.5, 0.25), about, movement=movement)


def names(path: Path, moved: str) -> list[str]:
    with opened(path) as book:
        page = book.page(Question(moved=moved), 1, 10)
        assert sum(page.found.values()) == page.matching == len(page.clients)
        return [client["client"] for client in page.clients]


def test_who_came_and_who_left_is_told_until_the_clients_or_risks_differ_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "clients.db"
    write(path, listed("abc", "de"), 1)
    with opened(path) as book:
        assert "moved" not in book.about
    assert names(path, CAME) == []
    after = {"since": NOW.format(1), "came": 2, "left": 1, "gone": 1}
    # d comes from another tier, f is new on the list; b falls, c is not listed any more.
    for day, ranking in ((2, listed("daf", "be")), (3, listed("fad", "eb"))):
        write(path, ranking, day, again=day == 3)
        with opened(path) as book:
            assert book.about["moved"] == after
        assert sorted(names(path, CAME)) == ["d", "f"]
        assert names(path, LEFT) == ["b"]
    # Another threshold, the same risks: d is not at high risk any more, nor was on the first list.
    write(path, listed("fa", "ebd"), 4, again=True)
    with opened(path) as book:
        assert book.about["moved"] == {"since": NOW.format(1), "came": 1, "left": 1, "gone": 1}
    write(path, listed("faed", "b"), 5, again=True)
    assert sorted(names(path, CAME)) == ["d", "e", "f"]
    write(path, listed("fa", "ebd"), 6)
    with opened(path) as book:
        assert book.about["moved"] == {"since": NOW.format(5), "came": 0, "left": 2, "gone": 0}
    write(path, listed("fa", "ebdg"), 7)
    with opened(path) as book:  # nobody has moved since the last list, and it says no more
        assert book.about["moved"] == {"since": NOW.format(6), "came": 0, "left": 0, "gone": 0}


def test_the_value_at_risk_is_added_up_by_tier(tmp_path: Path) -> None:
    path = tmp_path / "clients.db"
    write(path, listed("abc", "de"), 1)
    with opened(path) as book:
        assert book.about["value_at_risk"] == {"high": 9.0 + 7.0 + 5.0, "medium": 0.0, "low": 4.0}
