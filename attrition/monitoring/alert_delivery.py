"""Sends alerts to `alert_webhook` and `alert_command`; `models/alerts.json` keeps what was sent.

Standard library only, for an idle run looks here, too. Nothing here ever fails a run: what cannot
be delivered is said in the log, kept in alerts.json, and tried again with the next run that is not
idle; while all runs are idle, at most once an hour. The log names a webhook's host alone: the rest
of its address is often a secret.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any

from attrition.core import atomic_files
from attrition.core.config import Config
from attrition.core.errors import DataError
from attrition.data.ledger import read_ledger
from attrition.monitoring import alerts
from attrition.monitoring.alerts import AlertState, Condition
from attrition.runs.idle import FAILED_RUN

if TYPE_CHECKING:  # heavy: an idle run must not pay for it
    from attrition.monitoring.record import DecisionRecord

VARIABLE = "ATTRITION_ALERT"  # the text, in the environment of the command
WEBHOOK_SECONDS = 10.0
COMMAND_SECONDS = 20.0
RETRY_SECONDS = 3600.0  # while the runs are idle
_MARKUP = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("@", "@\u200b"), ("](", "]\u200b("))

Send = Callable[[str], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChannelState:
    """What was sent on a channel, and when a delivery failed (seconds since 1970)."""

    alerts: AlertState = field(default_factory=AlertState)
    failed_at: float | None = None


class _Undelivered(Exception):  # noqa: N818 - it is no error of the run
    """A delivery failed; the message says why."""


def tell_run(config: Config, record: DecisionRecord) -> None:
    """Send what a finished run found, if it is new."""
    conditions = alerts.conditions(record, config.model_score_threshold, config.labels)
    _send_news(config, lambda _known: conditions, f"{record.verdict}: {record.reason}")


def tell_failure(config: Config, message: str) -> None:
    """Send that a run failed, unless that is known; what was open before stays open."""
    failed = alerts.failure(message)
    _send_news(config, lambda known: [*alerts.still_open(known), failed], None)


def catch_up(config: Config) -> None:
    """In an idle run: try a failed delivery again if it is time, and end a failure that is over."""
    channels = _channels(config)
    known = _read(config) if channels else {}
    now = time.time()
    due = [
        FAILED_RUN in one.alerts.conditions
        or (one.failed_at is not None and abs(now - one.failed_at) >= RETRY_SECONDS)
        for name, one in known.items()
        if name in channels
    ]
    if any(due):
        _send_news(config, alerts.still_open, None)


def _send_news(
    config: Config, conditions_for: Callable[[AlertState], list[Condition]], outcome: str | None
) -> None:
    channels = _channels(config)
    if not channels:
        return
    known, troubled = _read(config), _troubled_files(config)
    after = {}
    for name, send in channels.items():
        before = known.get(name, ChannelState())
        conditions = conditions_for(before.alerts)
        message, updated = alerts.news(before.alerts, conditions, troubled, outcome)
        after[name] = _deliver(config, name, send, updated, message)
    if after != known:
        _write(config, after)


def _channels(config: Config) -> dict[str, Send]:
    channels: dict[str, Send] = {}
    if config.alert_webhook is not None:
        url = config.alert_webhook
        channels["webhook"] = lambda text: _post(url, text)
    if config.alert_command is not None:
        words = config.alert_command
        channels["command"] = lambda text: _run_command(words, text, config)
    return channels


def _deliver(
    config: Config, name: str, send: Send, known: AlertState, message: str | None
) -> ChannelState:
    """Send what is due on one channel; what fails is kept."""
    due = alerts.with_unsent(known, message)
    if not due:
        return ChannelState(known)
    try:
        send(alerts.text_of(due, f"Client attrition risk ({config.root.name})"))
    except _Undelivered as reason:
        logger.warning("alert_%s: %s; the alert is kept and tried again", name, reason)
        return ChannelState(replace(known, unsent=due), time.time())
    logger.info("alert sent (%s)", name)
    return ChannelState(replace(known, unsent=()))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive without its text, or somewhere else than the settings say."""

    def redirect_request(  # noqa: PLR0917 - the library's signature
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def inert(text: str) -> str:
    """The text for a chat tool: no name of a file or column in it addresses people or hides a link.

    The three characters that Slack asks to be written so, and a space of no width for those tools
    that read Markdown, or call everybody at a bare @channel.
    """
    for plain, harmless in _MARKUP:
        text = text.replace(plain, harmless)
    return text


def _post(url: str, text: str) -> None:
    """POST `{"text": ...}`, in WEBHOOK_SECONDS altogether, whatever the network does."""
    request = urllib.request.Request(  # noqa: S310 - config.py accepts http and https alone
        url,
        data=json.dumps({"text": inert(text)}).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "client-attrition-risk"},
    )
    host = urllib.parse.urlsplit(url).hostname
    outcome: list[str | None] = []

    def attempt() -> None:
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=WEBHOOK_SECONDS):
                outcome.append(None)
        except urllib.error.HTTPError as error:
            outcome.append(f"{host} answered {error.code}")
            error.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            outcome.append(f"{host} cannot be reached ({reason})")

    # Neither the look-up of a name nor an answer in drops keeps to a socket's timeout.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(WEBHOOK_SECONDS)
    reason = outcome[0] if outcome else f"{host} did not answer within {WEBHOOK_SECONDS:g} s"
    if reason:
        raise _Undelivered(reason)


