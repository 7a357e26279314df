"""Without a ledger the rows that stand there stay; edits by hand are refused, or accepted whole."""

from __future__ import annotations

from pathlib import Path

import pytest

import ingestion
from attrition.core import atomic_files
from attrition.core.errors import PipelineError
from attrition.data import committed_rows
from attrition.data.ledger import read_ledger
from attrition.data.ledger_rebuild import accept_edits
from tests.conftest import HEADER, Project, book
from tests.support.ingested import counts, final, open_list, outputs, source
from tests.support.records import texts

INGESTION, FULL = "ingestion.py", "fullprocess.py"


@pytest.fixture
def archived(project: Project) -> Project:
    """Two batches were ingested; the source file of the first is there no more."""
    first = source(project, "a.csv", "k,1,2,3,0", "l,1,2,3,", "m,4,5,6,1")
    project.run(INGESTION)
    source(project, "b.csv", "n,1,2,3,1", "o,7,8,9,")
    project.run(INGESTION)
    first.unlink()
    project.run(INGESTION)
    return project


def set_aside(project: Project) -> list[str]:
    return sorted(path.name for path in project.config.output_folder_path.glob("*.set-aside-*"))


# A missing ledger


@pytest.mark.slow
def test_without_a_ledger_rows_of_archived_files_stay(archived: Project) -> None:
    before = outputs(archived)
    archived.config.ledger.unlink()
    source(archived, "c.csv", "n,1,2,3,1", "p,1,2,3,0")
    ended = archived.run(INGESTION)
    assert "ledger.json was missing" in ended.stderr
    assert final(archived) == ["k,1,2,3,0", "m,4,5,6,1", "n,1,2,3,1", "p,1,2,3,0"]
    assert open_list(archived) == ["l,1,2,3,", "o,7,8,9,"]
    ledger = read_ledger(archived.config.ledger)
    assert [(commit.rows, bool(commit.files)) for commit in ledger.commits] == [
        (3, False),
        (1, True),
    ]
    assert archived.config.ingested_files.read_text().split() == ["a.csv", "b.csv", "c.csv"]
    assert outputs(archived).keys() == before.keys(), "nothing had to be set aside"
    after = outputs(archived)
    archived.run(INGESTION)
    assert outputs(archived) == after


def test_without_ledger_and_source_files_all_rows_stay(archived: Project) -> None:
    (archived.root / "sourcedata/b.csv").unlink()
    before = outputs(archived)
    archived.config.ledger.unlink()
    archived.run(INGESTION)
    assert outputs(archived) == before


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", '{"schema": "', "[]", "\x00"])
def test_a_damaged_ledger_is_set_aside_and_made_anew(archived: Project, text: str) -> None:
    before = outputs(archived)
    archived.config.ledger.write_text(text)
    ended = archived.run(INGESTION)
    assert "ledger.json was damaged and is kept as ledger.set-aside-1.json" in ended.stderr
    kept = archived.config.output_folder_path / "ledger.set-aside-1.json"
    assert kept.read_text() == text
    kept.unlink()
    assert outputs(archived) == before


@pytest.mark.slow
def test_without_a_ledger_nobody_whose_outcome_is_known_is_open_again(project: Project) -> None:
    """The files say that k was open; the rows say that it has left, whatever order they come in."""
    source(project, "b-open.csv", "k,1,2,3,", "l,1,2,3,")
    project.run(INGESTION)
    source(project, "a-outcome.csv", "k,1,2,3,1")
    project.run(INGESTION)
    newer = source(project, "c-newer.csv", "l,5,5,5,")
    project.run(INGESTION)
    newer.unlink()
    assert open_list(project) == ["l,5,5,5,"]
    project.config.ledger.unlink()
    source(project, "d.csv", "m,1,2,3,")
    project.run(INGESTION)
    assert open_list(project) == ["l,5,5,5,", "m,1,2,3,"]
    assert final(project) == ["k,1,2,3,1"]
    source(project, "e.csv", "k,9,9,9,")
    project.run(INGESTION)
    assert "k,9,9,9," in open_list(project), "a file that came later opens it again"


