"""One set of files, both engines: the same rows, the same quarantine, the same model, one list."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

pytest.importorskip("pyspark", reason="pip install -r requirements-spark.txt")
pyarrow = pytest.importorskip("pyarrow", reason="pip install -r requirements-spark.txt")
pytest.importorskip("pyarrow.dataset")

import deployment
import ingestion
import scoring
import training
from attrition.core import atomic_files
from attrition.core.config import Config
from attrition.core.errors import PipelineError
from attrition.data import storage
from attrition.data.clients import labelled_test_clients
from attrition.data.hold_out import is_held_out
from attrition.data.ingestion_result import IngestionResult
from attrition.data.ledger import Ledger, read_ledger
from attrition.engines.base import Engine
from attrition.engines.candidate import Candidate
from attrition.engines.context import gather_test_clients
from attrition.engines.selection import engine as engine_of
from attrition.engines.spark import dataset
from attrition.engines.spark import engine as spark
from attrition.engines.spark import scoring as spark_scoring
from attrition.engines.spark.session import connect, one_line
from attrition.engines.spark.training import RowsOnSpark
from attrition.model import selection
from attrition.model.metrics import log_losses
from attrition.model.scorecard_sql import SPARK, select
from attrition.model.training import FittedModel, Functions, RowsInMemory
from attrition.model.versions import versions
from tests.conftest import FOLDERS, Project
from tests.support.contacts import act_on
from tests.support.ingested import quarantined
from tests.support.scorecards import random_card, random_clients
from tests.support.spark import ON_SPARK, engine

pytestmark = ON_SPARK

HEADER = "who,age,Age,visits,sector,worth,gone"
COLUMNS: dict[str, Any] = {
    "id_column": "who",
    "numeric_columns": ["age", "Age", "visits"],
    "categorical_columns": ["sector"],
    "value_column": "worth",
    "target_column": "gone",
    "positive_label": "yes",
    "negative_label": "no",
    "clients_with_reasons": 50,
}
BAD = """"Smith, Sons",1,2,3,a,5,yes
"Smith, Sons",1.0,2e0, 3,a ,5,yes
é,,,,,,no
NA,null,1,2,a,1,yes
007,1e999,1,2,a,1,yes
ragged,1,2,3
p"q,1,2,3,a,1,no
other,1,2,3,a,1,maybe
,1,2,3,a,1,no
soon,1,2,3,a,1,
late,1,2,3,a,1,
"two
lines",1,2,3,a,1,yes
"""


# Open once more after they have left; of the last two the same row says again that they left.
LEAVING = """back,1,2,3,a,1,yes
gone,1,2,3,a,1,yes
left,1,2,3,a,1,no
left,2,2,3,a,1,yes
back,1,2,3,a,1,
gone,1,2,3,a,1,
left,1,2,3,a,1,
gone,1,2,3,a,1,yes
left,1,2,3,a,1,no
left,2,2,3,a,1,yes
"""


def rows(clients: int, seed: int, first: int, open_share: float = 0.1) -> str:
    """Clients of whom age and visits together tell who leaves; with ties, blanks, rare sectors."""
    chance = random.Random(seed)
    lines = [HEADER]
    for number in range(first, first + clients):
        age, visits = chance.randint(0, 40), chance.choice([0, 0, 0, 1, 2, 3, 5, 8])
        sector = chance.choice(["bank", "shop", "farm", "", f"rare{chance.randint(0, 60)}"])
        risk = 0.1 + 0.5 * (age > 20) * (visits < 2) + 0.2 * (sector == "bank")
        label = "yes" if chance.random() < risk else "no"
        if chance.random() < open_share:
            label = ""
        aged = "" if chance.random() < 0.1 else str(age)
        lines.append(
            f"c{number},{aged},{chance.gauss(0, 1):.6f},{visits},{sector},{number % 7},{label}"
        )
    lines += chance.sample(lines[1:], clients // 50)  # duplicates
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Side:
    """One engine's project, and what it came to."""

    project: Project
    results: list[IngestionResult]

    @property
    def config(self) -> Config:
        return self.project.config

    @property
    def ledger(self) -> Ledger:
        return read_ledger(self.config.ledger)

    @property
    def engine(self) -> Engine:
        return engine_of(self.config)

    def learn(self, deployed: str | None = None) -> Candidate:
        return self.engine.learn(self.ledger, labelled_test_clients(self.config), deployed)


