"""A real cluster: a standalone master and two workers, of which one is killed amid a job."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrition.core import atomic_files, releases
from attrition.data.clients import labelled_test_clients
from attrition.data.ledger import read_ledger
from attrition.model.scorecard import load_scorecard
from tests.conftest import Project, book
from tests.support.ingested import quarantined
from tests.support.spark import ON_SPARK, engine

pytestmark = [*ON_SPARK, pytest.mark.complete]

PATIENCE = 120.0
FILES = 24


def until(what: Callable[[], Any], why: str) -> Any:
    """Wait for something to be so; a machine may be slow, but not that slow."""
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, why
        time.sleep(0.02)
    return found


class Cluster:
    """Processes on loopback, each the leader of a group of its own, so that all of it can go."""

    def __init__(self, folder: Path) -> None:
        import pyspark

        self.folder = folder
        self.home = Path(pyspark.__file__).parent
        self.processes: list[subprocess.Popen[bytes]] = []
        self.port, self.page = free_port(), free_port()
        self.start(
            "master.Master",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--webui-port",
            str(self.page),
        )
        until(self.state, "the master does not answer")

    @property
    def address(self) -> str:
        return f"spark://127.0.0.1:{self.port}"

    def start(self, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        name = f"{kind}-{len(self.processes)}"
        with (self.folder / f"{name}.log").open("wb") as story:
            process = subprocess.Popen(
                [self.home / "bin/spark-class", f"org.apache.spark.deploy.{kind}", *arguments],
                env=os.environ
                | {
                    "SPARK_HOME": str(self.home),
                    "SPARK_LOCAL_IP": "127.0.0.1",
                    "SPARK_DAEMON_MEMORY": "256m",
                    "SPARK_WORKER_DIR": str(self.folder / name),
                },
                stdout=story,
                stderr=story,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def add_worker(self) -> subprocess.Popen[bytes]:
        count = len(self.state()["workers"])
        process = self.start(
            "worker.Worker",
            "--host",
            "127.0.0.1",
            "--webui-port",
            "0",
            "-c",
            "1",
            "-m",
            "1g",
            self.address,
        )
        until(lambda: len(self.state()["workers"]) > count, "the worker does not register")
        return process

    def state(self) -> dict[str, Any]:
        """What the master says of itself; nothing while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.page}/json/", timeout=5) as page:
                return dict(json.load(page))
        except (OSError, ValueError):  # at first every address gives the front page, in HTML
            return {}

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process and all that it has started."""
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in self.processes:
            self.kill(process)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    found = Cluster(folder)
    yield found
    found.stop()


def fill(project: Project) -> None:
    for number in range(FILES):
        project.write(f"sourcedata/{number:02}.csv", book(250, number + 1))
    project.write("sourcedata/99.csv", book(40, 1) + "bad,x,2,3,0\nragged,1\n")
    project.write("testdata/t.csv", book(600, 90, open_share=0.0))


def begin(project: Project, script: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        project.command(script),
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_cluster_without_workers_is_told_and_left(project: Project, cluster: Cluster) -> None:
    fill(project)
    project.configure(engine=engine(cluster.address, patience_seconds=45))
    process = begin(project, "ingestion.py")
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    (line,) = told.splitlines()
    assert f"no worker of {cluster.address} offered a core" in line
    assert not read_ledger(project.config.ledger).entries


def test_a_worker_is_killed_amid_a_job_and_the_run_ends_as_on_one_machine(
    make_project: Callable[[str], Project], cluster: Cluster
) -> None:
    """The whole chain: ingestion loses a worker; what is deployed equals what one machine makes."""
    local, spark = make_project("local"), make_project("spark")
    for project in (local, spark):
        fill(project)
    spark.configure(engine=engine(cluster.address))
    victim = cluster.add_worker()
    cluster.add_worker()
    process = begin(spark, "fullprocess.py")
    tasks = spark.config.output_folder_path / "spark/staging/_temporary/0/_temporary"
    # Files appear here while the workers' tasks write them, and leave when the tasks are done.
    until(lambda: process.poll() is not None or any(tasks.glob("*/*")), "no task ever wrote")
    cluster.kill(victim)
    assert process.poll() is None, process.communicate()[1]
    assert not read_ledger(spark.config.ledger).entries, "the job was still running"
    assert not (tasks.parent.parent.parent / "_SUCCESS").exists()
    local.run("fullprocess.py")
    said, story = process.communicate(timeout=3 * PATIENCE)
    assert process.returncode == 0, story
    assert said.startswith("Verdict      DEPLOYED: it is the first model")
    assert len([w for w in cluster.state()["workers"] if w["state"] == "ALIVE"]) == 1
    same_ingestion(local, spark)
    same_model(local, spark)
    lists = [project.config.client_risk.read_text().splitlines() for project in (local, spark)]
    assert len(lists[0]) == len(lists[1])
    assert lists[0][0] == lists[1][0]


def same_ingestion(local: Project, spark: Project) -> None:
    one, other = (read_ledger(project.config.ledger) for project in (local, spark))
    assert [replace(entry, time="") for entry in one.entries] == [
        replace(entry, time="") for entry in other.entries
    ]
    assert one.commit_id == other.commit_id
    assert one.open_rows == other.open_rows
    assert quarantined(local) == quarantined(spark)
    assert len(quarantined(spark)) == 2


def same_model(local: Project, spark: Project) -> None:
    cards, records = [], []
    for project in (local, spark):
        release = releases.live_release(project.config.prod_deployment_path)
        assert release is not None
        cards.append(load_scorecard(release.folder / "scorecard.json"))
        records.append(atomic_files.read_json(release.folder / "training.json"))
    assert records[0]["settings"] == records[1]["settings"]
    assert records[0]["rows"] == records[1]["rows"] > 4000
    columns = labelled_test_clients(local.config).clients.columns
    chances = [card.probabilities(columns) for card in cards]
    np.testing.assert_allclose(chances[0], chances[1], atol=1e-4, rtol=0)
