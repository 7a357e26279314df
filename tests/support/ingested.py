"""Batches written into a project, and what ingestion made of them, for tests of its parts."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from attrition.data.ingestion_result import IngestionResult
from tests.conftest import HEADER, Project


def source(project: Project, name: str, *rows: str, header: str = HEADER) -> Path:
    return project.write(f"sourcedata/{name}", "".join(f"{row}\n" for row in (header, *rows)))


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()[1:]


def final(project: Project) -> list[str]:
    return lines_of(project.config.final_data)


def open_list(project: Project) -> list[str]:
    return lines_of(project.config.open_clients)


def quarantined(project: Project) -> list[list[str]]:
    """file, line, column, value, reason of every quarantined row."""
    folder = project.config.quarantine
    paths = sorted(folder.iterdir(), key=lambda path: path.name[13:]) if folder.is_dir() else []
    texts = [io.StringIO(path.read_bytes().decode(), newline="") for path in paths]
    return [row for text in texts for row in list(csv.reader(text))[1:]]


def outputs(project: Project) -> dict[str, bytes]:
    """Everything ingestion wrote but the ledger, which tells times."""
    folder = project.config.output_folder_path
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("ledger.json", ".gitkeep")
    }


def counts(result: IngestionResult) -> list[tuple[str, int, int, int, int, int]]:
    return [(e.name, e.rows_read, e.kept, e.duplicate, e.open, e.quarantined) for e in result.files]