def fill(project: Project) -> Side:
    """Two arrivals: in the second some rows are known, some clients' outcomes become known."""
    first = rows(2500, 1, 0)
    project.write("sourcedata/a.csv", first)
    project.write("sourcedata/bad.csv", f"{HEADER}\n{BAD}")
    project.write("sourcedata/no.csv", "who;age\n1;2\n")
    results = [ingestion.run(project.config)]
    again = "\n".join(first.splitlines()[1:300])
    project.write("sourcedata/b.csv", f"{rows(1500, 2, 2000)}{again}\nsoon,1,2,3,a,1,no\n{LEAVING}")
    results.append(ingestion.run(project.config))
    project.write("testdata/t.csv", f"{rows(400, 3, 9000, 0.0)}{again}\nsoon,5,5,5,b,1,no\n")
    return Side(project, results)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    found = []
    for name, setting in (("local", "local"), ("spark", engine("local[2]", data="my data"))):
        project = Project(tmp_path_factory.mktemp(name))
        for folder in FOLDERS.values():
            (project.root / folder).mkdir(parents=True)
        project.configure(engine=setting, **COLUMNS)
        found.append(fill(project))
    yield found[0], found[1]


@pytest.fixture(scope="module")
def lessons(sides: tuple[Side, Side]) -> tuple[Candidate, Candidate]:
    commit = sides[0].ledger.commits[0].id
    return sides[0].learn(commit), sides[1].learn(commit)


def same_clients(one: Any, other: Any) -> None:
    assert one.ids.tolist() == other.ids.tolist()
    assert one.features.to_dict("list").keys() == other.features.to_dict("list").keys()
    for name in one.features:
        np.testing.assert_array_equal(
            one.features[name].to_numpy(), other.features[name].to_numpy()
        )
        assert one.features[name].dtype == other.features[name].dtype
    np.testing.assert_array_equal(one.values, other.values)
    if one.labels is not None:
        np.testing.assert_array_equal(one.labels, other.labels)


def test_both_keep_the_same_rows_in_the_same_order(sides: tuple[Side, Side]) -> None:
    one, other = (side.engine.labelled(side.ledger, 0) for side in sides)
    assert one[1] == other[1] == sides[0].ledger.committed_rows > 3000
    same_clients(one[0], other[0])


def test_both_tell_the_same_of_every_file(sides: tuple[Side, Side]) -> None:
    local, spark = (side.ledger for side in sides)
    assert len(local.entries) == 4
    assert [replace(entry, time="") for entry in local.entries] == [
        replace(entry, time="") for entry in spark.entries
    ]
    assert [(c.id, c.rows, c.files) for c in local.commits] == [
        (c.id, c.rows, c.files) for c in spark.commits
    ]


def test_both_quarantine_the_same_lines_for_the_same_reasons(sides: tuple[Side, Side]) -> None:
    local, spark = (side.project for side in sides)
    assert quarantined(local) == quarantined(spark)
    places = {(row[1], row[2]) for row in quarantined(spark)}
    assert {("5", "age"), ("6", "age"), ("7", ""), ("9", "gone"), ("10", "who")} <= places
    names = [sorted(p.name for p in side.config.quarantine.iterdir()) for side in sides]
    assert names[0] == names[1]
    for path in sides[0].config.quarantine.iterdir():
        assert path.read_bytes() == (sides[1].config.quarantine / path.name).read_bytes()


def test_both_have_the_same_open_clients(sides: tuple[Side, Side]) -> None:
    one, other = (side.engine.opened(side.ledger) for side in sides)
    assert one[1] == other[1] == sides[1].ledger.open_rows > 200
    assert {"back"} == {"back", "gone", "left"}.intersection(one[0].ids.tolist())
    same_clients(one[0], other[0])
    assert "late" in one[0].ids.tolist()
    assert "soon" not in one[0].ids.tolist()


