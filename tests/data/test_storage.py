"""How client rows stand in finaldata.csv, whatever their columns and labels are called."""

from __future__ import annotations

import io
from pathlib import Path

import duckdb
import pytest

import ingestion
from attrition.core.errors import DataError
from attrition.data import storage
from tests.conftest import Project
from tests.support.ingested import final, quarantined, source


def test_what_is_written_is_read_back_in_its_shortest_form(
    project: Project, tmp_path: Path
) -> None:
    config, part, path = project.config, tmp_path / "part.csv", tmp_path / "final.csv"
    values = """('NA', 1.0, NULL, 1e15, 1), ('a,"b"', -0.5, 2.0, 1e-7, 0)"""
    rows = f"(VALUES {values}) AS t(v0, v1, v2, v3, label)"
    with duckdb.connect() as connection:
        storage.write_stored(connection, config, rows, part)
        stream = io.BytesIO()
        storage.append(part, stream, config)
        storage.append(part, stream, config)
        path.write_bytes(stream.getvalue())
        found, parameters = storage.read_range(config, path, 0, None, tmp_path)
        back = connection.execute(f"SELECT * FROM {found}", parameters).fetchall()
    line = b'NA,1,,1000000000000000.0,1\n"a,""b""",-0.5,2,1e-07,0\n'
    assert path.read_bytes() == storage.stored_header(config).encode() + b"\n" + 2 * line
    assert back == 2 * [("NA", 1.0, None, 1e15, 1), ('a,"b"', -0.5, 2.0, 1e-7, 0)]


def test_a_range_is_checked_before_it_is_read(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "final.csv"
    assert storage.read_range(project.config, path, 0, None, tmp_path)[1] == [], "no file, no rows"
    path.write_text(storage.stored_header(project.config) + "\nk,1,2,3,0\n")
    size = path.stat().st_size
    for start, end in ((0, size + 1), (5, 4), (-1, None)):
        with pytest.raises(DataError, match="were asked for"):
            storage.read_range(project.config, path, start, end, tmp_path)
    path.write_text("a,b\n")
    with pytest.raises(DataError, match=r"found a,b; run ingestion\.py"):
        storage.read_range(project.config, path, 0, None, tmp_path)


def test_odd_names_of_columns_and_files_are_harmless(project: Project) -> None:
    odd = ["Call  Failure", 'say "so"', "semi;colon'", "comma, too", "Größe"]
    project.configure(
        id_column="it's", numeric_columns=odd[:3], categorical_columns=odd[3:], target_column="Y?"
    )
    header = 'it\'s,Call  Failure,"say ""so""",semi;colon\',"comma, too",Größe,Y?'
    source(project, "a*[1]?'b';--.csv", "k,1,2,3,x,'y',1", header=header)
    source(project, "a1b.csv", 'l,1,2,3,x,"=cmd()|\'",0', header=header)
    ingestion.run(project.config)
    assert project.config.final_data.read_text().splitlines() == [
        header,
        "k,1,2,3,x,'y',1",
        "l,1,2,3,x,=cmd()|',0",
    ]
    source(project, "c.csv", "k,1,2,3,x,'y',1", header=header)
    assert ingestion.run(project.config).new_rows == 0


def test_label_words_are_those_of_the_settings(project: Project) -> None:
    project.configure(positive_label="Yes", negative_label="No, stays")
    source(project, "a.csv", "k,1,2,3, Yes ", 'l,1,2,3,"No, stays"', "m,1,2,3,yes")
    ingestion.run(project.config)
    assert final(project) == ["k,1,2,3,Yes", 'l,1,2,3,"No, stays"']
    assert [row[1:] for row in quarantined(project)] == [
        ["4", "exited", "yes", "neither 'Yes' nor 'No, stays'"]
    ]
    source(project, "b.csv", 'l,1,2,3,"No, stays"')
    assert ingestion.run(project.config).new_rows == 0
