"""The folder of the master data set, on any file system that Spark reads, by Hadoop's API."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from attrition.core.errors import PipelineError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


_OWNER = "owner.txt"


def literal(address: str) -> str:
    """An address escaped for Spark, which else takes some characters for patterns of names."""
    return re.sub(r"([][{}*?\\])", r"\\\1", address)


class Storage:
    """A folder and everything below it; nothing written there is ever rewritten.

    Args:
        session: of Spark.
        address: the folder's.
    """

    def __init__(self, session: SparkSession, address: str) -> None:
        self.address = address.rstrip("/")
        self._jvm: Any = session._jvm
        path = self._jvm.org.apache.hadoop.fs.Path(self.address)
        self._system = path.getFileSystem(session.sparkContext._jsc.hadoopConfiguration())

    def path(self, *parts: str) -> str:
        """The address of a file or folder below the folder."""
        return "/".join([self.address, *parts])

    def remove(self, *parts: str) -> None:
        """Remove a file or folder with its content, if it exists."""
        self._system.delete(self._path(*parts), True)

    def set_aside(self, name: str) -> str:
        """Give a folder a numbered name under which nothing removes it.

        Returns:
            Its address.

        Raises:
            PipelineError: the storage did not rename it.
        """
        taken = self.names()
        free = (f"{name}.set-aside-{number}" for number in itertools.count(1))
        kept = next(other for other in free if other not in taken)
        if not self._system.rename(self._path(name), self._path(kept)):
            raise PipelineError(f"{self.path(name)}: cannot be renamed to {kept}; do it by hand")
        return self.path(kept)

    def names(self, *parts: str) -> list[str]:
        """The names in a folder; none if it does not exist."""
        path = self._path(*parts)
        if not self._system.exists(path):
            return []
        return sorted(str(status.getPath().getName()) for status in self._system.listStatus(path))

    def claim(self, owner: str) -> None:
        """Claim the folder for a project: data of another project would be removed.

        Raises:
            PipelineError: it belongs to another project.
        """
        if not self._owner():
            path = self._path(_OWNER)
            # An empty file claims nothing: it is from a run that was killed meanwhile.
            stream = self._system.create(path, self._system.exists(path))
            stream.write(bytearray(owner.encode()))
            stream.close()
        actual = self._owner()
        if actual != owner:
            raise PipelineError(
                f"{self.address}: holds the data of the project in {actual}; give each project a "
                f"folder of its own (setting engine, data), or, if that project was moved here, "
                f"delete {_OWNER} there"
            )

    def _owner(self) -> str:
        """The folder's owner by its file; "" without the file."""
        path = self._path(_OWNER)
        if not self._system.exists(path):
            return ""
        stream = self._system.open(path)
        owner = str(self._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
        stream.close()
        return owner

    def _path(self, *parts: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(self.path(*parts))
