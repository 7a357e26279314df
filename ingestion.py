"""Take in new client rows: checked, without duplicates, added to the training set.

    python ingestion.py                  take in what is new in sourcedata/
    python ingestion.py --accept-edits   keep finaldata.csv as edited by hand
    python ingestion.py --new-project FOLDER FILE --target COLUMN
                                         make a project for a table
    python ingestion.py --suggest-config FILE --target COLUMN [--write]
                                         print settings for a table, or write them

Reads  sourcedata/*.csv and *.csv.gz, in any case; what else lies there is named as not read.
Writes ingesteddata/finaldata.csv (labelled rows, each once), openclients.csv (clients without an
outcome yet), quarantine/ (rejected rows with line, column, value and reason), ledger.json (what
became of every file), ingestedfiles.txt.

New is what the ledger does not know by its content, whatever its name. Rows are appended to
finaldata.csv and belong to it once the ledger says so: a run that is killed leaves a tail, which
the next run cuts off before it takes in the same files again, with the same result. What somebody
else has changed is refused until it is restored, or accepted with --accept-edits. Where ledger.json
is missing, a new one is made of the rows that stand there.
"""

from __future__ import annotations

if __name__ == "__main__":
    from attrition.core import environment

    environment.require_packages()

import argparse
import gzip
import logging
import tempfile
import textwrap
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from attrition.calls import actions_store
from attrition.calls.actions_store import ActionsTaken
from attrition.core import atomic_files, clock
from attrition.core.config import DEFAULT_CONFIG_PATH, STANDARD_FOLDERS, Config
from attrition.core.config_parsing import parse_config
from attrition.core.errors import DataError, PipelineError
from attrition.core.formatting import line, moment, plural, within
from attrition.core.settings_file import Written, replace_settings
from attrition.data import segment_change, source_files
from attrition.data.config_suggestion import suggest_settings
from attrition.data.csv_records import FOUND, MAXIMUM_RECORD, check_header, column_names
from attrition.data.discovery import Survey, all_rejected, some, survey
from attrition.data.ingestion_result import IngestionResult, Pending, actions_text
from attrition.data.late_labels import late_labels
from attrition.data.ledger import REJECTED, Ledger, LedgerEntry, read_ledger, write_ledger
from attrition.data.ledger_rebuild import accept_edits
from attrition.data.source_files import Batch, Refusal
from attrition.engines.selection import engine
from attrition.runs import cli

logger = logging.getLogger(__name__)


def run(config: Config) -> IngestionResult:
    """Take in what is new in the source folder; to be called under the run lock.

    Raises:
        PipelineError: what earlier runs left was changed by somebody else, or there is not enough
            memory or disk.
    """
    rows_engine = engine(config)
    before = rows_engine.repair().reopened(config)
    looked = _look(config, before)
    _log_survey(looked, before)
    took_in = bool(looked.new) or before.has_matured(clock.today())
    looked, after = rows_engine.take_in(before, looked) if took_in else (looked, before)
    for entry in after.entries[len(before.entries) :]:
        _log(entry)
    after = _with_late_labels(config, after, len(before.entries))
    after = _with_survey(config, replace(after, store=rows_engine.store, writing=False), looked)
    # Whoever took something in has written there that rows were coming.
    if after != before or took_in or not config.ledger.exists():
        write_ledger(config.ledger, after)
    rows_engine.settle(after)
    actions = actions_store.take_in(config, lambda names: _known_ids(config, names))
    return _with_actions(_result(config, before, after, looked), actions)


def pending(config: Config) -> Pending:
    """See what a run would take in; writes nothing."""
    ledger = read_ledger(config.ledger).reopened(config)
    if not ledger.fits(config.schema_digest, engine(config).store):
        ledger = ledger if segment_change.is_due(config, ledger) else Ledger()
    looked = _look(config, ledger)
    with tempfile.TemporaryDirectory() as scratch:
        part = Path(scratch) / "part.csv"
        problems = {
            item.batch.name: _header_problem(config, item.batch, part) for item in looked.new
        }
    actions, waiting = actions_store.pending(config)
    return Pending(
        tuple(name for name, reason in problems.items() if reason is None),
        (*looked.waiting, *waiting),
        looked.refused,
        tuple(Refusal(name, reason) for name, reason in problems.items() if reason is not None),
        actions,
    )


def _header_problem(config: Config, batch: Batch, part: Path) -> str | None:
    """Why a batch would be rejected by its header; None if it would not, or cannot be read yet.

    Args:
        part: where to write its first rows; by them alone it is judged.
    """
    try:
        with source_files.open_batch(batch) as stream:
            plain = gzip.GzipFile(fileobj=stream) if batch.is_packed else stream
            with plain:
                head = plain.read(MAXIMUM_RECORD)
        part.write_bytes(head[: head.rfind(b"\n") + 1] or head)
        check_header(column_names(part), config.stored_columns, ())
    except DataError as error:
        return str(error).partition(FOUND)[0]
    except (OSError, EOFError, zlib.error):
        return None
    return None


