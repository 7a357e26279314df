"""Apache Spark as the engine of the stages; `base.Engine` documents the methods."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, functions

from attrition.calls.contacted import Contacted, read_contacted
from attrition.core import atomic_files, clock
from attrition.core.config import Config
from attrition.core.engine_settings import SparkSettings, file_address
from attrition.core.errors import DataError
from attrition.data import ledger_rebuild, recovery, storage, validation
from attrition.data.clients import Clients, TestClients
from attrition.data.discovery import Survey
from attrition.data.ledger import Ledger, read_ledger, write_ledger
from attrition.data.profile import DataProfile
from attrition.engines.candidate import Candidate
from attrition.engines.spark import dataset, ingest, scoring
from attrition.engines.spark.candidate import learn
from attrition.engines.spark.dataset import Master
from attrition.engines.spark.profile import profile_rows
from attrition.engines.spark.session import connect, one_line
from attrition.engines.spark.storage import Storage
from attrition.model.scorecard import Scorecard

logger = logging.getLogger(__name__)


# Largest number of clients on a list: a user's machine can open it as one file.
LISTED_CLIENTS = 1_000_000


@dataclass(frozen=True)
class SparkEngine:
    """A cluster, or Spark on this machine, with Parquet files as described in `dataset`."""

    config: Config
    settings: SparkSettings

    @property
    def store(self) -> str:
        return self.settings.data or file_address(self.config.output_folder_path / "spark")

    def repair(self) -> Ledger:
        problem = ledger_rebuild.damage(self.config)
        if problem or not self.config.ledger.exists():
            self._begin(problem or "ledger.json was missing")
        if not read_ledger(self.config.ledger).fits(self.config.schema_digest, self.store):
            with self._master() as master:  # Spark must answer before the present rows are dropped
                master.claim()
        ledger = recovery.repair_ledger(self.config, self.store)
        for path in (self.config.final_data, self.config.open_clients):
            path.unlink(missing_ok=True)  # of the local engine: old rows must not look current
        recovery.settle_records(self.config, ledger)
        return ledger

    def _begin(self, problem: str) -> None:
        """Write the first ledger; set aside rows and open clients that are already stored."""
        with self._master() as master:
            master.claim()
            kept = ingest.set_aside(master.storage)
        kept += [
            str(atomic_files.keep_copy(path))
            for path in (self.config.final_data, self.config.open_clients)
            if path.exists()
        ]
        ledger = Ledger(schema=self.config.schema_digest, store=self.store, writing=True)
        if kept:
            text = (
                f"{problem}; the old rows are kept in {', '.join(kept)}; every source "
                f"file is read again"
            )
            logger.warning("%s", text)
            ledger = ledger.with_notice(clock.now(), text)
        write_ledger(self.config.ledger, ledger)

    def take_in(self, ledger: Ledger, survey: Survey) -> tuple[Survey, Ledger]:
        with self._master() as master:
            return ingest.take_in(master, ledger, survey)

    def settle(self, ledger: Ledger) -> None:
        recovery.settle_records(self.config, ledger)

    def learn(self, ledger: Ledger, test: TestClients, deployed_commit: str | None) -> Candidate:
        with self._master() as master:
            rows = self._labelled(master, ledger)
            unseen = ledger.unseen_start(deployed_commit)
            first_unseen = dataset.first_file(ledger, unseen)
            candidate = learn(master, rows, test, first_unseen, self._acted_on(ledger))
            return replace(candidate, libraries={"pyspark": version("pyspark")})

    def count_in_test(self, ledger: Ledger, test: TestClients) -> int:
        with self._master() as master:
            rows = self._labelled(master, ledger)
            return int(rows.count() - master.not_in_test(rows, test).count())

    def labelled(self, ledger: Ledger, start: int) -> tuple[Clients, int]:
        with self._master() as master:
            rows = master.not_held_out(self._labelled(master, ledger, start))
            return self._sample(rows, self._acted_on(ledger))

    def held_out(self, ledger: Ledger) -> tuple[Clients, int]:
        with self._master() as master:
            rows = master.held_out(self._labelled(master, ledger))
            return self._sample(rows, self._acted_on(ledger))

    def opened(self, ledger: Ledger) -> tuple[Clients, int]:
        with self._master() as master:
            return self._sample(self._opened(master, ledger))

    def riskiest_opened(self, ledger: Ledger, card: Scorecard) -> tuple[Clients, int]:
        with self._master() as master:
            return self._riskiest(self._opened(master, ledger), card)

    def riskiest_stayed(self, ledger: Ledger, card: Scorecard) -> tuple[Clients, int]:
        with self._master() as master:
            rows = self._labelled(master, ledger, ledger.commits[-1].start)
            if (client := self._client()) is not None:
                newest = ingest.newest_of_each(rows, [client])
                rows = newest.select(*rows.columns)
            return self._riskiest(rows.where(f"label = {validation.NEGATIVE}"), card)

    def outcomes(
        self, ledger: Ledger, start: int, wanted: Collection[str]
    ) -> tuple[list[str], list[int], NDArray[np.intp]]:
        with self._master() as master:
            rows = self._labelled(master, ledger, start)
            names = master.session.createDataFrame(
                [(name,) for name in sorted(wanted)], "name string"
            )
            selected = rows.join(names, rows[self._client()] == names["name"], "left_semi")
            clients, file_numbers = dataset.collect(selected, self.config)
        assert clients.labels is not None
        late = [commit for commit in ledger.commits if commit.start >= start]
        firsts = [dataset.first_file(ledger, commit.start) for commit in late]
        starts = np.array([commit.start - start for commit in late], dtype=np.intp)
        numbers = starts[np.searchsorted(firsts, file_numbers, side="right") - 1]
        return clients.ids.tolist(), clients.labels.tolist(), numbers

    def profile(self, ledger: Ledger) -> DataProfile:
        with self._master() as master:
            keys = storage.key_of(self.config)
            return profile_rows(
                self._labelled(master, ledger),
                ledger,
                self._client(),
                {name: keys[name] for name in self.config.numeric_columns},
                {name: keys[name] for name in self.config.categorical_columns},
            )

    @contextmanager
    def _master(self) -> Iterator[Master]:
        session = connect(self.settings)
        with one_line(self.settings):
            yield Master(session, self.config, Storage(session, self.store))

    def _labelled(self, master: Master, ledger: Ledger, start: int = 0) -> DataFrame:
        """The labelled rows from a position on."""
        self._check(ledger)
        return master.labelled([commit for commit in ledger.commits if commit.start >= start])

    def _opened(self, master: Master, ledger: Ledger) -> DataFrame:
        self._check(ledger)
        return master.opened(ledger)

    def _check(self, ledger: Ledger) -> None:
        if not ledger.fits(self.config.schema_digest, self.store):
            raise DataError(
                f"{self.config.ledger}: of rows ingested with other settings of columns, labels "
                f"or engine; run ingestion.py, which takes every file in again"
            )

    def _acted_on(self, ledger: Ledger) -> Contacted | None:
        """The contacted clients; their rows begin with numbers of files."""
        acted_on = read_contacted(self.config, ledger)
        if acted_on is None:
            return None
        rows, places = np.unique(acted_on.begins, return_inverse=True)
        files = np.array([dataset.first_file(ledger, row) for row in rows.tolist()], np.intp)
        return replace(acted_on, begins=files[places])

    def _sample(self, rows: DataFrame, acted_on: Contacted | None = None) -> tuple[Clients, int]:
        counts = dataset.count_labels(rows)
        clients, files = dataset.sample(rows, self.config, counts)
        return dataset.marked(clients, files, acted_on), sum(counts.values())

    def _riskiest(self, rows: DataFrame, card: Scorecard) -> tuple[Clients, int]:
        total = rows.count()
        if total > LISTED_CLIENTS:
            scored = scoring.scored(rows, card, storage.key_of(self.config))
            # In the order of `ranking.rank`: equal probabilities by id.
            order = [
                functions.desc(functions.round(scoring.PROBABILITY, 9)),
                self._client() or "row",
            ]
            rows = scored.orderBy(*order).limit(LISTED_CLIENTS).select(*rows.columns)
        return dataset.collect(rows, self.config)[0], total

    def _client(self) -> str | None:
        """SQL name of the id column; None without one."""
        name = self.config.id_column
        return None if name is None else storage.key_of(self.config)[name]
