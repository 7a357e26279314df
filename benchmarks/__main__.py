"""How fast, how big and how good: every bar of the project, measured side by side.

    make bench          all of it, the largest tables included; writes benchmarks/results.md
    make bench-quick    small tables, a minute; prints the same table, writes nothing

    python -m benchmarks serving engines    these sections alone; the page keeps the others

Exit code 1: a bar was missed. (The quick tables are too small for the bars: there it is always 0.)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from attrition.core.command_line import Parser
from benchmarks import curves, effect, engines, measuring, page, quality, serving, stages
from benchmarks.measuring import Line

RESULTS = Path(__file__).with_name("results.md")
PLOT = Path(__file__).with_name("curves.png")


@dataclass(frozen=True)
class Result:
    """A section of the page as Markdown, and whether its bars are met."""

    text: str
    met: bool = True


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write the results."""
    parser = Parser(description="Measure every bar.")
    parser.add_argument("--quick", action="store_true", help="small tables, nothing written")
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all by default"
    )
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if arguments.quick:
        return _run_quick()
    return _run(arguments.sections or [*SECTIONS])


def _run_quick() -> int:
    with tempfile.TemporaryDirectory(prefix="attrition-bench-") as folder:
        for measured in (
            stages.lines(Path(folder), stages.QUICK),
            serving.lines(Path(folder), serving.QUICK),
        ):
            list(_told(measured))
    return 0


def _run(names: Sequence[str]) -> int:
    met = True
    headings = [heading for heading, _ in SECTIONS.values()]
    for name in names:
        heading, measure = SECTIONS[name]
        with tempfile.TemporaryDirectory(prefix="attrition-bench-") as folder:
            print(f"\n{heading}")
            result = measure(Path(folder))
        if result is not None:
            met = met and result.met
            page.write_section(RESULTS, heading, result.text, headings)
    print(f"\n{RESULTS}" + ("" if met else ": a bar was MISSED"))
    return 0 if met else 1


def _told(lines: Iterator[Line]) -> Iterator[Line]:
    """The lines, each printed when it comes."""
    print(f"{'what':<52}{'ours':>9}{'other':>9}{'ratio':>8}  bar")
    for line in lines:
        missed = "" if line.met else "  MISSED"
        print(
            f"{line.what:<52}{line.ours:>9}{line.other:>9}{line.ratio:>8.2f}  {line.bar}{missed}",
            flush=True,
        )
        yield line


def _table(lines: Iterator[Line]) -> Result:
    found = list(_told(lines))
    return Result(measuring.as_markdown(found), all(line.met for line in found))


def _stages(root: Path) -> Result:
    return _table(stages.lines(root, stages.FULL))


def _serving(root: Path) -> Result:
    table = _table(serving.lines(root, serving.FULL))
    return Result(f"{table.text}\n\n{serving.READ}", table.met)


def _quality(_root: Path) -> Result | None:
    tables = list(quality.read_tables(quality.DATA))
    if not tables:
        print("the real tables are not there: left out")
        return None
    report = quality.judge_tables(tables)
    return Result(f"```\n{report.text}\n```", not report.missed)


def _effect(_root: Path) -> Result:
    measured = effect.measure_all(effect.STUDIES)
    return Result(effect.as_markdown(measured), all(line.met for line in measured))


def _curves(root: Path) -> Result:
    costs = curves.measure(root)
    ticks = {"tick at rest": curves.measure_ticks(root)}
    curves.draw(costs, PLOT)
    picture = f"![seconds over rows]({PLOT.name})"
    parts = [
        curves.as_markdown(costs, "rows", curves.FITTED_ROWS),
        picture,
        curves.as_markdown(ticks, curves.TICKS, curves.FITTED_FILES),
    ]
    print(f"{parts[0]}\n\n{parts[2]}")
    return Result("\n\n".join(parts))


def _engines(root: Path) -> Result | None:
    if not engines.are_here():
        print("there is no Spark (make spark; it needs Java): left out")
        return None
    return Result(engines.measure(root))


# Name on the command line -> heading on the page, and what measures it.
SECTIONS: dict[str, tuple[str, Callable[[Path], Result | None]]] = {
    "stages": ("The tick at rest, ingestion, training", _stages),
    "serving": ("The API: gunicorn, one worker of gevent", _serving),
    "quality": ("How good the model is", _quality),
    "effect": ("Whether what is said of calls holds", _effect),
    "curves": ("How the cost grows", _curves),
    "engines": ("This machine and Spark", _engines),
}


if __name__ == "__main__":
    raise SystemExit(main())