def _look(config: Config, ledger: Ledger) -> Survey:
    """Survey the source folder, and list the files in the test data folder that are not read."""
    looked = survey(config.input_folder_path, ledger, config.upload_settle_seconds)
    folder = config.test_data_path
    unread = [
        Refusal(f"{folder.name}/{item.name}", item.reason)
        for item in source_files.list_unread(folder)
    ]
    return replace(looked, refused=(*looked.refused, *unread))


def _news(looked: Survey, ledger: Ledger) -> tuple[Refusal, ...]:
    """Files that are refused for the first time, or for another reason than before."""
    return tuple(item for item in looked.refused if ledger.refused.get(item.name) != item.reason)


def _with_survey(config: Config, ledger: Ledger, looked: Survey) -> Ledger:
    """The ledger with the state of the source folder added."""
    ledger = replace(
        ledger,
        schema=config.schema_digest,
        sightings=looked.sightings,
        arrivals=ledger.arrivals if looked.waiting else (),
        refused={refusal.name: refusal.reason for refusal in looked.refused},
        events=(*ledger.events, *looked.events),
    )
    for former in () if looked.waiting else ledger.former:
        ledger = ledger.standing_for(former)
    return ledger


def _with_late_labels(config: Config, ledger: Ledger, start: int) -> Ledger:
    """The ledger with a notice of each file from a position on whose leavers came before the rest.

    A file that is read again is not named again.
    """
    known = {notice.text for notice in ledger.notices}
    odd = late_labels(ledger.entries, config.outcome_days is not None)
    for entry in ledger.entries[start:]:
        if (text := odd.get(entry.sha256)) is not None and text not in known:
            logger.warning("%s", text)
            ledger = ledger.with_notice(clock.now(), text)
    return ledger


def _result(config: Config, before: Ledger, after: Ledger, looked: Survey) -> IngestionResult:
    entries = after.entries[len(before.entries) :]
    new, end = after.commits[len(before.commits) :], after.committed_bytes
    return IngestionResult(
        files=entries,
        refused=_news(looked, before),
        waiting=looked.waiting,
        commit=after.commit_id,
        start=new[0].start if new else end,
        end=end,
        new_rows=sum(commit.rows for commit in new),
        open_clients=after.open_rows,
        all_rejected=all_rejected(config, after),
        notices=tuple(f"{notice.text} ({moment(notice.time)})" for notice in after.notices),
    )


def _known_ids(config: Config, names: set[str]) -> dict[str, str]:
    from attrition.data.clients import known_ids  # slow to import, and needed for new actions only

    return known_ids(config, names)


def _with_actions(result: IngestionResult, actions: ActionsTaken) -> IngestionResult:
    return replace(
        result,
        actions=actions.files,
        actions_known=actions.known,
        actions_store=actions.store,
        refused=(*result.refused, *actions.refused),
        waiting=(*result.waiting, *actions.waiting),
        notices=(*result.notices, *actions.notices),
    )


def _log_survey(looked: Survey, ledger: Ledger) -> None:
    """Log what happened in the source folder."""
    for event in looked.events:
        logger.info("%s: %s", event.name, event.what)
    for refusal in _news(looked, ledger):
        logger.warning("%s: not read: %s", refusal.name, refusal.reason)
    for name in looked.waiting:
        logger.info("%s: still being written, left for the next run", name)
    for name in looked.held_back:
        logger.info("%s: left for the next run, to be read again in the order of arrival", name)


def _log(entry: LedgerEntry) -> None:
    """Log what became of a file; values that a reason quotes from it are left out."""
    if entry.status == REJECTED:
        logger.warning("%s: rejected: %s", entry.name, str(entry.reason).partition(FOUND)[0])
        return
    logger.info(
        "%s: %s",
        entry.name,
        f"{entry.rows_read:,} rows: {entry.kept:,} new, {entry.duplicate:,} duplicate, "
        f"{entry.open:,} of open clients, {entry.quarantined:,} quarantined",
    )
    if entry.extra_columns:
        names = some([line(name, 40) for name in entry.extra_columns])
        logger.info("%s: not used: %s", entry.name, names)


def table_text(result: IngestionResult) -> str:
    """A result as a table of at most 80 columns."""
    lines = [f"{'file':<34}{'rows':>9}{'new':>9}{'duplic.':>9}{'open':>9}{'quarant.':>10}"]
    for entry in result.files:
        if entry.status != REJECTED:
            lines.append(
                f"{_fit(entry.name)}{entry.rows_read:>9,}{entry.kept:>9,}"
                f"{entry.duplicate:>9,}{entry.open:>9,}{entry.quarantined:>10,}"
            )
    for item in result.refused:
        lines += _wrapped(f"{item.name}: not read: {item.reason}")
    for name in result.waiting:
        lines += _wrapped(f"{name}: still being written, left for the next run")
    for entry in result.actions:
        if entry.status != REJECTED:
            lines += _wrapped(f"{entry.name}: {actions_text(entry)}")
    for entry in (*result.files, *result.actions):
        if entry.status == REJECTED:
            lines += _wrapped(f"{entry.name}: rejected: {entry.reason}")
    if len(lines) == 1:
        lines = ["nothing new"]
    lines.append(
        f"{plural(result.new_rows, 'row')} added to the training set; "
        f"{plural(result.open_clients, 'open client')}"
    )
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 80, subsequent_indent="    ", break_on_hyphens=False)


