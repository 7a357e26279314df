"""How fast and how big: every bar of the project, measured side by side.

    make bench          all of it, the largest tables included; writes benchmarks/results.md
    make bench-quick    small tables, a minute; prints the same table, writes nothing

Exit code 1: a bar was missed. (The quick tables are too small for the bars: there it is always 0.)
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import curves, measuring, stages
from benchmarks.measuring import Line

RESULTS = Path(__file__).with_name("results.md")
PLOT = Path(__file__).with_name("curves.png")
ABOUT = """# Measured

Written by `make bench`. Compare ratios, not seconds: both sides of a line were run in turn on the
same machine, whole processes where users start processes, medians of several runs. The naive way
stands in `benchmarks/naive.py`; judge whether it is fair.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description="Measure every bar.")
    parser.add_argument("--quick", action="store_true", help="small tables, nothing written")
    quick = parser.parse_args(argv).quick
    with tempfile.TemporaryDirectory(prefix="attrition-bench-") as folder:
        found = list(_told(stages.lines(Path(folder), stages.QUICK if quick else stages.FULL)))
        if quick:
            return 0
        RESULTS.write_text(_results(found, Path(folder)), encoding="utf-8")
    print(RESULTS)
    return 0 if all(line.met for line in found) else 1


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


def _results(found: Sequence[Line], root: Path) -> str:
    """The results page; the curves are measured for it, and drawn beside it."""
    costs = curves.measure(root)
    ticks = {"tick at rest": curves.measure_ticks(root)}
    curves.draw(costs, PLOT)
    return "\n\n".join([
        ABOUT.rstrip(),
        f"{datetime.now(UTC):%Y-%m-%d}. {measuring.machine()}",
        measuring.as_markdown(found),
        "## How the cost grows",
        curves.as_markdown(costs, "rows"),
        f"![seconds over rows]({PLOT.name})",
        curves.as_markdown(ticks, "files already ingested"),
    ]) + "\n"  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
