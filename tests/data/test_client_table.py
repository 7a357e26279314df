"""Files of client rows in DuckDB: read fast or taken apart by us, the rows must be the same."""

from __future__ import annotations

import csv
import io
import itertools
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from attrition.core.config import Config
from attrition.core.errors import DataError, PipelineError
from attrition.data import csv_records
from attrition.data.client_table import ClientTable, connect
from tests.conftest import Project, new_project
from tests.support import rfc4180

SETTINGS: dict[str, Any] = {
    "id_column": "id",
    "numeric_columns": ["x"],
    "categorical_columns": ["c"],
    "target_column": "y",
}

Row = tuple[Any, ...]


@pytest.fixture
def config(project: Project) -> Config:
    project.configure(**SETTINGS)
    return project.config


@pytest.fixture(scope="module")
def shared_config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The same for many examples of one test."""
    project = new_project(tmp_path_factory.mktemp("project"))
    project.configure(**SETTINGS)
    return project.config


def read(config: Config, data: bytes) -> tuple[list[Row], list[Row]]:
    """Rows (id, x, c, label) and rejections (line, column, value, reason) of a file."""
    path = config.root / "table.csv"
    path.write_bytes(data)
    with connect(config, config.root, len(data)) as connection:
        table = ClientTable(connection, config, config.root)
        with table.transaction():
            intake = table.add(path, 0)
        rows = connection.execute(
            "SELECT v0, v1, v2, label FROM rows WHERE problem IS NULL"
        ).fetchall()
        rejections = connection.execute(
            'SELECT line, "column", value, reason FROM rejections ORDER BY line'
        ).fetchall()
    assert intake.rows_read == len(rows) + len(rejections)
    assert intake.quarantined == len(rejections)
    assert intake.open == sum(row[-1] is None for row in rows)
    return rows, rejections


def read_slowly(config: Config, data: bytes) -> tuple[list[Row], list[Row]]:
    """The same, the file taken apart by us."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClientTable, "_load_sound", lambda self, file: False)
        return read(config, data)


def test_values_are_checked_and_stored_in_one_form(config: Config) -> None:
    data = b"id,x,c,y\n007,1.50, gold ,1\nNA,, ,0.0\nnull,-0,null, \n 7 ,1e3,\xc2\xa0,1.0\n"
    assert read(config, data) == (
        [
            ("007", 1.5, "gold", 1),
            ("NA", None, None, 0),
            ("null", 0.0, "null", None),
            (" 7 ", 1000.0, None, 1),
        ],
        [],
    )


def test_each_bad_value_is_named_with_line_column_and_reason(config: Config) -> None:
    bad = b'a,1e309,,1\nb,nan,,1\nc,1_000,,1\nd,twelve,,1\n"e\ne",1,,2\n ,1,,1\nf,+-5,,1\n'
    data = b"id,x,c,y\n" + bad + b"g,1,,1\n"
    rows, rejections = read(config, data)
    assert rows == [("g", 1.0, None, 1)]
    assert rejections == [
        (2, "x", "1e309", "not a finite number"),
        (3, "x", "nan", "not a finite number"),
        (4, "x", "1_000", "not a number (an underscore)"),
        (5, "x", "twelve", "not a number"),
        (6, "y", "2", "neither '1' nor '0'"),
        (8, "id", " ", "blank; every client has an id"),
        (9, "x", "+-5", "not a number"),
    ]
    assert read_slowly(config, data) == (rows, rejections)


def test_a_comma_too_many_quarantines_the_row_even_at_its_end(config: Config) -> None:
    """DuckDB alone would take the shifted row for a sound one."""
    data = b"y,id,c,x\n1,Smith, Inc,\n0,Jones,gold,5\n"
    assert read(config, data)[0] == [("Smith", None, "Inc", 1), ("Jones", 5.0, "gold", 0)]
    data = b"y,id,c\n1,Smith, Inc,\n0,Jones,gold\n".replace(b"c\n", b"c,x\n", 1)
    rows, rejections = read(config, b"y,id,c,x\n1,Smith, Inc,gold,\n0,Jones,gold,5\n")
    assert rows == [("Jones", 5.0, "gold", 0)]
    assert rejections == [(2, "", "1,Smith, Inc,gold,", "5 values, the header has 4 columns")]


@pytest.mark.parametrize("cell", [b' "k"', b'"k" ', b'\t"k"', b'"" ""'])
def test_blanks_around_quotation_marks_are_never_dropped(config: Config, cell: bytes) -> None:
    """DuckDB alone would take them for no part of the value."""
    data = b"id,x,c,y\n" + cell + b",1,,1\n"
    assert read(config, data) == read_slowly(config, data)
    assert ("k", 1.0, None, 1) not in read(config, data)[0]


