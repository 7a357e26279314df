"""The scorecard in SQL: two databases give what the scorecard gives, to 1e-9."""

from __future__ import annotations

import csv
import io
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from attrition.core.errors import DataError
from attrition.model.scorecard import Scorecard, scorecard_from_json
from attrition.model.scorecard_sql import DUCKDB, POSTGRES, Dialect, select
from attrition.model.terms import KnotAxis, NumericTerm, PairTerm
from tests.support.scorecards import CARD, CLIENTS, card, random_card, random_clients

LABELS = ("it's \\fine", 'leaves "now"')


def by_hand() -> tuple[list[tuple[Any, ...]], list[float]]:
    """The clients of the scorecard's own test, and their probabilities by hand."""
    rows = [(f"client {number}", *client[:2]) for number, client in enumerate(CLIENTS)]
    return rows, [1 / (1 + math.exp(1.0 - sum(client[2:]))) for client in CLIENTS]


def test_the_clients_computed_by_hand() -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE clients (who VARCHAR, tenure DOUBLE, contract VARCHAR)")
        rows, expected = by_hand()
        connection.executemany("INSERT INTO clients VALUES (?, ?, ?)", rows)
        query = select(card(), DUCKDB, "clients", "who", ("stays", "leaves"))
        found = connection.execute(query).fetchall()
    assert [row[0] for row in found] == [row[0] for row in rows]
    assert [row[1] for row in found] == pytest.approx(expected, abs=1e-12)
    assert [row[2] for row in found] == [
        "leaves" if probability >= CARD["threshold"] else "stays" for probability in expected
    ]


@pytest.mark.parametrize("seed", range(8))
def test_duckdb_agrees_with_the_scorecard_on_hostile_names_and_values(seed: int) -> None:
    model = random_card(seed)
    clients = random_clients(model, seed)
    with duckdb.connect() as connection:
        connection.execute(create_table(model, DUCKDB))
        marks = ", ".join("?" * (len(clients) + 1))
        connection.executemany(f'INSERT INTO "the clients" VALUES ({marks})', numbered(clients))
        query = select(model, DUCKDB, '"the clients"', "id", LABELS)
        found = connection.execute(f"SELECT * FROM ({query}) ORDER BY id").fetchall()
    assert_agree(model, clients, [row[1:] for row in found])


@pytest.fixture(scope="module")
def postgres() -> Iterator[Callable[[str], str]]:
    """Runs SQL in a PostgreSQL of its own, reached by a socket alone; gives what psql prints."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not there: apt install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path is short
    as_user: list[str] = []
    if os.geteuid() == 0:  # it does not run as root
        shutil.chown(folder, "nobody")
        as_user = ["setpriv", "--reuid=nobody", "--clear-groups"]
    data = folder / "data"
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    initdb: list[str | Path] = [
        *as_user,
        programs / "initdb",
        "-D",
        data,
        *"-U tester -A trust -E UTF8 -N".split(),
    ]
    subprocess.run(initdb, check=True, capture_output=True, env=environment)
    silent = "-F -c listen_addresses=".split()
    serve: list[str | Path] = [*as_user, programs / "postgres", "-D", data, "-k", folder, *silent]
    ask_with = "-X -q -v ON_ERROR_STOP=1 -U tester".split()
    psql: list[str | Path] = [programs / "psql", *ask_with, "-h", folder, "postgres"]
    with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stderr is not None
        assert any("ready to accept connections" in line for line in server.stderr)

        def ask(sql: str) -> str:
            done = subprocess.run(
                psql, input=sql, capture_output=True, text=True, env=environment, check=False
            )
            assert done.returncode == 0, done.stderr
            return str(done.stdout)

        yield ask
        server.terminate()
        server.communicate()
    shutil.rmtree(folder)


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's programs; Debian keeps those of a server off the path."""
    on_path = shutil.which("postgres")
    installed = [Path(on_path).resolve()] if on_path else []
    installed += sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return installed[-1].parent if installed else None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_postgres_agrees_with_the_scorecard(postgres: Callable[[str], str], seed: int) -> None:
    model = random_card(seed)
    clients = random_clients(model, seed)
    rows = io.StringIO()
    csv.writer(rows, lineterminator="\n").writerows(numbered(clients))
    query = select(model, POSTGRES, '"the clients"', "id", LABELS)
    answer = postgres(
        f"""BEGIN;
{create_table(model, POSTGRES)};
\\copy "the clients" FROM STDIN (FORMAT csv)
{rows.getvalue()}\\.
COPY (SELECT * FROM ({query}) AS t ORDER BY id) TO STDOUT (FORMAT csv);
ROLLBACK;
"""
    )
    found = [(float(row[1]), row[2]) for row in csv.reader(io.StringIO(answer))]
    assert_agree(model, clients, found)


