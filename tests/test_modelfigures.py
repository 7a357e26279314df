"""Pictures of how well the model predicts: the numbers in them are the right ones."""

from __future__ import annotations

import numpy as np

from attrition import modelfigures
from attrition.figures import Absent, Picture
from attrition.scores import Minimum, Score, score


def drawn(result: Picture | Absent) -> Picture:
    assert isinstance(result, Picture), result
    return result


def texts(figure_score: Score) -> str:
    figure = drawn(modelfigures.confusion(figure_score, "Release 7")).figure
    axes = figure.axes[0]
    labels = [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]
    return "\n".join(text.get_text() for text in labels)


def test_the_picture_shows_counts_and_the_share_of_each_row() -> None:
    labels = np.repeat([0, 0, 1, 1], [60, 10, 8, 22])
    chances = np.repeat([0.1, 0.9, 0.1, 0.9], [60, 10, 8, 22])
    shown = texts(score(labels, chances, 0.5, Minimum(30, 5), 1))
    # 60 + 10 stayed, 8 + 22 left; F1 = 44 / (44 + 18)
    for text in ("60", "85.7% of those who stayed", "14.3% of those who stayed", "8",
                 "26.7% of those who left", "22", "73.3% of those who left",
                 "stayed\n70", "left\n30", "predicted to stay\n68", "predicted to leave\n32",
                 "Release 7", "F1 0.710", "on 100 test rows", "95% interval"):  # fmt: skip
        assert text in shown


def test_an_empty_row_has_no_share() -> None:
    assert modelfigures.row_shares(np.array([[3, 1], [0, 0]])).tolist() == [[0.75, 0.25], [0, 0]]
