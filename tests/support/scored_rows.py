"""Made-up labels with predictions, for the tests of metrics and comparisons."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from attrition.model.comparison import Predictions
from attrition.model.metrics import Minimum

ANY = Minimum(1, 1)


def table(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    probabilities = random.random(rows)
    return (random.random(rows) < probabilities).astype(int), probabilities


def says(guess: ArrayLike) -> Predictions:
    """A model that gives .9 to those whom it predicts to leave, and .1 to the others."""
    return Predictions(0.1 + 0.8 * np.asarray(guess), 0.5)
