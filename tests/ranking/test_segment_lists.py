"""The list of each segment: which clients it holds, what its file is called, what is removed."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrition.core.labels import NO_LABELS
from attrition.ranking import segment_lists
from attrition.ranking.csv_list import write_lines
from attrition.ranking.ranking import MOST_SEGMENTS, Ranking, with_changes
from attrition.ranking.segment_lists import file_names, remove_segments, write_segments
from tests.support.rankings import ranked

TEXTS = ["Nord", "nord", "", "../../etc", "a/b", "a\\b", "Süd", "Su\u0308d", "x" * 200, "(blank)"]


def segmented(texts: list[str]) -> Ranking:
    """A ranking of as many clients, the last one first, in segments by their branch."""
    chances = {f"client {n}": (n + 1) / (len(texts) + 2) for n in range(len(texts))}
    branch = np.array(texts, dtype=object)
    return with_changes(ranked(chances, segments={"branch": branch}), None)


def clients(path: Path) -> list[tuple[str, str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return [
            (row["rank"], row["client"], row["segment_branch"]) for row in csv.DictReader(stream)
        ]


def test_each_segment_has_its_clients_with_their_ranks_and_only_the_present_ones_have_a_list(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "segments"
    write_segments(folder, segmented(["Nord", "Süd", "Nord", ""]), NO_LABELS)
    assert {path.name for path in folder.iterdir()} == {
        "branch-Nord.csv",
        "branch-Süd.csv",
        "branch-(blank).csv",
    }
    assert clients(folder / "branch-Nord.csv") == [
        ("2", "client 2", "Nord"),
        ("4", "client 0", "Nord"),
    ]
    (folder / ".tmp-1-branch-Nord.csv").touch()  # of a killed run
    write_segments(folder, segmented(["Nord"]), NO_LABELS)
    assert [path.name for path in folder.iterdir()] == ["branch-Nord.csv"]
    remove_segments(folder)
    assert not list(folder.iterdir())


def test_a_segment_that_is_renamed_in_case_alone_keeps_its_list_where_files_have_one_name_for_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_segments(tmp_path, segmented(["North"]), NO_LABELS)

    def write_whatever_its_case(path: Path, header: str, lines: Iterable[str]) -> None:
        """As a file system that knows no case: what is there keeps its name."""
        names = [old for old in path.parent.iterdir() if old.name.lower() == path.name.lower()]
        write_lines(names[0] if names else path, header, lines)

    monkeypatch.setattr(segment_lists, "write_lines", write_whatever_its_case)
    write_segments(tmp_path, segmented(["north"]), NO_LABELS)
    assert [path.name for path in tmp_path.iterdir()] == ["branch-north.csv"]


def test_a_text_like_anothers_name_with_its_digest_in_any_case_gets_one_of_its_own() -> None:
    text = "a/b"
    (taken,) = file_names([("branch", text)]).values()
    alike = taken.removeprefix("branch-").removesuffix(".csv").upper()
    names = file_names([("branch", text), ("branch", alike)]).values()
    assert len({name.casefold() for name in names}) == 2


def test_without_segment_columns_there_is_no_folder_and_an_older_list_goes(tmp_path: Path) -> None:
    none = replace(segmented(["Nord"]), segments={})
    write_segments(tmp_path / "none", none, NO_LABELS)
    assert not (tmp_path / "none").exists()
    write_segments(tmp_path / "some", segmented(["Nord"]), NO_LABELS)
    write_segments(tmp_path / "some", none, NO_LABELS)
    assert not list((tmp_path / "some").iterdir())


def test_names_are_safe_and_distinct_and_plain_where_the_text_is(tmp_path: Path) -> None:
    write_segments(tmp_path / "segments", segmented(TEXTS), NO_LABELS)
    paths = sorted((tmp_path / "segments").iterdir())
    assert len(paths) == len(TEXTS)
    assert sorted(text for path in paths for _, _, text in clients(path)) == sorted(TEXTS)
    names = file_names([("branch", text) for text in ("Nord", "New York", "St. Gallen", "A-1")])
    assert list(names.values()) == [
        "branch-Nord.csv",
        "branch-New York.csv",
        "branch-St. Gallen.csv",
        "branch-A-1.csv",
    ]


def test_two_columns_and_a_text_that_looks_like_anothers_digest_have_names_of_their_own() -> None:
    (slash,) = file_names([("branch", "a/b")]).values()
    like_it = slash.removeprefix("branch-").removesuffix(".csv")
    segments = [("a-b", "c"), ("a", "b-c"), ("branch", "a/b"), ("branch", like_it)]
    assert len(set(file_names(segments).values())) == len(segments)


@given(st.sets(st.tuples(st.sampled_from(["branch", "Ö/ " * 40]), st.text(max_size=300))))
def test_any_texts_give_names_that_a_file_system_takes(segments: set[tuple[str, str]]) -> None:
    names = file_names(sorted(segments)).values()
    assert len({name.casefold() for name in names}) == len(segments)
    for name in names:
        assert len(f".tmp-4194304-{name}".encode(errors="surrogatepass")) <= 255
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert not name.startswith(".")


def test_a_column_that_no_client_has_gets_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_segments(tmp_path / "segments", segmented(["", "Nord"]), NO_LABELS)
    assert not caplog.text
    write_segments(tmp_path / "segments", segmented(["", ""]), NO_LABELS)
    assert "segment_columns: no client has a 'branch'" in caplog.text


def test_a_column_with_too_many_segments_gets_no_lists_and_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    many = segmented([f"manager {n}" for n in range(MOST_SEGMENTS + 1)])
    with caplog.at_level(logging.WARNING):
        write_segments(tmp_path / "segments", many, NO_LABELS)
    assert not (tmp_path / "segments").exists()
    assert "no lists by branch: it has 501 segments" in caplog.text
