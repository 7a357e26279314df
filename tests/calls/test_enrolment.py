"""Each client enters a study once, and what is written down of it is whole, or missed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrition.calls.enrolment import Enrolment, enrol, read_enrolments
from attrition.core.errors import DataError
from tests.support.killing import killed_at

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)


def listed(*clients: str, day: str = "2026-05-04", risk: float = 0.5) -> Enrolment:
    count = len(clients)
    return Enrolment(day, "ab12", clients, np.full(count, risk), np.arange(count) % 2 == 0)


def shown(enrolments: tuple[Enrolment, ...]) -> list[tuple[str, str | None, str, float, bool]]:
    return [
        (enrolment.day, enrolment.commit, *row)
        for enrolment in enrolments
        for row in zip(
            enrolment.clients, enrolment.risk.tolist(), enrolment.is_called.tolist(), strict=True
        )
    ]


@settings(max_examples=30)
@given(st.lists(NAMES, min_size=1, unique=True))
def test_any_client_reads_back(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("study")
    written = enrol(folder, (), listed(*names, risk=0.1234))
    assert shown(read_enrolments(folder)) == shown(written)


def test_a_client_enters_once_with_the_risk_and_group_of_then(tmp_path: Path) -> None:
    first = enrol(tmp_path, (), listed("Ann", "Bob", risk=0.8))
    again = listed("Bob", "Ann", "Cid", day="2026-06-01", risk=0.6)
    second = enrol(tmp_path, first, again)
    assert shown(second) == [
        ("2026-05-04", "ab12", "Ann", 0.8, True),
        ("2026-05-04", "ab12", "Bob", 0.8, False),
        ("2026-06-01", "ab12", "Cid", 0.6, True),
    ]
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert shown(enrol(tmp_path, read_enrolments(tmp_path), again)) == shown(second)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == stamps
    assert len(stamps) == 2


def test_an_enrolment_that_was_killed_counts_nobody_and_is_made_anew(
    tmp_path: Path,
) -> None:
    first = enrol(tmp_path, (), listed("Ann"))
    with killed_at(os, "fsync") as patch:
        # What the dying process cannot remove any more.
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        enrol(tmp_path, first, listed("Ann", "Bob"))
    assert len(list(tmp_path.iterdir())) == 2
    assert shown(read_enrolments(tmp_path)) == shown(first)
    second = enrol(tmp_path, read_enrolments(tmp_path), listed("Ann", "Bob"))
    assert [enrolment.clients for enrolment in second] == [("Ann",), ("Bob",)]
    assert sorted(path.name[:6] for path in tmp_path.iterdir()) == ["000001", "000002"]


def test_what_is_lost_or_changed_is_noticed(tmp_path: Path) -> None:
    enrolments = enrol(tmp_path, enrol(tmp_path, (), listed("Ann")), listed("Bob"))
    assert len(enrolments) == 2
    first, second = sorted(tmp_path.iterdir())
    content = second.read_bytes()
    for damage in (content.replace(b"0.5", b"0.9"), content[:-3], b"", b"\xff"):
        second.write_bytes(damage)
        with pytest.raises(DataError, match="restore it from a backup"):
            read_enrolments(tmp_path)
    second.write_bytes(content)
    (tmp_path / "notes.csv").write_text("of a person")
    assert len(read_enrolments(tmp_path)) == 2
    first.unlink()
    with pytest.raises(DataError, match="000001 is missing"):
        read_enrolments(tmp_path)


@pytest.mark.parametrize("ending", [" (1)", "-copy", "_old", " - Copy"])
def test_a_copy_beside_a_file_is_called_an_extra_file(tmp_path: Path, ending: str) -> None:
    enrol(tmp_path, (), listed("Ann"))
    (written,) = tmp_path.iterdir()
    copy = written.with_stem(written.stem + ending)
    copy.write_bytes(written.read_bytes())
    with pytest.raises(DataError, match=r"an extra file, such as a copy.*take it away") as caught:
        read_enrolments(tmp_path)
    assert str(caught.value).startswith(f"{copy}: ")
    copy.unlink()
    assert len(read_enrolments(tmp_path)) == 1


def test_files_of_different_backups_are_noticed(tmp_path: Path) -> None:
    first = enrol(tmp_path, (), listed("Ann"))
    enrol(tmp_path, first, listed("Bob"))
    (lost,) = tmp_path.glob("000002-*")
    content = lost.read_bytes()
    lost.unlink()
    enrol(tmp_path, first, listed("Cid", "Bob"))
    lost.write_bytes(content)
    with pytest.raises(DataError, match="two files 000002, of different backups"):
        read_enrolments(tmp_path)
    lost.rename(lost.with_name(lost.name.replace("000002", "000003")))
    with pytest.raises(DataError, match="1 client enrolled twice"):
        read_enrolments(tmp_path)
