"""Which files a client of the API may name: those in the data folders, and nothing else."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from attrition.core.errors import DataError
from attrition.web import data_files
from tests.conftest import Project


def test_a_data_file_is_read_by_its_relative_name(project: Project) -> None:
    for folder in ("sourcedata", "testdata", "ingesteddata"):
        path = project.write(f"{folder}/clients.csv", folder)
        name = data_files.public_name(project.config, path)
        assert name == f"{folder}/clients.csv"
        assert data_files.read_data_file(project.config, name, 100) == folder.encode()
    assert data_files.public_name(project.config, project.root / "models/x.csv") is None


def test_a_packed_file_is_read_and_bounded_and_capital_letters_do_not_matter(
    project: Project,
) -> None:
    folder = project.root / "testdata"
    (folder / "A.CSV").write_text("a")
    (folder / "b.Csv.GZ").write_bytes(gzip.compress(b"x" * 1000))
    (folder / "c.csv.gz").write_bytes(gzip.compress(b"x" * 1000)[:-3])
    assert data_files.read_data_file(project.config, "testdata/A.CSV", 100) == b"a"
    assert data_files.read_data_file(project.config, "testdata/b.Csv.GZ", 1000) == b"x" * 1000
    with pytest.raises(OverflowError):
        data_files.read_data_file(project.config, "testdata/b.Csv.GZ", 999)
    with pytest.raises(DataError, match="not a sound gzip file"):
        data_files.read_data_file(project.config, "testdata/c.csv.gz", 1000)


def test_folders_outside_the_project_go_by_their_own_name(project: Project, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere" / "exams"
    outside.mkdir(parents=True)
    (outside / "t.csv").write_text("far")
    project.configure(test_data_path=str(outside))
    assert data_files.public_name(project.config, outside / "t.csv") == "exams/t.csv"
    assert data_files.read_data_file(project.config, "exams/t.csv", 100) == b"far"


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "testdata/../models/secret.csv",
        "../secret.csv",
        "testdata/./t.csv",
        "testdata//t.csv",
        "testdata/",
        "testdata",
        "",
        "models/secret.csv",
        "file:///etc/passwd",
        "http://127.0.0.1/t.csv",
        "testdata/t.csv\0.csv",
        "testdata/\n.csv",
        "testdata/\ud800.csv",
        "testdata/.hidden.csv",
        "testdata/t.txt",
        "testdata\\t.csv",
    ],
)
def test_a_name_that_is_no_data_file_is_refused(project: Project, name: str) -> None:
    project.write("models/secret.csv", "secret")
    project.write("secret.csv", "secret")
    project.write("testdata/t.txt", "secret")
    project.write("testdata/.hidden.csv", "secret")
    with pytest.raises(DataError, match="filepath"):
        data_files.read_data_file(project.config, name, 100)


def link_file(folder: Path) -> None:
    (folder / "x.csv").symlink_to(folder.parent / "secret.csv")


def link_device(folder: Path) -> None:
    (folder / "x.csv").symlink_to("/dev/zero")


def make_pipe(folder: Path) -> None:
    os.mkfifo(folder / "x.csv")


def make_folder(folder: Path) -> None:
    (folder / "x.csv").mkdir()


def make_nothing(folder: Path) -> None:
    pass


@pytest.mark.parametrize("make", [link_file, link_device, make_pipe, make_folder, make_nothing])
def test_only_regular_files_are_opened(project: Project, make: Callable[[Path], None]) -> None:
    project.write("secret.csv", "secret")
    make(project.root / "testdata")
    with pytest.raises(FileNotFoundError):
        data_files.read_data_file(project.config, "testdata/x.csv", 100)


def test_a_folder_link_is_not_followed_and_a_folder_is(project: Project) -> None:
    (project.root / "testdata/old").mkdir()
    project.write("testdata/old/x.csv", "fine")
    (project.root / "models/x.csv").write_text("secret")
    (project.root / "testdata/link").symlink_to(project.root / "models")
    assert data_files.read_data_file(project.config, "testdata/old/x.csv", 100) == b"fine"
    with pytest.raises(FileNotFoundError):
        data_files.read_data_file(project.config, "testdata/link/x.csv", 100)


def test_a_file_larger_than_allowed_is_not_read(project: Project) -> None:
    project.write("testdata/x.csv", "12345")
    assert data_files.read_data_file(project.config, "testdata/x.csv", 5) == b"12345"
    with pytest.raises(OverflowError):
        data_files.read_data_file(project.config, "testdata/x.csv", 4)
