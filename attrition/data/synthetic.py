"""Synthetic corporate clients: client rows for the sample data, tests and benchmarks.

    python -m attrition.data.synthetic --clients 5000 --seed 1 --drift 0 --output clients.csv

`--value` adds a yearly revenue. `--list models/clientrisk.csv --actions calls.csv --calls 0.3`,
with the arguments of a file made before, makes instead what became of its open clients: who was
called, and the outcomes after calls that keep 3 in 10 of those who would have left.

No company here is real. Each client has a size (employees, heavy-tailed), a level of activity that
grows with it, and a last month that may be quieter than the year. The risk of leaving is nonlinear
and saturates, as in reality: a quiet month raises it, a busy one hardly lowers it; tiny and very
large clients leave more often than medium ones; a quiet month counts more for large clients.
`drift` changes the distribution: all clients' activity falls, a quiet month predicts less and a
quiet year more, so that a model of the old data gets worse.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attrition.core import atomic_files, clock
from attrition.core.command_line import Parser
from attrition.core.spreadsheet import plain

COLUMNS = (
    "corporation",
    "lastmonth_activity",
    "lastyear_activity",
    "number_of_employees",
    "exited",
)
_FIRST = (
    "Alder Amber Arbour Aster Beacon Birch Blue Bramble Bright Cedar Clear Cobalt Copper Coral "
    "Crest Delta Dover Eastern Elm Ember Falcon First Forge Garnet Glen Golden Grand Granite "
    "Harbour Hazel Heron Hill Iron Ivory Jade Juniper Kestrel Lake Laurel Linden Maple Marble "
    "Meridian Mill Noble North Oak Olive Onyx Opal Orchard Pearl Pine Prairie Quarry Quartz Raven "
    "Red River Rowan Saffron Sage Silver Slate Sterling Stone Summit Swift Thorn Timber Union "
    "Upland Vale Valley Verdant West White Willow Winter Wren"
).split()
_SECOND = (
    "Analytics Bakeries Brewing Capital Carriers Ceramics Chemicals Clinics Components "
    "Construction Dairy Data Dental Design Devices Electric Energy Engineering Farms Fisheries "
    "Foods Foundry Freight Furniture Glass Grain Hotels Instruments Insurance Interiors Knitwear "
    "Labs Lighting Logistics Machines Marine Media Metals Mills Motors Networks Optics Packaging "
    "Paper Pharma Plastics Printing Properties Pumps Rail Retail Roofing Seeds Shipping Software "
    "Solar Steel Storage Systems Textiles Tiles Tools Toys Travel Turbines Valves Water Wines"
).split()
_FORMS = ("Ltd", "Inc", "AG", "SA", "& Sons", "Group")

DUPLICATE_SHARE = 0.01
BLANK_SHARE = 0.015
NO_VALUE_SHARE = 0.01
REACHED_SHARE, KEPT_SHARE = 0.8, 0.3
CALL_COST = "25"
ACTION_COLUMNS = ("client", "date", "action", "cost", "note")
VALUE_COLUMN = "yearly_revenue"
_BASE_LOG_ODDS = -3.6


def client_rows(
    clients: int,
    *,
    seed: int,
    drift: float = 0.0,
    open_share: float = 0.06,
    first_client: int = 0,
) -> list[list[str]]:
    """Make client rows in the columns of `COLUMNS`, as texts for a CSV file.

    Args:
        clients: number of clients; about 1 % of them have two equal rows.
        seed: equal seeds and settings give equal rows.
        drift: how far the distribution has moved, 0 not at all, 1 far.
        open_share: fraction 0-1 of clients whose outcome is still blank.
        first_client: number of the first client; other numbers give other names.

    Returns:
        One list of texts for each row; a blank text is a missing value.
    """
    random = np.random.default_rng(seed)
    employees, last_month, last_year = _features(random, clients, drift)
    risk = 1 / (1 + np.exp(-_log_odds(employees, last_month, last_year, drift)))
    exited = random.random(clients) < risk
    is_open = random.random(clients) < open_share
    blank = random.random((clients, 3)) < BLANK_SHARE
    columns = np.stack([last_month, last_year, employees], axis=1).astype(np.int64)
    rows = [
        [
            corporation_name(first_client + client),
            *("" if blank[client, k] else str(columns[client, k]) for k in range(3)),
            "" if is_open[client] else str(int(exited[client])),
        ]
        for client in range(clients)
    ]
    for copied in random.integers(0, clients, int(clients * DUPLICATE_SHARE)):
        rows.append(rows[copied])
    return rows


def _features(
    random: np.random.Generator, clients: int, drift: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Employees, last month's and last year's activity (contacts and orders); whole numbers."""
    employees = np.ceil(np.exp(random.normal(4.0, 1.5, clients)))
    usual = np.exp(random.normal(2.6, 0.7, clients) + 0.35 * np.log(employees) - 0.5 * drift)
    last_year = random.poisson(12 * usual)
    # Most last months are like the year; some are far quieter, and a few have no activity.
    mood = np.exp(random.normal(0.0, 0.45, clients))
    mood *= np.where(random.random(clients) < 0.25, random.uniform(0.0, 0.5, clients), 1.0)
    last_month = random.poisson(usual * mood)
    return employees, last_month.astype(np.float64), last_year.astype(np.float64)