def test_columns_may_stand_in_any_order_among_others(config: Config) -> None:
    data = b'y,"note, long",c,x,id\n1,"a, b",gold,2,k\n,"",,,l\n'
    assert read(config, data)[0] == [("k", 2.0, "gold", 1), ("l", None, None, None)]


def test_a_table_without_ids_refuses_rows_in_which_all_is_blank(project: Project) -> None:
    project.configure(
        **{**SETTINGS, "id_column": None, "numeric_columns": ["z", "x"]}  # v0, v1, v2 again
    )
    rows, rejections = read(project.config, b"z,x,c,y\n1,2,a,1\n,, ,\n,,,1\n")
    assert rows == [(1.0, 2.0, "a", 1), (None, None, None, 1)]
    assert rejections == [(3, "z", "", "every value is blank")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"id,x,c,y\n", "a header and no rows"),
        (b"id,x,c,y\n\n\n", "a header and no rows"),
        (b"id,x,c\n1,2,3\n", "missing column 'y'"),
        (b"id,x,c,y,x\n1,2,3,1,2\n", "doubled column 'x'"),
        (b'id,x,c,y\n1,2,"3,1\n4,5,6,0\n', "opened in line 2 is never closed"),
    ],
)
def test_a_file_that_is_no_table_of_clients_is_refused_whole(
    config: Config, data: bytes, reason: str
) -> None:
    with pytest.raises(DataError) as error:
        read(config, data)
    assert reason in str(error.value)


def test_what_is_refused_leaves_nothing_behind(config: Config) -> None:
    path = config.root / "table.csv"
    with connect(config, config.root, 0) as connection:
        table = ClientTable(connection, config, config.root)
        for number, (data, is_sound) in enumerate(
            [
                (b"a,1,,1\nb,x,,1\n", True),
                (b'c,1,,1\n"d,1,,1\n', False),
                (b"e,1,,1\nf,y,,0\n", True),
            ]
        ):
            path.write_bytes(b"id,x,c,y\n" + data)
            try:
                with table.transaction():
                    table.add(path, number)
            except DataError:
                assert not is_sound
        ids = connection.execute("SELECT rowid, v0 FROM rows ORDER BY rowid").fetchall()
        found = connection.execute("SELECT file, line, value FROM rejections ORDER BY file")
        assert ids == [(0, "a"), (1, "b"), (2, "e"), (3, "f")]
        assert found.fetchall() == [(0, 3, "x"), (2, 3, "y")]


def test_a_disk_that_cannot_be_read_is_an_error_of_one_line(config: Config) -> None:
    with (
        pytest.raises(PipelineError, match="No files found") as error,
        connect(config, config.root, 0) as connection,
    ):
        connection.execute("FROM read_csv('/no/such/file.csv')")
    assert "\n" not in str(error.value)


cells = st.one_of(
    st.sampled_from(["", " ", "1", "0", "-2.5", "1e309", "x,y", 'say "so"', "two\nlines", "\r\n"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
)


@pytest.mark.slow
@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(cells, cells, cells, st.sampled_from(["1", "0", " ", "2"])), min_size=1
    ),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    keeps_last_end=st.booleans(),
)
def test_both_ways_of_reading_agree_on_well_formed_files(
    shared_config: Config,
    rows: list[tuple[str, str, str, str]],
    end: str,
    quoting: Any,
    keeps_last_end: bool,
) -> None:
    text = io.StringIO(newline="")
    # Before Python 3.13 a lone carriage return is quoted only when everything is.
    quoting = csv.QUOTE_ALL if "\r" in "".join(itertools.chain(*rows)) else quoting
    csv.writer(text, lineterminator=end, quoting=quoting).writerows([("id", "x", "c", "y"), *rows])
    data = text.getvalue().encode()
    if not keeps_last_end:
        data = data.removesuffix(end.encode())
    assert read(shared_config, data) == read_slowly(shared_config, data)


@pytest.mark.slow
@settings(deadline=None)
@given(body=st.text('x1,,,"\n\r ', max_size=14))
@example(body=",,,\r,,,\n")  # DuckDB takes a return after blank values for a line's end
@example(body="x,,,1\n,,,\r\n")
@example(body='"x\r\n",,,1\n,,,\r\n"x\r\n",,,1\n')
def test_both_ways_of_reading_agree_on_anything(shared_config: Config, body: str) -> None:
    """Quotes, blanks, commas and line ends anywhere: never a row that only one of them sees."""
    data = b"id,x,c,y\n" + body.encode()

    def outcome(reader: Any) -> Any:
        try:
            return reader(shared_config, data)
        except DataError as error:
            return str(error)

    assert outcome(read) == outcome(read_slowly)