@pytest.mark.slow
def test_rows_of_other_columns_are_set_aside_under_a_name(archived: Project) -> None:
    rows, opened = (
        path.read_bytes() for path in (archived.config.final_data, archived.config.open_clients)
    )
    archived.config.ledger.unlink()
    archived.configure(numeric_columns=["lastmonth_activity"])
    ended = archived.run(INGESTION)
    assert "is kept as finaldata.set-aside-1.csv" in ended.stderr
    folder = archived.config.output_folder_path
    assert (folder / "finaldata.set-aside-1.csv").read_bytes() == rows
    assert (folder / "openclients.set-aside-1.csv").read_bytes() == opened
    assert final(archived) == ["n,1,1"]
    assert open_list(archived) == ["o,7,"]
    archived.config.ledger.unlink()
    archived.configure()
    archived.run(INGESTION)
    assert set_aside(archived) == [
        "finaldata.set-aside-1.csv",
        "finaldata.set-aside-2.csv",
        "openclients.set-aside-1.csv",
        "openclients.set-aside-2.csv",
    ]
    assert (folder / "finaldata.set-aside-1.csv").read_bytes() == rows


@pytest.mark.slow
def test_of_a_torn_file_the_rows_that_can_be_read_stay(archived: Project) -> None:
    """The last row was cut amid a value, and the ledger deleted as the message says."""
    path = archived.config.final_data
    torn = path.read_bytes()[:-6]
    path.write_bytes(torn)
    failed = archived.run(INGESTION, check=False)
    assert failed.returncode == 1
    assert path.read_bytes() == torn
    archived.config.ledger.unlink()
    ended = archived.run(INGESTION)
    assert "1 row cannot be read (line 4)" in ended.stderr
    assert final(archived) == ["k,1,2,3,0", "m,4,5,6,1", "n,1,2,3,1"], "b.csv brought it again"
    kept = archived.config.output_folder_path / "finaldata.set-aside-1.csv"
    assert kept.read_bytes() == torn
    ledger = read_ledger(archived.config.ledger)
    assert ledger.unseen_start("of the lost ledger") == ledger.committed_bytes, "it may be learnt"


@pytest.mark.slow
def test_a_model_of_the_lost_ledger_has_not_seen_what_came_later(archived: Project) -> None:
    deployed = read_ledger(archived.config.ledger).commit_id
    archived.config.ledger.unlink()
    source(archived, "c.csv", "p,1,2,3,0")
    archived.run(INGESTION)
    ledger = read_ledger(archived.config.ledger)
    assert ledger.unseen_start(deployed) == ledger.commits[-1].start


