"""Pictures drawn by a process of its own: the same ones, its faults told, nothing left of it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from attrition.core.errors import PipelineError
from attrition.model import metrics
from attrition.model.metrics import Minimum
from attrition.report import drawing
from attrition.report.drawing import Drawing
from tests.conftest import FORMS, Project

SCORE = metrics.score([1, 0, 1, 0] * 20, [0.9, 0.2, 0.6, 0.7] * 20, 0.5, Minimum(1, 1), seed=1)


def ask_all(drawn: Drawing) -> dict[str, bytes]:
    for title in ("first", "second"):
        drawn.ask(title, "catalogue:matrix", SCORE, title)
    return drawn.results()


def test_the_pictures_are_those_that_would_be_drawn_here() -> None:
    with drawing.process_of_its_own() as drawn:
        beside = ask_all(drawn)
    assert beside == ask_all(Drawing())
    assert beside["first"] != beside["second"]


def test_what_a_function_raises_the_run_gets_with_its_traceback() -> None:
    with drawing.process_of_its_own() as drawn:
        drawn.ask("one", "catalogue:matrix", "no score", "title")
        with pytest.raises(AttributeError, match="confusion") as raised:
            drawn.results()
    assert "model_quality.py" in raised.value.__notes__[0]


def test_an_early_end_of_the_process_is_an_error_that_says_so() -> None:
    with drawing.process_of_its_own() as drawn:
        drawn.ask("one", "catalogue:matrix", SCORE, "title")
        os.kill(drawn.process.pid, signal.SIGKILL)
        drawn.process.wait()
        drawn.ask("two", "catalogue:matrix", SCORE, "x" * 1_000_000)
        with pytest.raises(PipelineError, match="ended before its time"):
            drawn.results()


def test_a_run_that_ends_early_leaves_no_process_behind() -> None:
    with (
        pytest.raises(ZeroDivisionError),
        drawing.process_of_its_own() as drawn,
    ):
        raise ZeroDivisionError
    assert drawn.process.returncode is not None


def test_of_a_killed_run_the_process_ends_by_itself() -> None:
    code = (
        "import os, signal\nfrom attrition.report import drawing\n"
        "with drawing.beside() as drawn:\n"
        "    print(drawn.process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert run.returncode == -signal.SIGKILL
    with suppress(ProcessLookupError):
        ended, _, _ = select.select([os.pidfd_open(int(run.stdout))], [], [], 60)
        assert ended


def test_what_draws_loads_nothing_else_that_is_large() -> None:
    code = (
        "import sys\nfrom attrition.report.figures import beside, catalogue\n"
        "print(*{'pandas', 'scipy', 'sklearn', 'duckdb', 'flask'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "\n"


@pytest.mark.slow
def test_a_script_from_its_start_writes_the_same_report(finished_copy: Project) -> None:
    """And loads nothing that draws: that is loaded beside it."""
    models = finished_copy.root / "models"
    files = [models / name for name in ("report.html", "report.pdf", "confusionmatrix.png")]
    finished_copy.configure(reports=FORMS)
    finished_copy.run("reporting.py")
    expected = [path.read_bytes() for path in files]
    for path in files:
        path.unlink()
    first, *others = finished_copy.command("reporting.py")
    command = [first, "-X", "importtime", *others]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [path.read_bytes() for path in files] == expected
    imported = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
    assert "attrition.report.drawing" in imported
    assert "matplotlib" not in imported
