"""The engine that the settings name: this machine, or Apache Spark."""

from __future__ import annotations

from attrition.core.config import Config
from attrition.engines.base import Engine
from attrition.engines.local import LocalEngine
from attrition.engines.spark.session import check_installed


def engine(config: Config) -> Engine:
    """The engine that the settings name; nothing is started yet.

    Raises:
        PipelineError: the engine is not installed.
    """
    if config.engine is None:
        return LocalEngine(config)
    check_installed()
    from attrition.engines.spark.engine import SparkEngine

    return SparkEngine(config, config.engine)
