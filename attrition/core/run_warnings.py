"""What a run warns of: a text for people, and the topic by which page and report grade it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Topic(StrEnum):
    """What a warning is about."""

    NOTICE = "notice"  # something has happened that needs nobody's hand
    MODEL_DRIFT = "model drift"
    DATA_DRIFT = "data drift"
    MOVED_RISK = "moved risk"
    DEGRADED_MODEL = "degraded model"  # the deployed one, when the run began
    WEAK_MODEL = "weak model"  # the one that the run deployed
    LOW_F1 = "low F1"  # of the deployed model, which ranks well, when the run began
    LOW_F1_OF_NEW = "low F1 of the new model"  # likewise, of the one that the run deployed
    SETTING_NOT_OBEYED = "setting not obeyed"
    UNKNOWN_QUALITY = "unknown quality"
    TOO_GOOD = "too good to be true"
    SAMPLES_DISAGREE = "test data and new rows disagree"
    LOST_ROWS = "lost rows"
    LOST_ACTIONS = "lost actions"
    FEW_ROWS_LEARNT = "few rows learnt"


@dataclass(frozen=True)
class RunWarning:
    """One warning of a run, in plain words, without a full stop."""

    text: str
    topic: Topic = Topic.NOTICE