def test_a_killed_first_run_is_no_lost_ledger(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    source(project, "a.csv", "k,1,2,3,0", "l,1,2,3,")

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(ingestion, "write_ledger", fail)
    with pytest.raises(OSError, match="no space"):
        ingestion.run(project.config)
    assert project.config.final_data.exists()
    monkeypatch.undo()
    result = ingestion.run(project.config)
    assert counts(result) == [("a.csv", 2, 1, 0, 1, 0)]
    assert result.notices == ()


@pytest.mark.slow
def test_a_whole_run_without_a_ledger_says_so_in_its_record_and_alert(
    finished_copy: Project,
) -> None:
    project = finished_copy
    told = project.root / "told.txt"
    project.configure(alert_command=["sh", "-c", f"cat >> {told}"])
    (project.root / "sourcedata/january.csv").unlink()
    project.run(FULL)
    rows = project.config.final_data.read_bytes()
    project.config.ledger.unlink()
    project.write("sourcedata/february.csv", book(800, 4))
    project.run(FULL)
    assert project.config.final_data.read_bytes().startswith(rows)
    record = atomic_files.read_json(project.config.decision)
    assert record["warnings"][0]["text"].startswith(
        "ledger.json was missing; a new ledger was made of the"
    )
    assert "ledger.json was missing" in told.read_text()
    # The deployed model names a commit of the lost ledger: the new rows, and they alone, are new
    # to it.
    assert record["evidence"]["unseen"]["rows"] == record["new_rows"] > 500
    assert "new rows" in record["scores"]
    told.unlink()
    project.write("sourcedata/march.csv", book(100, 5))
    project.run(FULL)
    warned = atomic_files.read_json(project.config.decision)["warnings"]
    assert not any("ledger" in text for text in texts(warned))
    assert not told.exists() or "ledger.json was missing" not in told.read_text()


# Edits by hand


def edit_first_row(text: str) -> str:
    head, first, *rest = text.splitlines(keepends=True)
    return head + first.replace(",1,", ",10,") + "".join(rest)


def edit_insert(text: str) -> str:
    head, first, *rest = text.splitlines(keepends=True)
    return head + first + "new,1,1,1,0\n" + "".join(rest)


def edit_same_length(text: str) -> str:
    return text.replace("k,1,2,3,0", "k,1,2,9,0")


def edit_append(text: str) -> str:
    return text + "new,1,1,1,0\n"


def edit_remove_last(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[:-1])


EDITS = [edit_first_row, edit_insert, edit_same_length, edit_append, edit_remove_last]


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_refused_until_it_is_restored_or_accepted(
    archived: Project, edit: object
) -> None:
    assert callable(edit)
    path = archived.config.final_data
    original, kept = path.read_bytes(), outputs(archived)
    edited = edit(original.decode()).encode()
    assert edited != original
    path.write_bytes(edited)
    source(archived, "c.csv", "p,1,2,3,0")
    for _ in range(2):
        failed = archived.run(INGESTION, check=False)
        assert failed.returncode == 1
        assert "finaldata.csv: changed since the last run" in failed.stderr
        assert "python ingestion.py --accept-edits" in failed.stderr
        assert outputs(archived) == {**kept, "finaldata.csv": edited}

    path.write_bytes(original)
    archived.run(INGESTION)
    assert path.read_bytes() == original + b"p,1,2,3,0\n"

    edited = edit(path.read_text()).encode()
    path.write_bytes(edited)
    shown = archived.run(INGESTION, "--accept-edits").stdout
    assert "finaldata.csv was changed by hand and accepted" in " ".join(shown.split())
    assert path.read_bytes() == edited
    names = [entry.name for entry in read_ledger(archived.config.ledger).entries]
    assert archived.run(INGESTION).stdout.startswith("nothing new")
    assert path.read_bytes() == edited
    assert [entry.name for entry in read_ledger(archived.config.ledger).entries] == names
    source(archived, "d.csv", "q,1,2,3,0")
    archived.run(INGESTION)
    assert path.read_bytes() == edited + b"q,1,2,3,0\n"


@pytest.mark.slow
def test_bad_rows_are_not_accepted_and_their_lines_are_named(archived: Project) -> None:
    path = archived.config.final_data
    original = path.read_text()
    path.write_text(original.replace("m,4,5,6,1", "m,four,5,6,1\nx,1,2,3,\ny,1,2"))
    before, ledger = outputs(archived), archived.config.ledger.read_bytes()
    failed = archived.run(INGESTION, "--accept-edits", check=False)
    assert failed.returncode == 1
    assert "line 3: lastmonth_activity: not a number" in failed.stderr
    assert "line 4: no outcome" in failed.stderr
    assert "line 5: 3 values, the header has 5 columns" in failed.stderr
    assert "four" not in failed.stderr, "no client's values in a log"
    assert outputs(archived) == before
    assert archived.config.ledger.read_bytes() == ledger
    path.write_text(original)
    assert "nothing was edited" in archived.run(INGESTION, "--accept-edits").stdout
    path.write_text("a,b\n1,2\n")
    failed = archived.run(INGESTION, "--accept-edits", check=False)
    assert (failed.returncode, path.read_text()) == (1, "a,b\n1,2\n")
    path.unlink()
    assert archived.run(INGESTION, "--accept-edits", check=False).returncode == 1


def test_what_a_spreadsheet_made_of_the_file_is_written_as_ours(archived: Project) -> None:
    """Other line ends, quotation marks and spellings are the same rows; a repeated one goes."""
    path = archived.config.final_data
    text = path.read_text()
    path.write_bytes(
        "\ufeff".encode()
        + text.replace("k,1,2", '"k",1.0,02').replace("\n", "\r\n").encode()
        + b"m,4,5,6,1\r\n"
    )
    shown = archived.run(INGESTION, "--accept-edits").stdout
    assert "1 repeated row left out" in " ".join(shown.split())
    assert path.read_text() == text
    commits = read_ledger(archived.config.ledger).commits
    assert [bool(commit.files) for commit in commits] == [True, True], "they are what they were"


@pytest.mark.slow
def test_an_edited_list_of_open_clients_can_be_accepted(archived: Project) -> None:
    path = archived.config.open_clients
    path.write_text(f"{HEADER}\nl,1,2,3,\n")
    failed = archived.run(INGESTION, check=False)
    assert (failed.returncode, "--accept-edits" in failed.stderr) == (1, True)
    archived.run(INGESTION, "--accept-edits")
    archived.run(INGESTION)
    assert open_list(archived) == ["l,1,2,3,"]
    path.write_text(f"{HEADER}\nl,1,2,3,1\n")
    failed = archived.run(INGESTION, "--accept-edits", check=False)
    assert "line 2: an outcome" in failed.stderr


@pytest.mark.slow
def test_an_older_copy_of_the_ledger_cuts_no_row(archived: Project) -> None:
    older = archived.config.ledger.read_bytes()
    source(archived, "c.csv", "p,1,2,3,0")
    archived.run(INGESTION)
    (archived.root / "sourcedata/c.csv").unlink()
    rows = archived.config.final_data.read_bytes()
    archived.config.ledger.write_bytes(older)
    failed = archived.run(INGESTION, check=False)
    assert "bytes follow the committed rows" in failed.stderr
    archived.run(INGESTION, "--accept-edits")
    archived.run(INGESTION)
    assert archived.config.final_data.read_bytes() == rows


@pytest.mark.slow
@pytest.mark.parametrize("name", ["finaldata.csv", "openclients.csv"])
@pytest.mark.parametrize("is_gone", [False, True])
def test_of_a_file_that_is_gone_or_empty_nothing_is_to_be_accepted_and_the_advice_helps(
    archived: Project, name: str, is_gone: bool
) -> None:
    path = archived.config.output_folder_path / name
    before = path.read_bytes()
    path.write_bytes(b"")
    if is_gone:
        path.unlink()
    failed = archived.run(INGESTION, check=False)
    assert failed.returncode == 1
    assert "--accept-edits" not in failed.stderr
    assert f"restore it, or {archived.config.ledger} where that is an older copy" in failed.stderr
    assert f"or delete {archived.config.ledger}" in failed.stderr
    path.write_bytes(before)
    archived.run(INGESTION)
    path.unlink()
    archived.config.ledger.unlink()
    archived.run(INGESTION)
    archived.run(INGESTION)


@pytest.mark.slow
def test_where_an_older_ledger_was_put_back_the_ledger_is_named_and_putting_it_right_helps(
    archived: Project,
) -> None:
    ledger = archived.config.ledger
    older = ledger.read_bytes()
    source(archived, "c.csv", "p,1,2,3,0", "q,1,2,3,")
    archived.run(INGESTION)
    newest = ledger.read_bytes()
    ledger.write_bytes(older)
    failed = archived.run(INGESTION, check=False)
    assert f"restore it, or {ledger} where that is an older copy" in failed.stderr
    ledger.write_bytes(newest)
    archived.run(INGESTION)
    assert read_ledger(ledger).committed_rows == len(final(archived))


def test_commits_before_an_accepted_edit_stay(archived: Project) -> None:
    first, second = read_ledger(archived.config.ledger).commits
    path = archived.config.final_data
    path.write_text(path.read_text().replace("n,1,2,3,1", "n,1,2,4,1"))
    archived.run(INGESTION, "--accept-edits")
    ledger = read_ledger(archived.config.ledger)
    assert ledger.commits[0] == first
    assert ledger.commits[1].id != second.id
    assert ledger.unseen_start(first.id) == first.end
    assert ledger.unseen_start(second.id) == ledger.committed_bytes, "most of it was learnt"


@pytest.mark.slow
def test_edited_rows_are_kept_when_the_settings_change(archived: Project) -> None:
    (archived.root / "sourcedata/a.csv").write_text(f"{HEADER}\nk,1,2,3,0\nl,1,2,3,\nm,4,5,6,1\n")
    path = archived.config.final_data
    path.write_text(path.read_text() + "new,1,1,1,0\n")
    archived.run(INGESTION, "--accept-edits")
    edited = path.read_bytes()
    archived.configure(numeric_columns=["lastmonth_activity"])
    ended = archived.run(INGESTION)
    kept = archived.config.output_folder_path / "finaldata.set-aside-1.csv"
    assert kept.name in ended.stderr
    assert kept.read_bytes() == edited


@pytest.mark.parametrize("how", ["accepted", "without a ledger"])
def test_open_clients_of_no_file_are_kept_when_the_settings_change(
    project: Project, how: str
) -> None:
    source(project, "a.csv", "k,1,2,3,", "l,1,2,3,1" if how == "accepted" else "m,1,2,3,")
    ingestion.run(project.config)
    rows = project.config.open_clients.read_text() + "n,7,8,9,\n"
    project.config.open_clients.write_text(rows)
    if how == "accepted":
        accept_edits(project.config)
    else:
        project.config.ledger.unlink()
    ingestion.run(project.config)
    project.configure(numeric_columns=["lastmonth_activity"])
    ingestion.run(project.config)
    assert not any(row.startswith("n,") for row in open_list(project))
    assert "openclients.set-aside-1.csv" in set_aside(project)
    (kept,) = project.config.output_folder_path.glob("openclients.set-aside-1.csv")
    assert sorted(kept.read_text().splitlines()) == sorted(rows.splitlines())
    assert "openclients.set-aside-1.csv" in read_ledger(project.config.ledger).notices[-1].text


@pytest.mark.parametrize("name", ["finaldata.csv", "openclients.csv"])
@pytest.mark.parametrize("is_empty", [True, False])
def test_what_is_gone_or_empty_is_not_said_to_be_acceptable(
    project: Project, name: str, is_empty: bool
) -> None:
    source(project, "a.csv", "k,1,2,3,", "l,1,2,3,1")
    ingestion.run(project.config)
    before = outputs(project)
    path = project.config.output_folder_path / name
    path.write_text("") if is_empty else path.unlink()
    with pytest.raises(PipelineError) as refused:
        ingestion.run(project.config)
    assert "accept-edits" not in str(refused.value)
    assert f"delete {project.config.ledger}" in str(refused.value)
    project.config.ledger.unlink()
    ingestion.run(project.config)
    assert outputs(project) == before


@pytest.mark.slow
def test_a_whole_run_notices_an_edit_and_works_again_when_it_is_undone(
    finished_copy: Project,
) -> None:
    project = finished_copy
    project.run(FULL)
    assert "idle" in project.run(FULL).stderr
    path = project.config.final_data
    original = path.read_text()
    row = original.splitlines()[5]
    path.write_text(original.replace(row, row[:-1] + ("0" if row[-1] == "1" else "1")))
    for _ in range(2):
        failed = project.run(FULL, check=False)
        assert (failed.returncode, "--accept-edits" in failed.stderr) == (1, True)
    assert project.run("training.py", check=False).returncode == 1
    path.write_text(original)
    project.run(FULL)
    assert "idle" in project.run(FULL).stderr


def test_rows_are_digested_only_when_the_stamp_is_another(
    archived: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    digests = committed_rows.digests

    def counted(path: Path, commits: object) -> object:
        read.append(path)
        return digests(path, commits)  # type: ignore[arg-type]

    monkeypatch.setattr(committed_rows, "digests", counted)
    source(archived, "c.csv", "p,1,2,3,0")
    ingestion.run(archived.config)
    ingestion.run(archived.config)
    assert read == []
    path = archived.config.final_data
    path.write_bytes(path.read_bytes())
    ingestion.run(archived.config)
    ingestion.run(archived.config)
    assert read == [path]
