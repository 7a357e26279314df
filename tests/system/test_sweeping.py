"""What the sweeps leave out leaves the next run nothing else than what they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.remembering import remembered
from tests.support.sweeping import OPENS_ONLY, Call, before_changes


def test_of_calls_that_find_the_same_files_the_first_is_chosen() -> None:
    calls = [
        Call("openat:when=1", is_ours=False, changes=False),  # another program's file
        Call("openat:when=2", is_ours=True, changes=False),
        Call("openat:when=3", is_ours=True, changes=True),  # finds what the one before found
        Call("write:when=1", is_ours=True, changes=True),
        Call("fsync:when=1", is_ours=True, changes=False),
        Call("rename:when=1", is_ours=True, changes=True),  # finds what fsync found
        Call("write:when=1", is_ours=True, changes=True),  # another thread's: too late to be killed
        Call("openat:when=4", is_ours=True, changes=False),
    ]
    chosen = ["openat:when=2", "write:when=1", "fsync:when=1", "openat:when=4"]
    assert before_changes(calls) == chosen


@pytest.mark.parametrize(
    ("flags", "is_opened_only"),
    [
        ("O_RDONLY|O_CLOEXEC", True),
        ("O_RDWR", True),
        ("O_WRONLY|O_CREAT|O_APPEND, 0666", False),
        ("O_WRONLY|O_TRUNC", False),
    ],
)
def test_to_open_a_file_changes_it_if_it_is_made_or_emptied(
    flags: str, *, is_opened_only: bool
) -> None:
    call = f'openat(AT_FDCWD</>, "/project/models/a.json", {flags}) = 3</project/models/a.json>'
    assert bool(OPENS_ONLY.match(call)) == is_opened_only


def test_what_was_computed_is_taken_for_equal_arguments_alone(tmp_path: Path) -> None:
    computed: list[Any] = []

    def double(values: list[str]) -> list[str]:
        computed.append(values)
        return values * 2

    for _ in range(2):  # as in two processes
        again = remembered(double, tmp_path, {}, adds=True)
        assert again(["a", "".join("ab")[:1]]) == ["a"] * 4
        assert again(["b"]) == ["b", "b"]
    assert computed == [["a", "a"], ["b"]]


def test_what_may_not_be_added_is_computed_again(tmp_path: Path) -> None:
    computed: list[Any] = []
    function = remembered(computed.append, tmp_path, {}, adds=False)
    for _ in range(2):
        function("a")
    assert computed == ["a", "a"]
    assert not [*tmp_path.iterdir()]


def test_a_text_of_the_arguments_is_the_same_object_in_a_result_from_before(tmp_path: Path) -> None:
    for column in ("".join(["ag", "e"]), "".join(["a", "ge"])):
        pair = remembered(lambda name: (name, name), tmp_path, {}, adds=True)(column)
        assert pair[0] is pair[1] is column