def _fit(name: str, width: int = 34) -> str:
    short = name if len(name) < width else f"{name[: width - 4]}..."
    return f"{short:<{width}}"


def main(argv: Sequence[str] | None = None) -> int:
    """Ingest, or with --suggest-config print settings for a table."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--suggest-config", type=Path, metavar="FILE", help="print settings for this table"
    )
    parser.add_argument(
        "--accept-edits",
        action="store_true",
        help="keep finaldata.csv and openclients.csv as edited by hand, if every row is sound",
    )
    parser.add_argument(
        "--new-project",
        type=Path,
        nargs=2,
        metavar=("FOLDER", "FILE"),
        help="make a folder with all that a run on this table needs",
    )
    parser.add_argument("--target", metavar="COLUMN", help="the column of labels in that table")
    parser.add_argument(
        "--positive", metavar="VALUE", help="the label of clients who left (default: by its name)"
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="write the suggested settings instead; the old file is kept as config.json.bak",
    )
    arguments = parser.parse_args(argv)
    table_options = [arguments.suggest_config, arguments.new_project]
    if all(table_options):
        parser.error("--suggest-config FILE or --new-project FOLDER FILE, not both")
    if any(table_options) != (arguments.target is not None):
        option = "--suggest-config" if arguments.new_project is None else "--new-project FOLDER"
        parser.error(f"{option} FILE and --target COLUMN belong together")
    if arguments.positive is not None and arguments.target is None:
        parser.error("--positive VALUE belongs with --target COLUMN")
    if arguments.write and arguments.suggest_config is None:
        parser.error("--write writes what --suggest-config FILE --target COLUMN suggests")
    if arguments.accept_edits:
        return cli.run_stage(parser, argv, _accept_edits)
    if arguments.new_project is not None:
        return cli.run_without_settings(parser, argv, _new_project)
    if arguments.suggest_config is None:
        return cli.run_stage(parser, argv, _ingest)
    return cli.run_without_settings(parser, argv, _suggest)


def _ingest(config: Config, arguments: argparse.Namespace) -> int:
    result = run(config)
    print(table_text(result))
    if result.all_rejected is not None and not result.files:
        logger.warning("%s", result.all_rejected)  # the run that rejected them has said why
    return 0


def _accept_edits(config: Config, _arguments: argparse.Namespace) -> int:
    if config.engine is not None:
        raise PipelineError(
            f"{config.source}: engine: the rows are on Spark; --accept-edits is for finaldata.csv"
        )
    text = within(accept_edits(config), config.root)
    print(textwrap.fill(text, 80, break_on_hyphens=False))
    return 0


def _new_project(arguments: argparse.Namespace) -> int:
    # Imported here: a run must not pay for it.
    from attrition.data.new_project import create_project
    from attrition.data.new_project_text import new_project_text

    folder, table = arguments.new_project
    print(new_project_text(create_project(folder, table, arguments.target, arguments.positive)))
    return 0


def _suggest(arguments: argparse.Namespace) -> int:
    # No settings are read: they may be missing, or of another table.
    config = parse_config(STANDARD_FOLDERS, DEFAULT_CONFIG_PATH)
    suggestion = suggest_settings(
        config, arguments.suggest_config, arguments.target, arguments.positive
    )
    for name, (part, reason) in suggestion.chosen.items():
        logger.info("%s: %s (%s)", part, name, reason)
    for name, reason in suggestion.left_out.items():
        logger.info("left out: %s (%s)", name, reason)
    for note in suggestion.notes:
        logger.info("note: %s", note)
    if arguments.write:
        path = arguments.config or DEFAULT_CONFIG_PATH
        _log_written(replace_settings(path, suggestion.settings))
    else:
        print(atomic_files.json_text(suggestion.settings), end="")
    return 0


def _log_written(written: Written) -> None:
    if written.problem is not None:
        logger.warning("nothing of the old settings was taken over: %s", written.problem)
    if written.kept:
        logger.info("kept as they were: %s", ", ".join(written.kept))
    if not written.is_new:
        logger.info("%s says so already; nothing was written", written.path)
    elif written.backup is None:
        logger.info("written: %s", written.path)
    else:
        logger.info("written: %s; the old one is %s", written.path, written.backup.name)


if __name__ == "__main__":
    raise SystemExit(main())