def test_both_hold_out_the_same_clients_and_learn_from_the_others(
    sides: tuple[Side, Side],
) -> None:
    configs = [replace(side.config, test_share=0.2) for side in sides]
    one, other = (
        engine_of(config).held_out(side.ledger) for config, side in zip(configs, sides, strict=True)
    )
    assert one[1] == other[1] == pytest.approx(0.2 * sides[0].ledger.committed_rows, rel=0.15)
    same_clients(one[0], other[0])
    tests = [gather_test_clients(config, read_ledger(config.ledger)) for config in configs]
    assert tests[0].held_out == tests[1].held_out > 400
    counts = [
        engine_of(config).count_in_test(side.ledger, test)
        for config, side, test in zip(configs, sides, tests, strict=True)
    ]
    assert counts[0] == counts[1] > one[1]
    judged = [
        engine_of(config).labelled(side.ledger, 0)
        for config, side in zip(configs, sides, strict=True)
    ]
    assert judged[0][1] == judged[1][1] == sides[0].ledger.committed_rows - one[1]
    same_clients(judged[0][0], judged[1][0])


def test_both_hold_out_the_same_rows_where_there_is_no_id(project: Project) -> None:
    """By the whole row, numbers of any size and blanks among it."""
    import duckdb

    project.configure(
        engine=engine("local[2]"),
        id_column=None,
        test_share=0.3,
        numeric_columns=["age"],
        categorical_columns=["sector"],
    )
    config = project.config
    assert config.engine is not None
    chance = random.Random(7)
    values = [None, 0.0, 1e300, 5e-324, -1.5, 1234567890.5, 0.1, 1 / 3, 2.0**53]
    values += [chance.gauss(0, 10.0 ** chance.randint(-9, 9)) for _ in range(500)]
    kept = pyarrow.table(
        {
            "n": list(range(len(values))),
            "v0": values,
            "v1": [chance.choice(["é", "a b", "c", None]) for _ in values],
            "label": pyarrow.array([chance.randint(0, 1) for _ in values], pyarrow.int8()),
        }
    )
    frame = connect(config.engine).createDataFrame(kept).where(is_held_out(config))
    spark = [row["n"] for row in frame.orderBy("n").collect()]
    with duckdb.connect() as connection:
        connection.register("kept", kept)
        query = f"SELECT n FROM kept WHERE {is_held_out(config)} ORDER BY n"
        local = [row[0] for row in connection.execute(query).fetchall()]
    assert spark == local
    assert len(local) == pytest.approx(150, abs=40)


def test_the_master_data_set_is_parquet_under_the_columns_own_names(
    sides: tuple[Side, Side],
) -> None:
    from pyspark.sql import SparkSession

    folder = sides[1].project.root / "my data"
    names = {commit.id for commit in sides[1].ledger.commits}
    assert {path.name for path in (folder / "rows").iterdir()} == names
    assert sides[1].ledger.open_sha256 in {path.name for path in (folder / "open").iterdir()}
    session = SparkSession.getActiveSession()
    assert session is not None
    frame = session.read.parquet(*[str(folder / "rows" / name) for name in names])
    assert frame.columns == [*HEADER.split(","), "attrition_file", "attrition_row"]
    assert not (folder / "staging").exists()


def test_nothing_new_starts_nothing_and_changes_nothing(sides: tuple[Side, Side]) -> None:
    side = sides[1]
    before = side.ledger
    assert ingestion.run(side.config).files == ()
    assert (side.ledger.entries, side.ledger.commits) == (before.entries, before.commits)


def test_both_choose_the_same_and_fit_the_same_model(
    sides: tuple[Side, Side], lessons: tuple[Candidate, Candidate]
) -> None:
    one, other = lessons
    assert one.fitted.settings == other.fitted.settings
    assert one.fitted.scorecard.pairs, "the pair of age and visits is found"
    assert (one.rows, one.positives, one.left_out) == (other.rows, other.positives, other.left_out)
    assert one.left_out > 200
    assert one.known_test_rows == other.known_test_rows == 1
    for side in sides:
        test = labelled_test_clients(side.config)
        assert side.engine.count_in_test(side.ledger, test) == one.left_out
    np.testing.assert_array_equal(one.unseen, other.unseen)
    same_clients(one.clients, other.clients)
    same_model(one.fitted, other.fitted, one.clients.columns)