@pytest.mark.slow
def test_postgres_scores_numbers_whose_products_it_would_refuse(
    postgres: Callable[[str], str],
) -> None:
    axis = KnotAxis((0.0, 10.0), 10.0)
    terms = tuple(NumericTerm(name, axis, (0.0, 0.1), 0.0, 0.0, 0.0) for name in "ab")
    pair = PairTerm(("a", "b"), (axis, axis), ((0.0, 0.2), (0.3, 0.9)), 0.0)
    model = Scorecard(0.0, 0.5, terms, (), (pair,))
    numbers = [5e-324, -5e-324, 1e-310, 1e-170, 3.0]
    rows = ", ".join(f"({n}, {a!r}, {b!r})" for n, (a, b) in enumerate(product(numbers, numbers)))
    table = f"(VALUES {rows}) AS t (id, a, b)"
    answer = postgres(
        f"COPY ({select(model, POSTGRES, table, 'id', LABELS)}) TO STDOUT (FORMAT csv)"
    )
    found = {int(row[0]): float(row[1]) for row in csv.reader(io.StringIO(answer))}
    a, b = zip(*product(numbers, numbers), strict=True)
    expected = model.probabilities({"a": a, "b": b})
    np.testing.assert_allclose([found[n] for n in range(len(a))], expected, rtol=0, atol=1e-9)


def create_table(model: Scorecard, dialect: Dialect) -> str:
    kinds = [
        *(f"{dialect.name(name)} {dialect.double}" for name in model.numeric_columns),
        *(f"{dialect.name(name)} {dialect.text}" for name in model.categorical_columns),
    ]
    return f'CREATE TABLE "the clients" ({", ".join(kinds)}, id BIGINT)'


def numbered(clients: dict[str, list[Any]]) -> list[tuple[Any, ...]]:
    return [(*row, number) for number, row in enumerate(zip(*clients.values(), strict=True))]


def assert_agree(model: Scorecard, clients: dict[str, list[Any]], found: list[Any]) -> None:
    expected = model.probabilities(clients)
    assert np.ptp(expected) > 0.5, "a test that cannot tell"
    np.testing.assert_allclose([row[0] for row in found], expected, rtol=0, atol=1e-9)
    for (probability, label), exact in zip(found, expected, strict=True):
        if abs(exact - model.threshold) > 1e-9:
            assert label == LABELS[int(exact >= model.threshold)], probability


def test_missing_values_are_null_nan_or_blank_and_white_space_counts_for_nothing() -> None:
    query = select(card(), DUCKDB, "clients", None, ("stays", "leaves"))
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE clients AS SELECT * FROM (VALUES (NULL, NULL), ('NaN'::FLOAT, '\t  '), "
            "(NULL, ''), (0.5, ' monthly\u2003')) AS t (tenure, contract)"
        )
        found = connection.execute(query).fetchall()
    expected = card().probabilities({"tenure": [math.nan] * 3, "contract": [""] * 3})
    assert [row[2] for row in found[:3]] == pytest.approx(expected)
    assert found[3][2] == pytest.approx(
        card().probabilities({"tenure": [0.5], "contract": ["monthly"]})[0]
    )
    assert found[3][:2] == (0.5, " monthly\u2003"), "the columns themselves are given unchanged"


def test_columns_that_a_database_cannot_tell_apart_are_refused() -> None:
    twins = CARD | {"numeric": {**CARD["numeric"], "Tenure": CARD["numeric"]["tenure"]}}
    model = scorecard_from_json(twins)
    with pytest.raises(DataError, match="'tenure' and 'Tenure' are one for this database"):
        select(model, DUCKDB, "clients", None, LABELS)
    assert '"Tenure"' in select(model, POSTGRES, "clients", None, LABELS)