def _run_command(words: Sequence[str], text: str, config: Config) -> None:
    """Run the command without a shell, the text on stdin and in an environment variable."""
    with tempfile.TemporaryFile() as said:  # a pipe would be held open by what it starts
        try:
            done = subprocess.run(  # noqa: S603 - the user's own command, as words
                list(words),
                input=text.encode(),
                stdout=subprocess.DEVNULL,
                stderr=said,
                env=os.environ | {VARIABLE: text},
                cwd=config.root,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _Undelivered(
                f"{words[0]} took longer than {COMMAND_SECONDS:g} s and was ended"
            ) from None
        except (OSError, ValueError) as error:
            raise _Undelivered(f"{words[0]} cannot be run ({error})") from None
        if done.returncode:
            said.seek(0)
            lines = said.read(10_000).decode("utf-8", "replace").strip().splitlines()[-1:]
            reason = f" ({alerts.printable(lines[0])[:200]})" if lines else ""
            raise _Undelivered(
                f"{words[0]} ended with exit code {done.returncode}{reason}"
            ) from None


def _troubled_files(config: Config) -> dict[str, str] | None:
    try:
        troubled = alerts.troubled_files(read_ledger(config.ledger))
        if config.actions.exists():
            from attrition.calls import actions_store  # heavy: an idle run must not pay for it

            ledger, folder = actions_store.read_ledger(config.actions), config.actions_folder.name
            troubled |= alerts.troubled_actions(ledger, folder)
        return troubled
    except (DataError, OSError):
        return None  # the run that needs it says so


def _read(config: Config) -> dict[str, ChannelState]:
    if not config.alerts.exists():
        return {}
    try:
        raw = atomic_files.read_json(config.alerts)
        return {str(name): _channel_state(item) for name, item in raw.items()}
    except (DataError, KeyError, TypeError, AttributeError, ValueError) as error:
        logger.warning("%s: not readable, so all is sent anew (%s)", config.alerts, error)
        return {}


def _channel_state(item: Mapping[str, Any]) -> ChannelState:
    known = AlertState(
        conditions={str(key): str(kind) for key, kind in item["conditions"].items()},
        files=tuple(map(str, item["files"])),
        unsent=tuple(map(str, item["unsent"])),
    )
    failed_at = item["failed_at"]
    return ChannelState(known, None if failed_at is None else float(failed_at))


def _write(config: Config, known: Mapping[str, ChannelState]) -> None:
    state = {
        name: {**asdict(one.alerts), "failed_at": one.failed_at} for name, one in known.items()
    }
    try:
        atomic_files.write_json(config.alerts, state)
    except OSError as error:
        logger.warning("%s: not writable, so all will be sent again (%s)", config.alerts, error)
