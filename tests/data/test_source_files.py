"""Files in a folder: which are batches, which are refused, which are still being written."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from attrition.core.errors import DataError
from attrition.data import source_files


def names_in(folder: Path) -> tuple[list[str], dict[str, str]]:
    found, refused = source_files.list_batches(folder)
    return [batch.name for batch in found], {item.name: item.reason for item in refused}


@pytest.fixture
def impatient() -> Iterator[None]:
    """Who waits for a pipe's other end gets an error, where he would wait for ever."""

    def give_up(_number: int, _frame: object) -> None:
        raise TimeoutError("waited too long")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_only_csv_files_are_batches_in_the_order_of_their_names(tmp_path: Path) -> None:
    uploads = (".c.csv", "d.csv.part", "e.TMP", "f.csv.crdownload")
    for name in ("b.csv", "a.csv.gz", "a.csv", "g.CSV", "h.Csv.GZ", "i.txt", "j.gz", *uploads):
        (tmp_path / name).write_text("a,b\n")
    (tmp_path / "k").mkdir()
    assert names_in(tmp_path) == (["a.csv", "a.csv.gz", "b.csv", "g.CSV", "h.Csv.GZ"], {})
    assert [batch.is_packed for batch in source_files.list_batches(tmp_path)[0]][-2:] == [
        False,
        True,
    ]
    assert [item.name for item in source_files.list_unread(tmp_path)] == ["i.txt", "j.gz", "k"]


def test_what_is_no_regular_file_is_refused_without_waiting_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("a,b\n1,2\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.csv").symlink_to(outside)
    (folder / "loop.csv").symlink_to(folder / "loop.csv")
    (folder / "device.csv").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.csv")
    (folder / "folder.csv").mkdir()
    (folder / "new\nline.csv").write_text("a,b\n")
    (folder / os.fsdecode(b"\xff.csv")).write_text("a,b\n")
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(folder)
        server.bind("socket.csv")
        found, refused = names_in(folder)
    assert found == []
    assert {name: reason.split(";")[0] for name, reason in refused.items()} == {
        "device.csv": "a symbolic link",
        "folder.csv": "a folder",
        "link.csv": "a symbolic link",
        "loop.csv": "a symbolic link",
        "new\\nline.csv": "its name holds control characters or is not UTF-8",
        "pipe.csv": "a named pipe",
        "socket.csv": "a socket",
        "\\udcff.csv": "its name holds control characters or is not UTF-8",
    }


@pytest.mark.usefixtures("impatient")
def test_a_batch_that_became_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n")
    batch = source_files.find_batch(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="no longer a regular file"), source_files.open_batch(batch):
        pass
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(DataError, match="cannot be read"), source_files.open_batch(batch):
        pass


def test_a_file_open_for_writing_waits_however_old_it_looks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w") as stream:
        stream.write("a,b\n")
        stream.flush()
        os.utime(path, (1, 1))
        found, _ = source_files.list_batches(tmp_path)
        assert source_files.still_written(found, 3600) == {"a.csv"}
    found, _ = source_files.list_batches(tmp_path)
    assert source_files.still_written(found, 3600) == set(), "fresh, but nobody writes it"


def test_reading_does_not_stop_a_writer_that_comes_later(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n")
    found, _ = source_files.list_batches(tmp_path)
    source_files.still_written(found, 1)
    with path.open("a") as stream:
        stream.write("1,2\n")
    assert not source_files.is_unchanged(found[0])


def test_without_leases_a_file_must_have_been_left_alone_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []
    monkeypatch.delattr(fcntl, "F_SETLEASE")
    for name in ("old.csv", "young.csv", "growing.csv", "future.csv"):
        (tmp_path / name).write_text("a,b\n")
    os.utime(tmp_path / "old.csv", (1, 1))
    tomorrow = time.time() + 86_400
    os.utime(tmp_path / "future.csv", (tomorrow, tomorrow))

    def grow(seconds: float) -> None:
        waits.append(seconds)
        with (tmp_path / "growing.csv").open("a") as stream:
            stream.write("1,2\n")

    monkeypatch.setattr(time, "sleep", grow)
    found, _ = source_files.list_batches(tmp_path)
    assert source_files.still_written(found, 3) == {"growing.csv"}
    assert waits == [3], "one short wait for all"


def test_a_file_is_found_by_its_path_or_the_reason_is_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n")
    (tmp_path / "b.csv").mkdir()
    assert source_files.find_batch(tmp_path / "a.csv").stamp.size == 4
    for name, reason in (
        ("b.csv", "refused: a folder"),
        ("c.csv", "no such file"),
        ("a.txt", "expected the path of a .csv"),
        ("no/a.csv", "no such file"),
    ):
        with pytest.raises(DataError, match=reason):
            source_files.find_batch(tmp_path / name)
