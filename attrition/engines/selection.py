"""The engine that the settings name: this machine, or Apache Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrition.core.config import Config
from attrition.engines.spark.session import check_installed

# Ingestion needs no model and no tables in memory, and must not pay for what only others need.
if TYPE_CHECKING:
    pass
from attrition.engines.base import Engine
from attrition.engines.local import LocalEngine


def engine(config: Config) -> Engine:
    """The engine that the settings name; nothing is started yet.

    Raises:
        PipelineError: it is not installed.
    """
    if config.engine is None:
        return LocalEngine(config)
    check_installed()
    from attrition.engines.spark.engine import SparkEngine

    return SparkEngine(config, config.engine)
