"""What the tests of Spark share: whether it is there, and settings that suit a small machine."""

from __future__ import annotations

import importlib.util
import shutil
from typing import Any

import pytest

NEEDS_SPARK = pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="Spark is not there: pip install -r requirements-spark.txt, and Java 17 or newer",
)
ON_SPARK = [pytest.mark.slow, NEEDS_SPARK]
QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


def engine(master: str, **settings: Any) -> dict[str, Any]:
    """The setting `engine`, for little data."""
    conf = {
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.extraJavaOptions": QUICK_JAVA,
        "spark.executor.extraJavaOptions": QUICK_JAVA,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    return {"spark": master, "conf": conf, "memory": "700m", **settings}
