"""The same stages on Apache Spark."""
