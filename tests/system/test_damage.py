"""Damaged and malicious models: refused before they are used, and the pipeline makes them good."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import create_app
from attrition.core import atomic_files, releases
from attrition.core.errors import DataError
from attrition.web.live_model import LiveModel
from tests.conftest import Project, Suite
from tests.support.script_runner import Job, ScriptRunner
from tests.support.sweeping import live_release

NAMES = (*releases.RELEASE_FILES, releases.MANIFEST)


@pytest.fixture(scope="module")
def redeployed(
    drifted: Path, runner: ScriptRunner, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a project with two releases, the second one live."""
    root = tmp_path_factory.mktemp("redeployed") / "project"
    shutil.copytree(drifted, root, symlinks=True)
    assert runner.run(Job("fullprocess", str(root / "config.json"))).code == 0
    return root


def flips(data: bytes, step: int) -> Iterator[bytes]:
    """A file with one bit flipped in each `step`-th byte, another bit each time."""
    for position in range(0, len(data), step):
        yield (
            data[:position]
            + bytes([data[position] ^ (1 << position // step % 8)])
            + data[position + 1 :]
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_bit_anywhere_in_a_release_is_refused_and_the_last_good_one_serves(
    redeployed: Path, tmp_path: Path, suite: Suite, name: str
) -> None:
    deployment = tmp_path / "deployment"
    shutil.copytree(redeployed / "production_deployment", deployment, symlinks=True)
    good, bad = releases.releases(deployment)
    releases.make_live(deployment, good)
    model = LiveModel(deployment)
    assert model.resolve() is not None
    releases.make_live(deployment, bad)
    path = bad / name
    data = path.read_bytes()
    spoilt = list(flips(data, 1 + len(data) // (3000 if suite.is_complete else 40)))
    for content in spoilt:
        path.write_bytes(content)
        with pytest.raises(DataError):
            releases.open_release(bad)
        for worker in (model, LiveModel(deployment)):  # one at work already, one that starts now
            served = worker.resolve()
            assert served is not None
            assert served.version == good.name
    suite.tell(len(spoilt), "bits flipped in a release, each refused")
    assert len(spoilt) >= min(len(data), 20) > 0
    path.write_bytes(data)
    assert releases.open_release(bad).id == bad.name


KINDS = ("flipped", "cut", "emptied", "gone")
# Each file is damaged in one way at least.
DAMAGES = [
    pytest.param(name, kind, marks=[] if place % 4 == KINDS.index(kind) else pytest.mark.complete)
    for place, name in enumerate(NAMES)
    for kind in KINDS
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_the_next_run_after_damage_serves_the_last_good_release_and_makes_a_new_one(
    redeployed: Path, runner: ScriptRunner, tmp_path: Path, name: str, damage: str
) -> None:
    root = tmp_path / "project"
    shutil.copytree(redeployed, root, symlinks=True)
    before = live_release(root)
    path = root / "production_deployment" / "current" / name
    data = path.read_bytes()
    spoilt = {"flipped": bytes([data[0] ^ 1]) + data[1:], "cut": data[:-1], "emptied": b""}
    path.unlink() if damage == "gone" else path.write_bytes(spoilt[damage])
    ready = create_app(Project(root).config).test_client().get("/ready").json
    assert ready is not None
    assert ready["damaged_release"] == before
    ended = runner.run(Job("fullprocess", str(root / "config.json")))
    assert ended.code == 0, ended.text
    assert "last good release" in ended.text
    after = live_release(root)
    assert after is not None
    # The same rows make the same model: it gets a new release, beside the damaged one.
    assert (after[7:], after > str(before)) == (str(before)[7:], True)


@pytest.mark.parametrize("became", ["a folder", "an empty file"])
def test_a_link_that_a_copy_followed_or_emptied_is_made_again(
    redeployed: Path, runner: ScriptRunner, tmp_path: Path, became: str
) -> None:
    """As `scp -r` and tools that know no links leave it."""
    root = tmp_path / "project"
    shutil.copytree(redeployed, root, symlinks=became == "an empty file")
    link = root / "production_deployment" / "current"
    if became == "an empty file":
        link.unlink()
        link.touch()
    ended = runner.run(Job("fullprocess", str(root / "config.json")))
    assert ended.code == 0, ended.text
    assert live_release(root) == live_release(redeployed)
    assert releases.live_release(root / "production_deployment") is not None


def test_no_script_ever_loads_a_pickle(
    redeployed: Path, runner: ScriptRunner, tmp_path: Path
) -> None:
    """A pickle that makes a folder when it is loaded, with all digests right."""
    root, nest = tmp_path / "project", tmp_path / "fired"
    shutil.copytree(redeployed, root, symlinks=True)
    payload = f"cos\nmkdir\n(V{nest}\ntR.".encode()
    release = root / "production_deployment" / "current"
    for path in (root / "models/trainedmodel.pkl", release / "trainedmodel.pkl"):
        path.write_bytes(payload)
    manifest = atomic_files.read_json(release / "manifest.json")
    manifest["sha256"]["trainedmodel.pkl"] = atomic_files.sha256_of(release / "trainedmodel.pkl")
    atomic_files.write_json(release / "manifest.json", releases.sealed(manifest))
    assert live_release(root) is not None
    for script in ("scoring", "deployment", "reporting", "diagnostics", "apicalls", "fullprocess"):
        ended = runner.run(Job(script, str(root / "config.json")))
        assert ended.code in (0, 1), ended.text
    assert not nest.exists()
    pickle.loads(payload)
    assert nest.exists(), "the canary works"
