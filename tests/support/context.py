"""A run's context for a test that calls one stage by itself."""

from __future__ import annotations

from attrition.core.config import Config
from attrition.engines.context import RunContext, read_context
from attrition.model.champion import live_champion


def context_of(config: Config) -> RunContext:
    return read_context(config, live_champion(config))