@pytest.mark.slow
@settings(deadline=None)
@given(body=st.text('x1,,,"""\n\n ', max_size=24), end=st.sampled_from(["\n", "\r\n"]))
@example(body='a,1,blue"one, two",1\n', end="\n")  # the comma before a quoted value is lost
@example(body='"a"b,"x\n1,1,1,1\n",1\n', end="\n")  # a row within a quoted value is none
@example(body='"5" x",1,,1\n5" x,1,,1\nx,1,,1', end="\r\n")
def test_a_strict_reader_of_the_standard_agrees(shared_config: Config, body: str, end: str) -> None:
    """RFC 4180: what its grammar has no record for is set aside, and nothing else is."""
    text = f"id,x,c,y\n{body}".replace("\n", end)
    expected = rfc4180.records(text)[1:]
    try:
        rows, rejections = read(shared_config, text.encode())
    except DataError:
        assert not expected or any(record.end_is_unknown for record in expected)
        return
    assert not any(record.end_is_unknown for record in expected)
    broken = [r.line for r in expected if not r.is_sound or len(r.values) != 4]
    assert [line for line, column, _, _ in rejections if not column] == broken
    rejected = {line for line, _, _, _ in rejections}
    kept = [record.values for record in expected if record.line not in rejected]
    assert [(row[0], row[2] or "") for row in rows] == [(v[0], v[2].strip()) for v in kept]


def test_the_fast_way_is_taken_for_sound_files(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("taken apart needlessly")

    monkeypatch.setattr(csv_records, "separate", refuse)
    for text in ("two\nlines", "two\rlines", "two\r\nlines"):
        for end in ("\n", "\r\n"):
            table = f'id,x,c,y{end}"{text}",1,"a, b",1{end}{end}'
            assert read(config, table.encode()) == ([(text, 1.0, "a, b", 1)], [])
    data = b'\xef\xbb\xbfid,x,c,y\r\n"Smith, Inc",1,"a ""b""",1\r\n\r\n"two\r\nlines",x,,0'
    rows, rejections = read(config, data)
    assert rows == [("Smith, Inc", 1.0, 'a "b"', 1)]
    assert rejections == [(4, "x", "x", "not a number")]


def test_a_row_that_is_too_long_is_quarantined_however_the_file_is_read(config: Config) -> None:
    data = b"id,x,c,y\n" + b"k" * 200_000 + b",1,,1\nl,2,,0\n"
    rows, rejections = read(config, data)
    assert rows == [("l", 2.0, None, 0)]
    assert rejections == [(2, "", "", "longer than 131,072 characters")]
    wide = "\u20ac" * 60_000  # fewer characters than bytes
    assert read(config, f"id,x,c,y\n{wide},1,,1\n".encode())[0] == [(wide, 1.0, None, 1)]


def test_large_files_with_quoted_line_ends_keep_their_order(config: Config) -> None:
    """Larger than DuckDB's buffer, so that several threads read it."""
    count = 60_000
    filler = "x" * 700
    path = config.root / "table.csv"
    with path.open("w") as stream:
        stream.write("id,x,c,y\n")
        for i in range(count):
            stream.write(f'"{i}\n",{i},"{filler}, \n",1\n' if i % 7 else f'{i},{i},"{filler}",0\n')
    with connect(config, config.root, path.stat().st_size) as connection:
        table = ClientTable(connection, config, config.root)
        with table.transaction():
            assert table.add(Path(path), 0).rows_read == count
        wrong = "SELECT count(*) FROM rows WHERE rowid <> v1 OR trim(v0, chr(10)) <> rowid::VARCHAR"
        assert table.scalar(wrong) == 0


def test_a_disk_that_takes_no_more_is_told_in_words(project: Project, tmp_path: Path) -> None:
    """DuckDB hands errors of its own threads over as JSON."""
    most, path = resource.getrlimit(resource.RLIMIT_FSIZE), tmp_path / "out.csv"
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, most[1]))
        with pytest.raises(PipelineError) as caught, connect(project.config, tmp_path, 0) as duck:
            duck.execute(f"COPY (SELECT range FROM range(1000000)) TO '{path}'")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert str(caught.value) == f'IO Error: Could not write file "{path}": File too large'
