"""The study of calls within a run: who is enrolled, what became of them, what calls changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from attrition.calls.actions_store import actions_since, first_days
from attrition.calls.effect import Effect, Enrolled, measure
from attrition.calls.enrolment import Enrolment, enrol, read_enrolments
from attrition.calls.sequence import ConfidenceSequence
from attrition.calls.study import Study, current_study
from attrition.core import atomic_files, clock, plain_values
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.core.formatting import plural
from attrition.data.ledger import Ledger
from attrition.engines.selection import engine
from attrition.ranking.ranking import HIGH, Ranking
from attrition.runs import history

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudySoFar:
    """A study and what is known of its clients.

    Attributes:
        folder: with its enrolments.
        share: of the clients that are held out, a fraction 0-1.
        enrolments: the enrolled clients, oldest first.
        outcomes: client -> 1 for left, 0 for stayed, by the first label after it was enrolled.
        actions: client -> kind of the first action since.
        fault: why nothing is measured; None where all can be read.
    """

    folder: Path
    share: float
    enrolments: tuple[Enrolment, ...] = ()
    outcomes: dict[str, int] = field(default_factory=dict)
    actions: dict[str, str] = field(default_factory=dict)
    fault: str | None = None

    @property
    def effect(self) -> Effect | None:
        """What calls have changed; None where that cannot be measured."""
        if self.fault:
            return None
        since = self.enrolments[0].day if self.enrolments else None
        return replace(measure(self._enrolled(), ConfidenceSequence()), since=since)

    def _enrolled(self) -> Enrolled:
        clients = [client for enrolment in self.enrolments for client in enrolment.clients]
        kinds = [self.actions.get(client, "") for client in clients]
        return Enrolled(
            risk=np.concatenate([np.empty(0), *(enrolment.risk for enrolment in self.enrolments)]),
            is_called=np.concatenate(
                [np.empty(0, np.bool_), *(enrolment.is_called for enrolment in self.enrolments)]
            ),
            share=np.full(len(clients), self.share),
            left=np.array([self.outcomes.get(client, np.nan) for client in clients], np.float64),
            contacted=np.array([client in self.actions for client in clients], np.bool_),
            kind=np.array(kinds, np.str_),
        )


def study_by_settings(
    config: Config, last: Study | None, started: str
) -> tuple[Study | None, str | None]:
    """As `current_study`, with the studies of all runs that the history holds."""
    share, digest = config.holdout_share, config.salt_digest
    return current_study(share, digest, last, started, _earlier_studies(config.history))


def _earlier_studies(path: Path) -> Iterator[Study]:
    """The study of every run in a history, newest first."""
    for run in history.runs(path):
        try:
            if run.get("study") is not None:
                yield plain_values.from_json(Study, run["study"])
        except DataError:
            continue  # of a run whose record is damaged, which whoever shows it says


def study_so_far(config: Config, ledger: Ledger) -> StudySoFar | None:
    """The study by the settings, as the runs before have left it; None where nobody is held out."""
    if config.study_folder is None:
        return None
    empty = StudySoFar(config.study_folder, config.holdout_share)
    enrolments, fault = _enrolments(config, config.study_folder)
    if fault:
        logger.warning(fault)
        return replace(empty, fault=fault)
    if not enrolments:
        return empty
    return replace(
        empty,
        enrolments=enrolments,
        outcomes=_outcomes(config, ledger, enrolments),
        actions=_actions(config, enrolments),
    )


def study_fault(config: Config) -> str | None:
    """Why the study by the settings measures nothing; None where it does, or nobody is held out."""
    return _enrolments(config, config.study_folder)[1] if config.study_folder else None


def _enrolments(config: Config, folder: Path) -> tuple[tuple[Enrolment, ...], str | None]:
    """The enrolments of a study, or why it measures nothing."""
    nothing = "the study of calls measures nothing: "
    try:
        enrolments = read_enrolments(folder)
    except DataError as error:
        return (), f"{nothing}{error}"
    if text := _lost(config, sum(len(enrolment.clients) for enrolment in enrolments)):
        return (), f"{nothing}{text}"
    return enrolments, None


def _lost(config: Config, enrolled: int) -> str | None:
    """What is wrong where fewer clients are enrolled than when the study last ran; else None."""
    record = atomic_files.read_json_object(config.decision)
    try:
        last = plain_values.from_json(Study, record.get("study"))
    except DataError:
        return None
    study, _ = study_by_settings(config, last, "")
    if study is None or enrolled >= study.enrolled:
        return None
    return (
        f"{config.study_folder}: {plural(study.enrolled, 'client')} took part when it last ran, "
        f"{enrolled:,} do now; restore the newest files from a backup, or begin another study by "
        f"another holdout_salt"
    )


def with_listed(
    config: Config, ledger: Ledger, study: StudySoFar | None, ranking: Ranking
) -> StudySoFar | None:
    """The study with the clients at high risk who have not been listed so before.

    It comes before the list is written: nobody is called who is not enrolled.
    """
    if study is None or study.fault or ranking.held_out is None:
        return study
    rows = np.flatnonzero(ranking.tiers == HIGH)
    listed = Enrolment(
        day=clock.today(),
        commit=ledger.commit_id,
        clients=tuple(ranking.ids[rows].tolist()),
        risk=ranking.probabilities[rows],
        is_called=rows < ranking.to_call,
    )
    return replace(study, enrolments=enrol(study.folder, study.enrolments, listed))


def _outcomes(config: Config, ledger: Ledger, enrolments: tuple[Enrolment, ...]) -> dict[str, int]:
    """Each client's first label after it was enrolled.

    Where the ledger has been rebuilt since, only rows that came after that are certainly later.
    """
    before = sum(
        len(enrolment.clients)
        for enrolment in enrolments
        if enrolment.commit and ledger.end_of(enrolment.commit) is None
    )
    if before:
        logger.warning(
            "the study of calls: the ledger has been made anew since %s enrolled; of these only "
            "outcomes that came after that are counted",
            plural(before, "client"),
        )
    starts = [ledger.unseen_start(enrolment.commit) for enrolment in enrolments]
    oldest = min(starts)
    if oldest >= ledger.committed_bytes:
        return {}
    first_row: dict[str, int] = {}
    for start, enrolment in zip(starts, enrolments, strict=True):
        row = sum(commit.rows for commit in ledger.commits if oldest <= commit.start < start)
        first_row |= dict.fromkeys(enrolment.clients, row)
    outcomes: dict[str, int] = {}
    rows = zip(*engine(config).outcomes(ledger, oldest, first_row.keys()), strict=True)
    for client, label, row in rows:
        if row >= first_row[client]:
            outcomes.setdefault(client, label)
    return outcomes


def _actions(config: Config, enrolments: tuple[Enrolment, ...]) -> dict[str, str]:
    """The kind of each client's first action from the day on which it was enrolled."""
    day_of = {client: enrolment.day for enrolment in enrolments for client in enrolment.clients}
    kinds: dict[str, str] = {}
    for client, day, kind in actions_since(config.actions, enrolments[0].day):
        if client in day_of and day >= day_of[client]:
            kinds.setdefault(client, kind)
    firsts = first_days(config.actions) if config.actions.exists() else []
    if early := sum(day < day_of.get(client, "") for client, day in firsts):
        logger.info(
            "the study of calls: %s contacted before being listed; those actions are none of the "
            "study",
            plural(early, "client"),
        )
    return kinds
