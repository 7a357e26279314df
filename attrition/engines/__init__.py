"""Where the heavy stages work: this machine, or Apache Spark."""
