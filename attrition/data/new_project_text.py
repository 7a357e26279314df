"""What was chosen for a newcomer's table, and why, as text for a terminal of 80 columns."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from attrition.core.formatting import NO_OPEN_CLIENTS, line, paragraph, plural, sentence
from attrition.core.paths import PROJECT
from attrition.data.column_choice import Choice
from attrition.data.new_project import SHARES, NewProject


def new_project_text(project: NewProject) -> str:
    """What was made, what was chosen and why, what to check, and the next commands."""
    folder = _shown(project.config.root)
    to_check = [] if project.census.open else [f"{NO_OPEN_CLIENTS}."]
    to_check += map(sentence, project.choice.notes)
    parts = [
        ("Created", f"{folder} with config.json and a copy of {line(project.table)}."),
        *choice_parts(project.choice),
        ("Rows", _rows(project)),
        ("Test data", _test_data(project)),
        *(("" if number else "Please check", note) for number, note in enumerate(to_check)),
    ]
    is_here = Path.cwd() == Path(PROJECT)
    make = "make" if is_here else f"make -C {shlex.quote(PROJECT)}"
    name = shlex.quote(folder if is_here else str(project.config.root))
    commands = [
        f"Next         {make} run PROJECT={name}",
        f"Then         {make} serve PROJECT={name}",
    ]
    return "\n".join([*(paragraph(*part) for part in parts), "", *commands])


def choice_parts(choice: Choice) -> Iterator[tuple[str, str]]:
    """The roles of a table's columns as labelled texts."""
    for label, role in (("Outcome", "target_column"), ("Clients", "id_column"), ("Value", "value")):
        for name, (part, reason) in choice.chosen.items():
            if part.startswith(role):
                yield label, f"{line(name)}: {reason}."
    for label, role in (("Numbers", "numeric_columns"), ("Categories", "categorical_columns")):
        if names := choice.settings[role]:
            yield label, f"{plural(len(names), 'column')}: {', '.join(map(line, names))}."
    if choice.left_out:
        reasons = (f"{line(name)} ({reason})" for name, reason in choice.left_out.items())
        yield "Left out", f"{'; '.join(reasons)}."


def _rows(project: NewProject) -> str:
    census = project.census
    labelled = census.labelled.rows + census.duplicates
    parts = [plural(labelled, "labelled row")]
    if census.duplicates:
        verb = "is" if census.duplicates == 1 else "are"
        parts.append(f"of which {plural(census.duplicates, 'duplicate')} {verb} dropped")
    if census.open:
        parts.append(f"{plural(census.open, 'row')} of open clients")
    if census.rejected:
        parts.append(f"{plural(census.rejected, 'row')} that ingestion will set aside")
    text = f"{', '.join(parts)}."
    if census.duplicates and project.config.id_column is None:
        share = (census.labelled.left + census.duplicates_left) / labelled
        text += (
            f" Without an id, equal rows count as one client: of all rows {share:.1%} left, of "
            f"those kept {census.labelled.share_left:.1%}. If they are different clients, add a "
            f"column with an id."
        )
    return text


def _test_data(project: NewProject) -> str:
    test, share = project.census.test, project.census.test_share
    if test is None:
        return "none: too few rows to hold some out; cross-validation judges the model instead."
    of = "rows" if project.config.id_column is None else "clients"
    labelled = project.census.labelled
    return (
        f"{test.rows:,} of {plural(labelled.rows, 'row')} are held out, always the same {of}; of "
        f"them {test.share_left:.1%} left, of all {labelled.share_left:.1%}. The share ("
        f"test_share {share}) is that between {SHARES[0]}% and {SHARES[-1]}% at which these are "
        f"most alike."
    )


def _shown(folder: Path) -> str:
    """A path from here on, where it lies below."""
    here = Path.cwd()
    return str(folder.relative_to(here)) if folder.is_relative_to(here) else os.fspath(folder)
