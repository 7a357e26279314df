"""Made-up tables, spoilt in known ways: each row ends where it must, and the counts add up."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ingestion
from tests.conftest import HEADER, Project, new_project
from tests.support.ingested import final, quarantined

KEPT, DUPLICATE, OPEN, QUARANTINED = "kept", "duplicate", "open", "quarantined"
# How sound rows are written, from a unique name, and how they are kept.
STORED = {
    "{name},1.5,2,3,0": "{name},1.5,2,3,0",
    "{name},7,,9,1": "{name},7,,9,1",
    '"{name}","4","5","6","1"': "{name},4,5,6,1",
    '"{name}, a\nb",4,5,6,0': '"{name}, a\nb",4,5,6,0',
    "{name}, 1e1,2.0,+3, 0.0": "{name},10,2,3,0",
}
# How a row is written, and what must become of it.
WAYS: dict[str, tuple[str, str]] = {
    **{written: (written, KEPT) for written in STORED},
    "again": ("", DUPLICATE),
    "no outcome": ("{name},1,2,3,", OPEN),
    "a field too few": ("{name},1,2,0", QUARANTINED),
    "a field too many": ("{name},1,2,3,0,", QUARANTINED),
    "a comma at its start": (",{name},1,2,3,0", QUARANTINED),
    "text for a number": ("{name},1,many,3,0", QUARANTINED),
    "infinity": ("{name},1e309,2,3,0", QUARANTINED),
    "another label": ("{name},1,2,3,perhaps", QUARANTINED),
    "no name": (" ,1,2,3,0", QUARANTINED),
    "text after a quotation mark": ('"{name}"x,1,2,3,0', QUARANTINED),
    "another line end": ("{name},1,2,3,0\r", QUARANTINED),
    "a carriage return": ("{name},1\r2,2,3,0", QUARANTINED),
}
SPOILT_WHOLE = {
    "Latin-1": lambda text: text.replace("c0", "\u00e9").encode("latin-1"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "a NUL byte": lambda text: text.encode() + b"\0",
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "no header": lambda text: text.partition("\n")[2].encode(),
    "a column less": lambda text: text.replace("lastyear_activity,", "", 1).encode(),
    "a column twice": lambda text: text.replace("lastyear_activity", "exited", 1).encode(),
    "an open quotation mark": lambda text: text.encode() + b'"c,1,2,3,0\n',
    "cut within a character": lambda text: text.encode() + "\u00e9".encode()[:1],
}
tables = st.lists(st.lists(st.sampled_from(sorted(WAYS)), min_size=1, max_size=14), max_size=4)


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(batches=tables)
def test_each_row_ends_where_it_must_and_none_is_lost(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[str]]
) -> None:
    project = new_project(tmp_path_factory.mktemp("spoilt") / "project")
    names = (f"c{number}" for number in itertools.count())
    written = [f"{next(names)},1.5,2,3,0"]  # the sound rows so far, as the files spell them
    stored = written.copy()
    project.write("sourcedata/first.csv", f"{HEADER}\n{written[0]}\n")
    ingestion.run(project.config)
    for number, chosen in enumerate(batches):
        ways = ["{name},7,,9,1", *chosen]  # a sound row, so that no content comes twice
        spelt = []
        for way, name in zip(ways, names, strict=False):
            template, fate = WAYS[way]
            row = written[-1] if fate == DUPLICATE else template.format(name=name)
            spelt.append((row, fate))
            if fate == KEPT:
                written.append(row)
                stored.append(STORED[way].format(name=name))
        text = "".join(f"{line}\n" for line in (HEADER, *(row for row, _ in spelt)))
        (project.root / f"sourcedata/{number}.csv").write_bytes(text.encode())
        (entry,) = ingestion.run(project.config).files
        fates = Counter(fate for _, fate in spelt)
        found = (entry.kept, entry.duplicate, entry.open, entry.quarantined)
        assert found == tuple(fates[fate] for fate in (KEPT, DUPLICATE, OPEN, QUARANTINED))
        assert entry.rows_read == sum(found) == len(ways)
        lines = [int(row[1]) for row in quarantined(project) if row[0] == f"{number}.csv"]
        assert lines == bad_lines(spelt)
    assert project.config.final_data.read_text() == "\n".join([HEADER, *stored, ""])


def bad_lines(spelt: list[tuple[str, str]]) -> list[int]:
    """The lines in which the rows for the quarantine start."""
    starts = itertools.accumulate((row.count("\n") + 1 for row, _ in spelt), initial=2)
    return [line for line, (_, fate) in zip(starts, spelt, strict=False) if fate == QUARANTINED]


@pytest.mark.parametrize("way", SPOILT_WHOLE)
def test_a_file_spoilt_as_a_whole_leaves_no_row_and_stops_no_other(
    project: Project, way: str
) -> None:
    text = f"{HEADER}\nc0,1,2,3,0\nc1,4,5,6,1\n"
    Path(project.root / "sourcedata/bad.csv").write_bytes(SPOILT_WHOLE[way](text))
    project.write("sourcedata/good.csv", f"{HEADER}\nd,7,8,9,0\n")
    bad, good = ingestion.run(project.config).files
    assert bad.reason
    assert (bad.rows_read, bad.kept, bad.open, bad.quarantined) == (0, 0, 0, 0)
    assert (good.reason, final(project)) == (None, ["d,7,8,9,0"])
