"""The confusion matrix as a picture: the numbers in it are the right ones."""

from __future__ import annotations

import re

import numpy as np

from attrition.model.metrics import Minimum, Score, score
from attrition.report.figures import model_quality, style
from attrition.report.figures.style import Absent
from tests.support.figures import CHANCES, LABELS, drawn


def texts(figure_score: Score) -> str:
    figure = drawn(model_quality.confusion(figure_score, "Release 7")).figure
    axes = figure.axes[0]
    labels = [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]
    return "\n".join(text.get_text() for text in labels)


def test_the_picture_shows_counts_and_the_share_of_each_row() -> None:
    labels = np.repeat([0, 0, 1, 1], [60, 10, 8, 22])
    chances = np.repeat([0.1, 0.9, 0.1, 0.9], [60, 10, 8, 22])
    shown = texts(score(labels, chances, 0.5, Minimum(30, 5), 1))
    # 60 + 10 stayed, 8 + 22 left; F1 = 44 / (44 + 18)
    for text in (
        "60",
        "85.7% of those\nwho stayed",
        "14.3% of those\nwho stayed",
        "8",
        "26.7% of those\nwho left",
        "22",
        "73.3% of those\nwho left",
        "stayed\n70",
        "left\n30",
        "predicted to stay\n68",
        "predicted to leave\n32",
        "Release 7",
        "F1 0.710",
        "on 100 test rows",
        "95% interval",
    ):
        assert text in shown


def test_an_empty_row_has_no_share() -> None:
    assert model_quality.row_shares(np.array([[3, 1], [0, 0]])).tolist() == [[0.75, 0.25], [0, 0]]


def test_an_undefined_score_gives_its_reason() -> None:
    shown = model_quality.confusion(score([1], [0.5], 0.5, Minimum(30, 5), 1), "Release 7")
    assert isinstance(shown, Absent)
    assert "too few labelled rows: 1" in shown.reason


def test_the_confusion_matrix_follows_the_page_into_the_dark() -> None:
    code = style.svg(
        drawn(
            model_quality.confusion(score(LABELS, CHANCES, 0.5, Minimum(30, 5), 1), "Release <7>")
        )
    )
    assert "Release &lt;7&gt;" in code
    assert not re.search(r"#[0-9a-f]{6}\b", code)
