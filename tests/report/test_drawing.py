"""Pictures drawn by a process of its own: the same ones, its faults told, nothing left of it."""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from attrition.core.errors import PipelineError
from attrition.model import metrics
from attrition.model.metrics import Minimum
from attrition.report import drawing
from attrition.report.drawing import Drawing, DrawingBeside
from attrition.runs.lock import run_lock
from tests.conftest import FORMS, Project

pytestmark = pytest.mark.slow

BESIDE = [sys.executable, "-m", "attrition.report.figures.beside"]
LARGE = ("model_quality:np.zeros", 1_000_000)  # a result of 8 MB, more than a pipe takes
SCORE = metrics.score([1, 0, 1, 0] * 20, [0.9, 0.2, 0.6, 0.7] * 20, 0.5, Minimum(1, 1), seed=1)


def ask_all(drawn: Drawing) -> dict[str, bytes]:
    for title in ("first", "second"):
        drawn.ask(title, "catalogue:matrix", SCORE, title)
    return drawn.results()


def living(group: int) -> dict[int, str]:
    """The processes of a group that have not ended, and their states."""
    states = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            state, _, its_group, *_ = file.read_text().rpartition(")")[2].split()
            if int(its_group) == group and state != "Z":
                states[int(file.parent.name)] = state
    return states


def children_at_work(drawn: DrawingBeside, count: int) -> list[int]:
    """So many children of the process that draws, once their results wait to be taken."""
    leader, end = drawn.process.pid, time.monotonic() + 60
    while time.monotonic() < end:
        states = living(leader)
        waiting = [child for child in states if child != leader and states[child] == "S"]
        if len(waiting) == count:
            return waiting
        time.sleep(0.01)
    raise TimeoutError


def is_soon_empty(group: int) -> bool:
    end = time.monotonic() + 10
    while living(group) and time.monotonic() < end:
        time.sleep(0.01)
    return not living(group)


def is_soon_left(pipe: Any) -> bool:
    """Whether nobody holds the other end of a pipe any more."""
    ends = select.poll()
    ends.register(pipe, 0)
    return bool(ends.poll(10_000))


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


def test_a_run_that_fails_leaves_no_child_at_work_behind() -> None:
    with (
        pytest.raises(ZeroDivisionError),
        drawing.process_of_its_own() as drawn,
    ):
        drawn.ask("one", *LARGE)
        children_at_work(drawn, 1)
        raise ZeroDivisionError
    assert is_soon_empty(drawn.process.pid)


def test_a_process_that_is_killed_leaves_no_child_and_the_run_goes_on() -> None:
    with drawing.process_of_its_own() as drawn:
        drawn.ask("one", *LARGE)
        drawn.ask("two", *LARGE)
        children_at_work(drawn, 2)
        drawn.process.kill()
        assert is_soon_left(drawn.process.stdin)
        assert is_soon_left(drawn.process.stdout)
        assert is_soon_empty(drawn.process.pid)
        with pytest.raises(
            PipelineError, match="ended before its time, killed; was the memory full"
        ):
            drawn.results()


@pytest.mark.parametrize(
    ("number", "why"),
    [(signal.SIGKILL, "killed; was the memory full"), (signal.SIGTERM, r"by signal 15\. The")],
)
def test_a_child_that_ends_amid_its_result_is_an_error_that_says_why(number: int, why: str) -> None:
    with drawing.process_of_its_own() as drawn:
        drawn.ask("one", *LARGE)
        os.kill(children_at_work(drawn, 1)[0], number)
        with pytest.raises(PipelineError, match=why):
            drawn.results()


def test_a_child_that_exits_is_an_error_with_its_exit_code() -> None:
    with drawing.process_of_its_own() as drawn:
        drawn.ask("one", "beside:sys.exit", 3)
        with pytest.raises(PipelineError, match=r"ended before its time, with exit code 3\. The"):
            drawn.results()


def test_a_run_that_is_killed_amid_a_call_causes_no_traceback() -> None:
    call = pickle.dumps(("one", "builtins:str", ("x",)))
    shown = subprocess.run(BESIDE, input=call[:-3], capture_output=True, check=True)
    assert shown.stderr == b""


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


def test_what_draws_holds_no_lock_of_its_run(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with run_lock(tmp_path / ".lock"):
            drawn = stack.enter_context(drawing.process_of_its_own())
            drawn.ask("one", *LARGE)
            children_at_work(drawn, 1)
        with run_lock(tmp_path / ".lock"):
            assert len(living(drawn.process.pid)) == 2


def test_what_draws_loads_seaborn_once_and_nothing_else_that_is_large() -> None:
    """Of the others seaborn needs pandas and scipy."""
    code = (
        "import sys\nfrom attrition.report.figures import beside\nbeside.main()\n"
        "large = {'seaborn', 'sklearn', 'duckdb', 'flask'} & set(sys.modules)\n"
        "print(*large, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert shown.stderr == b"seaborn\n"


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