def same_model(one: FittedModel, other: FittedModel, columns: dict[str, NDArray[Any]]) -> None:
    """Equal knots and levels, log-odds and averages."""
    cards = one.scorecard, other.scorecard
    axes = [[term.axes for term in card.all_terms] for card in cards]
    assert axes[0] == axes[1]
    log_odds = [card.log_odds(columns) for card in cards]
    np.testing.assert_allclose(log_odds[0], log_odds[1], atol=1e-6, rtol=0)
    shares = [card.contributions(columns) for card in cards]
    np.testing.assert_allclose(shares[0], shares[1], atol=1e-6, rtol=0)


def test_both_weigh_the_functions_of_a_sample_by_all_rows(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "SAMPLE_ROWS", 1000)
    one, other = (side.learn() for side in sides)
    assert one.fitted.settings == other.fitted.settings
    assert one.fitted.settings["cross_validated_rows"] == 1000 < one.rows
    same_model(one.fitted, other.fitted, one.clients.columns)
    chances = other.fitted.scorecard.probabilities(other.clients.columns)
    assert chances.mean() == pytest.approx(other.positives / other.rows, abs=1e-4)


def test_both_obey_the_setting_monotone_and_know_its_price(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a sample selects and all rows are weighed."""
    monkeypatch.setattr(selection, "SAMPLE_ROWS", 1000)
    asked = {"age": "decreasing", "visits": "increasing"}  # the contrary of what the rows tell
    learnt = [
        engine_of(replace(side.config, monotone=asked)).learn(
            side.ledger, labelled_test_clients(side.config), None
        )
        for side in sides
    ]
    one, other = learnt
    same_model(one.fitted, other.fitted, one.clients.columns)
    for each in learnt:
        card, clients, free = (
            each.fitted.scorecard,
            each.clients.features.head(300),
            each.fitted.free,
        )
        for column, sign in (("age", -1), ("visits", 1)):
            grid = np.linspace(-5, 50, 56)
            odds = [card.log_odds(clients.assign(**{column: value})) for value in grid]
            assert np.min(sign * np.diff(odds, axis=0)) > -1e-9
        assert free is not None
        assert len(free.labels) == 1000
        losses = [
            log_losses(kept.labels, kept.probabilities).mean()
            for kept in (each.fitted.selection, free)
        ]
        assert losses[0] > losses[1] + 0.01


@pytest.mark.parametrize("partitions", [(1,), (7,), (5, "label")])
def test_sums_over_rows_do_not_depend_on_partitions(
    sides: tuple[Side, Side], lessons: tuple[Candidate, Candidate], partitions: tuple[Any, ...]
) -> None:
    """Empty ones among them; blanks and levels mean the same on a worker."""
    place, fitted = spark_engine(sides[1]), lessons[1].fitted
    clients, count = place.labelled(sides[1].ledger, 0)
    assert clients.labels is not None
    functions = Functions(
        fitted.pipeline["basis"], sparse.csc_matrix(fitted.pipeline["regression"].coef_.T)
    )
    expected = RowsInMemory(clients.features, clients.labels).total(functions.sums_of_hats)
    with place._master() as master:
        keys = storage.key_of(sides[1].config)
        rows = master.labelled(sides[1].ledger.commits).repartition(*partitions)
        frame = rows.select(*(keys[name] for name in fitted.columns.all), "label")
        actual = RowsOnSpark(frame, count, fitted.columns).total(functions.sums_of_hats)
    np.testing.assert_allclose(actual, expected, rtol=1e-12)


def test_the_pipeline_is_an_ordinary_one_and_equals_its_scorecard(
    lessons: tuple[Candidate, Candidate],
) -> None:
    fitted, clients = lessons[1].fitted, lessons[1].clients
    pipeline = pickle.loads(pickle.dumps(fitted.pipeline))
    features = clients.features.copy()
    features.loc[:20, "age"] = np.nan
    features.loc[10:40, "sector"] = "never seen"
    columns = {str(name): features[name].to_numpy() for name in features}
    chances = pipeline.predict_proba(features)[:, 1]
    np.testing.assert_allclose(fitted.scorecard.probabilities(columns), chances, atol=1e-9, rtol=0)
    assert pipeline.classes_.tolist() == [0, 1]
    width = len(pipeline["basis"].get_feature_names_out())
    assert pipeline["regression"].coef_.shape == (1, width)


def test_a_scorecard_says_the_same_as_a_column_of_spark(
    sides: tuple[Side, Side], lessons: tuple[Candidate, Candidate]
) -> None:
    place = spark_engine(sides[1])
    card = lessons[1].fitted.scorecard
    assert card.pairs
    with place._master() as master:
        rows = master.labelled(sides[1].ledger.commits)
        scored = spark_scoring.scored(rows, card, storage.key_of(sides[1].config))
        assert scored.columns == [*rows.columns, "log_odds", "probability"]
        table = scored.toArrow().sort_by([("file", "ascending"), ("row", "ascending")])
    clients, _ = place.labelled(sides[1].ledger, 0)
    expected = card.log_odds(clients.columns)
    np.testing.assert_allclose(table["log_odds"].to_numpy(), expected, atol=1e-9, rtol=0)
    expected = card.probabilities(clients.columns)
    np.testing.assert_allclose(table["probability"].to_numpy(), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("seed", range(2))
def test_a_select_says_the_same_in_spark(sides: tuple[Side, Side], seed: int) -> None:
    model = random_card(seed)
    clients = random_clients(model, seed, 100)
    labels = ("it's \\fine", "leaves")
    with spark_engine(sides[1])._master() as master:
        columns = {
            name: pyarrow.array(values, "double" if name in model.numeric_columns else "string")
            for name, values in clients.items()
        }
        frame = master.session.createDataFrame(pyarrow.table({**columns, "id": range(100)}))
        frame.createOrReplaceTempView("clients")
        query = select(model, SPARK, "clients", "id", labels)
        table = master.session.sql(query).toArrow().sort_by("id")
    expected = model.probabilities(clients)
    np.testing.assert_allclose(table["probability"].to_numpy(), expected, atol=1e-9, rtol=0)
    assert set(table["prediction"].to_pylist()) == set(labels)


def spark_engine(side: Side) -> spark.SparkEngine:
    place = side.engine
    assert isinstance(place, spark.SparkEngine)
    return place


def test_the_riskiest_clients_are_those_of_the_whole_list(
    sides: tuple[Side, Side], lessons: tuple[Candidate, Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    card, side = lessons[1].fitted.scorecard, sides[1]
    for ask in ("riskiest_opened", "riskiest_stayed"):
        one, other = (getattr(x.engine, ask)(x.ledger, card) for x in sides)
        assert one[0].labels is None or not one[0].labels.any()
        assert not {"gone", "left"}.intersection(one[0].ids.tolist())
        assert one[1] == other[1]
        same_clients(one[0], other[0])
        chances = np.round(card.probabilities(one[0].columns), 9)
        best = sorted(zip(-chances, one[0].ids.tolist(), strict=True))[:20]
        monkeypatch.setattr(spark, "LISTED_CLIENTS", 20)
        few, total = getattr(side.engine, ask)(side.ledger, card)
        monkeypatch.undo()
        assert total == one[1]
        assert sorted(few.ids.tolist()) == sorted(name for _, name in best)


def test_outcomes_of_earlier_lists_are_found(sides: tuple[Side, Side]) -> None:
    wanted = {"soon", "c2100", "c2200", "nobody"}
    start = [side.ledger.commits[1].start for side in sides]
    one, other = (
        side.engine.outcomes(side.ledger, at, wanted) for side, at in zip(sides, start, strict=True)
    )
    assert one[0] == other[0]
    assert one[1] == other[1]
    assert "soon" in one[0]
    assert (other[2] <= one[2]).all()


def test_both_set_the_same_contacted_clients_aside(sides: tuple[Side, Side]) -> None:
    """Of clients called before the second arrival the rows of that count, not those of the first.

    Their names are in both: some in two rows, in each of the arrivals one.
    """
    names = [f"c{number}" for number in range(1900, 2100)]
    tallies = []
    for side in sides:
        act_on(side.project, names)
        ingestion.run(side.config)
        first, *others = side.ledger.commits
        ledger = replace(side.ledger, commits=(replace(first, time="2001-02-03"), *others))
        clients, _ = side.engine.labelled(ledger, 0)
        learnt = side.engine.learn(ledger, labelled_test_clients(side.config), first.id)
        tallies.append((clients, learnt))
        side.config.actions.unlink()
    (one, one_learnt), (other, other_learnt) = tallies
    np.testing.assert_array_equal(one.contacted, other.contacted)
    rows_of_first = sides[0].ledger.commits[0].rows
    assert one.contacted is not None
    assert not one.contacted[:rows_of_first].any()
    late = set(one.ids[rows_of_first:]) & set(names)
    assert set(one.ids[one.contacted]) == late
    assert len(late & set(one.ids[:rows_of_first])) > 50
    assert 0 < one_learnt.contacted == other_learnt.contacted == one.contacted.sum()
    assert not one_learnt.learns_contacted
    assert (one_learnt.rows, one_learnt.left_out) == (other_learnt.rows, other_learnt.left_out)
    same_clients(one_learnt.clients, other_learnt.clients)
    same_clients(one_learnt.today, other_learnt.today)
    np.testing.assert_array_equal(one_learnt.unseen, other_learnt.unseen)
    cards = one_learnt.fitted.scorecard, other_learnt.fitted.scorecard
    assert cards[0].threshold == pytest.approx(cards[1].threshold, abs=1e-4)
    chances = [card.probabilities(one.columns) for card in cards]
    np.testing.assert_allclose(chances[0], chances[1], atol=1e-4, rtol=0)


def test_the_profile_of_the_data_is_the_same(sides: tuple[Side, Side]) -> None:
    one, other = (side.engine.profile(read_ledger(side.config.ledger)) for side in sides)
    for name in ("rows", "clients", "repeated_clients", "conflicting_clients", "categories"):
        assert getattr(one, name) == getattr(other, name), name
    assert [(b.commit, b.rows) for b in one.batches] == [(b.commit, b.rows) for b in other.batches]
    for left, right in zip(one.batches, other.batches, strict=True):
        assert left.base_rate == pytest.approx(right.base_rate)
        assert left.missing_data_percentages == pytest.approx(right.missing_data_percentages)
    assert one.missing_data_percentages == pytest.approx(other.missing_data_percentages)
    for column, found in one.summary_statistics.items():
        assert list(found) == list(other.summary_statistics[column])
        for what in ("mean", "standard_deviation", "minimum", "maximum"):
            assert found[what] == pytest.approx(other.summary_statistics[column][what]), what
        for what in ("median", "quantile_05", "quantile_95"):
            assert found[what] == pytest.approx(other.summary_statistics[column][what], abs=0.02)


def test_of_too_many_rows_samples_with_the_same_shares_are_looked_at(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The samples are the same whenever they are drawn, and the model learns from all rows."""
    side = sides[1]
    whole, _ = side.engine.labelled(side.ledger, 0)
    monkeypatch.setattr(dataset, "SAMPLE_ROWS", 600)
    some, total = side.engine.labelled(side.ledger, 0)
    assert total == len(whole) > 3000
    assert len(some) == pytest.approx(600, abs=2)
    assert whole.labels is not None
    assert some.labels is not None
    assert some.labels.mean() == pytest.approx(whole.labels.mean(), abs=0.003)
    same_clients(some, side.engine.labelled(side.ledger, 0)[0])
    opened, _ = side.engine.opened(side.ledger)
    assert len(opened) == side.ledger.open_rows, "so few are not sampled"
    lesson = side.learn(side.ledger.commits[0].id)
    assert lesson.rows == total - lesson.left_out
    assert len(lesson.representatives) == pytest.approx(600, abs=2)
    assert lesson.unseen.sum() == pytest.approx(600, abs=2)
    assert lesson.unseen_rows == side.ledger.commits[1].rows
    assert len(lesson.clients) == len(lesson.unseen) < 1200
    np.testing.assert_allclose(
        lesson.fitted.pipeline.predict_proba(lesson.clients.features)[:, 1],
        lesson.fitted.scorecard.probabilities(lesson.clients.columns),
        atol=1e-9,
        rtol=0,
    )


def test_training_writes_a_release_that_needs_no_spark(sides: tuple[Side, Side]) -> None:
    side = sides[1]
    test = labelled_test_clients(side.config)
    training.run(side.config, read_ledger(side.config.ledger), test)
    scoring.run(side.config, test)
    record = atomic_files.read_json(side.config.output_model_path / "training.json")
    assert record["versions"]["pyspark"]
    assert record["reference"]["rows"] == record["rows"]
    assert record["schema"] == side.config.schema_digest
    assert versions().items() <= record["versions"].items()
    assert atomic_files.read_json(side.config.scores)["rows"] > 300
    assert deployment.run(side.config, {"verdict": "deployed", "run_id": None}).id


def test_a_data_folder_belongs_to_one_project(
    sides: tuple[Side, Side], make_project: Callable[[str], Project]
) -> None:
    other = make_project("other")
    data = str(sides[1].project.root / "my data")
    other.configure(**COLUMNS)
    other.write("sourcedata/a.csv", rows(60, 1, 0))
    ingestion.run(other.config)
    before = other.config.ledger.read_bytes()
    other.configure(engine=engine("local[2]", data=data), **COLUMNS)
    with pytest.raises(PipelineError, match="a folder of its own"):
        ingestion.run(other.config)
    assert other.config.ledger.read_bytes() == before
    assert other.config.final_data.exists()
    assert sides[1].engine.labelled(sides[1].ledger, 0)[1] > 3000
    # A run that ended amid its claim leaves a file that names nobody.
    folder = other.root / "unclaimed [1] {of 2}"
    folder.mkdir()
    (folder / "owner.txt").touch()
    other.configure(engine=engine("local[2]", data=str(folder)), **COLUMNS)
    assert ingestion.run(other.config).new_rows > 40
    assert (folder / "owner.txt").read_text() == str(other.config.output_folder_path)


def test_an_address_spark_cannot_read_is_told(project: Project) -> None:
    project.configure(engine=engine("local[2]", data="nosuch://there/x"), **COLUMNS)
    project.write("sourcedata/a.csv", rows(60, 1, 0))
    with pytest.raises(PipelineError, match="nosuch") as caught:
        ingestion.run(project.config)
    assert "\n" not in str(caught.value)
    assert not project.config.ledger.exists()
    names = {path.name for path in project.config.output_folder_path.iterdir()}
    assert names <= {".lock"}


def test_what_stops_a_worker_is_told(sides: tuple[Side, Side]) -> None:
    """A full disk there, a file it may not read: the cause, not that there is one."""
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    assert session is not None

    def told(error: Exception) -> str:
        def fail(batches: Iterator[Any]) -> Iterator[Any]:
            yield from batches
            raise error

        settings = spark_engine(sides[1]).settings
        with pytest.raises(PipelineError) as caught, one_line(settings):
            session.range(3).mapInArrow(fail, "id long").collect()
        return str(caught.value)

    assert told(PipelineError("no disk space\nand more")) == "Spark (local[2]): no disk space"
    refused = "Spark (local[2]): PermissionError: [Errno 13] Permission denied: '/a.csv'"
    assert told(PermissionError(13, "Permission denied", "/a.csv")) == refused


def test_without_a_ledger_the_rows_on_spark_are_set_aside(project: Project) -> None:
    project.configure(engine=engine("local[2]"), **COLUMNS)
    archived = project.write("sourcedata/a.csv", rows(60, 1, 0))
    rows_there = ingestion.run(project.config).new_rows
    folder = project.config.output_folder_path / "spark"
    archived.unlink()
    for number, damaged in enumerate((False, True), start=1):
        if damaged:
            project.config.ledger.write_text("{")
        else:
            project.config.ledger.unlink()
        project.write(f"sourcedata/b{number}.csv", rows(60, 2, 100 * number))
        result = ingestion.run(project.config)
        assert result.new_rows > 40
        assert f"rows.set-aside-{number}" in result.notices[0]
    kept = pyarrow.dataset.dataset(folder / "rows.set-aside-1", format="parquet")
    assert kept.count_rows() == rows_there
    assert (folder / "open.set-aside-1").is_dir()
    assert ingestion.run(project.config).notices == result.notices
