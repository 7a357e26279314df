"""What the tests of pictures share: models and data to draw, and what is seen in a picture."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from attrition.core.formatting import line
from attrition.model.scorecard import Scorecard
from attrition.model.terms import CategoricalTerm, KnotAxis, NumericTerm, PairTerm
from attrition.monitoring import drift
from attrition.monitoring.findings import Drift
from attrition.monitoring.reference import summarise
from attrition.report.figures import style
from attrition.report.figures.style import Absent, Picture


def number(
    name: str, knots: tuple[float, ...], points: tuple[float, ...], **more: Any
) -> NumericTerm:
    return NumericTerm(
        name,
        KnotAxis(knots, knots[0]),
        points,
        more.get("missing", 0.0),
        more.get("share", 0.0),
        more.get("average", 0.0),
    )


def card(*terms: Any) -> Scorecard:
    return Scorecard(
        0.0,
        0.5,
        tuple(term for term in terms if isinstance(term, NumericTerm)),
        tuple(term for term in terms if isinstance(term, CategoricalTerm)),
        tuple(term for term in terms if isinstance(term, PairTerm)),
    )


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]


def sizes(bars: Iterable[Any]) -> list[tuple[float, float]]:
    """Width and height of bars."""
    return [(bar.get_width(), bar.get_height()) for bar in bars]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def table(rows: int, **columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(rows)
    return pd.DataFrame(
        {"calm": rng.normal(0, 1, rows), "moved": rng.normal(0, 1, rows), **columns}
    )


def compared(now: pd.DataFrame) -> Drift:
    rng = np.random.default_rng(1)
    reference = summarise(table(2000), rng.normal(0, 1, 2000))
    return drift.compare(reference, now, rng.normal(0, 1, len(now)), 0.05, 30)


def panels(picture: Picture | Absent) -> list[Axes]:
    picture = drawn(picture)
    assert len(style.svg(picture)) < 100_000  # and warnings are errors
    return [axes for axes in picture.figure.axes if axes.get_visible()]


def drawn(result: Picture | Absent) -> Picture:
    assert isinstance(result, Picture), result
    return result


LABELS = np.repeat([1, 0, 1, 0], [40, 10, 10, 90])
CHANCES = np.repeat([0.8, 0.7, 0.3, 0.1], [40, 10, 10, 90])


@style.style()
def sketch(name: str = "sketch", text: str = "a title") -> Picture:
    figure = style.canvas(2)
    axes = figure.subplots()
    axes.plot([0, 1, 2], [0, 1, 0], "o-", color=style.ACCENT)
    axes.axhline(0.5, color=style.ALARM)
    axes.set_title(line(text, 60))
    return style.picture(name, "A <title>", 'It "shows" 0.5 & more', "Caption.", figure)


def clear_of_each_other(labels: list[Text]) -> bool:
    """Whether labels below an axis do not touch."""
    figure = labels[0].get_figure(root=True)
    assert figure is not None
    FigureCanvasAgg(figure)  # measures letters by the figure's own dots per inch
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in labels]
    return all(left.x1 < right.x0 for left, right in pairwise(boxes))


def inside(figure: Figure, *artists: Artist) -> bool:
    """Whether these stand on the figure from end to end, and are not cut at its edge."""
    FigureCanvasAgg(figure)
    figure.canvas.draw()
    boxes = [artist.get_window_extent() for artist in artists]
    return all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