def _log_odds(
    employees: NDArray[np.float64],
    last_month: NDArray[np.float64],
    last_year: NDArray[np.float64],
    drift: float,
) -> NDArray[np.float64]:
    """The true risk of leaving, as log-odds."""
    size = np.log(employees)
    month = np.log1p(last_month)
    year = np.log1p(last_year / 12)
    quiet_month = _bend(3.0 - month)
    quiet_year = _bend(3.2 - year)
    odd_size = np.maximum(np.abs(size - 4.0) - 1.0, 0.0)
    large = 1 / (1 + np.exp(-2 * (size - 5.0)))
    return (
        _BASE_LOG_ODDS
        + (5.2 - 4.0 * drift) * quiet_month
        + (1.2 + 4.2 * drift) * quiet_year
        + 1.2 * np.minimum(odd_size, 2.0)
        + (2.4 - 2.4 * drift) * large * quiet_month
    )


def _bend(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 up to a distance of 0, then rising, saturating at about 1."""
    return np.asarray(np.tanh(np.maximum(distance, 0.0)))


def with_values(rows: Sequence[Sequence[str]], *, seed: int) -> list[list[str]]:
    """The rows with a yearly revenue, heavy-tailed and growing with the size, before the outcome.

    A client's equal rows have one revenue; of one client in 100 it is not known.
    """
    random = np.random.default_rng([seed, 1])  # of its own: the other columns stay as they are
    revenues: dict[str, str] = {}
    for name, _, _, employees, _ in rows:
        if name not in revenues:
            revenue = np.exp(random.normal(8.0, 0.7)) * float(employees or 50) ** 0.35
            revenues[name] = "" if random.random() < NO_VALUE_SHARE else f"{revenue:.0f}"
    return [[*row[:-1], revenues[row[0]], row[-1]] for row in rows]


def after_calls(
    rows: Sequence[Sequence[str]], called: Collection[str], *, effect: float, seed: int
) -> list[list[str]]:
    """The rows after calls, which keep a share of the clients who would leave.

    Whether a call keeps a client depends on the seed and the client alone, so that others who are
    called, and the order of the rows, change nothing; a larger effect keeps the same ones and more.

    Args:
        rows: client first, outcome last: what it would be if nobody called; blank is left blank.
        called: the clients who were called.
        effect: share of the leavers among them whom the call keeps, a fraction 0-1.
        seed: equal seeds keep the same clients.
    """
    return [
        [*row[:-1], "0"]
        if row[-1] == "1" and row[0] in called and _drawn(row[0], seed, "kept") < effect
        else list(row)
        for row in rows
    ]


def _drawn(client: str, seed: int, what: str) -> float:
    """A number from 0 to 1, drawn for one client and one question."""
    digest = sha256(f"{seed} {what} {client}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def work_the_list(
    opened: Sequence[Sequence[str]],
    outcomes: Mapping[str, str],
    to_call: Collection[str],
    *,
    effect: float,
    seed: int,
    day: str,
) -> tuple[list[list[str]], list[list[str]]]:
    """Call clients: most are reached, and a call keeps a share of those who would leave.

    Args:
        opened: rows of clients whose outcome is open, one a client, the outcome last.
        outcomes: client -> its outcome if nobody calls.
        to_call: the clients to call.
        effect: share of the leavers reached whom the call keeps, a fraction 0-1.
        seed: equal seeds reach and keep the same clients.
        day: of the calls, such as `2026-01-31`.

    Returns:
        The calls, in the columns of `ACTION_COLUMNS`; and the rows with the outcomes after them.
    """
    clients = [row[0] for row in opened if row[0] in to_call]
    reached = [client for client in clients if _drawn(client, seed, "reached") < REACHED_SHARE]
    labelled = [[*row[:-1], outcomes[row[0]]] for row in opened]
    calls = [[client, day, "call", CALL_COST, ""] for client in reached]
    return calls, after_calls(labelled, set(reached), effect=effect, seed=seed)


def _clients_to_call(path: Path) -> set[str]:
    """The clients at high risk on a list that the pipeline made, without those held out."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["tier"] == "high"]
    return {plain(row["client"]) for row in rows if row.get("group", "call") == "call"}


def corporation_name(number: int) -> str:
    """The name of a made-up corporation; another number gives another name."""
    first, rest = number % len(_FIRST), number // len(_FIRST)
    # 7 and 5 are coprime to the lengths, so that consecutive numbers give different names.
    second = (rest + 7 * first) % len(_SECOND)
    generation = rest // len(_SECOND)
    form = _FORMS[(first + second + generation) % len(_FORMS)]
    name = f"{_FIRST[first]} {_SECOND[second]} {form}"
    return name if generation == 0 else f"{name} {generation + 1}"


def csv_text(rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS) -> str:
    """The rows as CSV text with a header."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue()


def _parser() -> Parser:
    parser = Parser(description="Make a CSV file of made-up client rows.")
    parser.add_argument("--clients", type=int, default=5000, help="number of clients")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds give equal rows")
    parser.add_argument("--drift", type=float, default=0.0, help="0 none to 1 far")
    parser.add_argument("--open-share", type=float, default=0.06, help="share of blank outcomes")
    parser.add_argument("--first-client", type=int, default=0, help="number of the first client")
    parser.add_argument("--value", action="store_true", help=f"with a column {VALUE_COLUMN}")
    parser.add_argument("--list", type=Path, help="call the open clients on this clientrisk.csv")
    parser.add_argument("--actions", type=Path, help="with --list: the CSV file for the calls")
    parser.add_argument(
        "--calls",
        type=float,
        default=KEPT_SHARE,
        metavar="EFFECT",
        help=f"with --list: share of the leavers reached whom a call keeps (else {KEPT_SHARE})",
    )
    parser.add_argument("--output", type=Path, required=True, help="the CSV file to write")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Write a CSV file of made-up client rows."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if (arguments.list is None) != (arguments.actions is None):
        parser.error("--list and --actions: expected both or none")
    if not 0 <= arguments.calls <= 1:
        parser.error(f"--calls: expected a share from 0 to 1, found {arguments.calls}")

    def made(open_share: float) -> list[list[str]]:
        return client_rows(
            arguments.clients,
            seed=arguments.seed,
            drift=arguments.drift,
            open_share=open_share,
            first_client=arguments.first_client,
        )

    rows = made(arguments.open_share)
    columns: tuple[str, ...] = COLUMNS
    if arguments.value:
        rows = with_values(rows, seed=arguments.seed)
        columns = (*COLUMNS[:-1], VALUE_COLUMN, COLUMNS[-1])
    if arguments.list is not None:
        opened = [row for row in rows[: arguments.clients] if not row[-1]]
        calls, rows = work_the_list(
            opened,
            {row[0]: row[-1] for row in made(0.0)},
            _clients_to_call(arguments.list),
            effect=arguments.calls,
            seed=arguments.seed,
            day=clock.today(),
        )
        atomic_files.write_text(arguments.actions.absolute(), csv_text(calls, ACTION_COLUMNS))
    atomic_files.write_text(arguments.output.absolute(), csv_text(rows, columns))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
