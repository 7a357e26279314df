"""Who may ask the server, and what every answer carries: plain WSGI, passed by every request."""

from __future__ import annotations

import base64
import functools
import hmac
import ipaddress
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, Unauthorized

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


TOKEN_VARIABLE = "ATTRITION_API_TOKEN"  # noqa: S105 - the name of a variable, not a secret
_REALM = "client-attrition-risk"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_LOCAL_NAMES = ", ".join(LOCAL_HOSTS)
_HOST = re.compile(r"([^:\[\]]+|\[[^\[\]]+\])(?::([0-9]{1,5}))?")  # a name, perhaps with a port
_HIGHEST_PORT = 65_535
# A proxy on this machine makes strangers look like loopback; it leaves one of these, if told to.
PROXY_HEADERS = frozenset(
    f"HTTP_{name}"
    for name in (
        "FORWARDED VIA X_FORWARDED_FOR X_FORWARDED_HOST X_FORWARDED_PROTO X_REAL_IP"
    ).split()
)
POLICY = "Content-Security-Policy"
_FRAMED_NOWHERE = "base-uri 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
    f"form-action 'self'; {_FRAMED_NOWHERE}"
)
# The report is one file with its styles and pictures within it, and without a script.
REPORT_POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    f"{_FRAMED_NOWHERE}; sandbox"
)
_ON_ANSWERS = [
    (POLICY, PAGE_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
]
# What a browser shows as a page obeys these as well; data has no links, windows or sensors.
_ON_PAGES = [
    *_ON_ANSWERS,
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
]
_PAGES = ("text/html", "application/pdf")
# A wrong token that follows another within a second waits: a lone slip of the pen holds up nobody.
_SECONDS_TOGETHER = 1.0
_SECONDS_TO_WAIT = 0.2
_MOST_WAITING = 20  # each of them holds a connection
_SECONDS_BETWEEN_WARNINGS = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rules:
    """Who is let in.

    Attributes:
        token: what every request must bring; None or empty: this machine alone is let in.
        trusted_hosts: names, in lower case, by which others may reach the server; empty: any.
        trust_this_machine: whether this machine needs no token where there is one.
    """

    token: str | None = None
    trusted_hosts: frozenset[str] = frozenset()
    trust_this_machine: bool = False


def refusal(environ: WSGIEnvironment, rules: Rules) -> HTTPException | None:
    """Why a request is not let in; None where it is.

    Without a token this machine is let in, and nobody else. With one everybody needs it: a plain
    forwarder (ssh -R, socat) makes any stranger look like this machine. It comes as
    `Authorization: Bearer TOKEN`, or as the password of HTTP's basic authentication (whatever the
    user name), which a browser asks for by itself.
    """
    if _is_of_another_site(environ):
        return Forbidden("pages of other sites may link to this server, and nothing else")
    local = is_local(environ)
    if local and (not rules.token or rules.trust_this_machine):
        return None
    if not rules.token:
        return Forbidden(
            f"set {TOKEN_VARIABLE} on the server to allow requests from elsewhere; those of this "
            f"machine have no proxy's headers, and in the header Host one of {_LOCAL_NAMES}"
        )
    trusted = rules.trusted_hosts
    if trusted and not local and _host_name(environ.get("HTTP_HOST", "")) not in trusted:
        return BadRequest("this server does not answer to that host name")
    given = _given_token(environ.get("HTTP_AUTHORIZATION", ""))
    if hmac.compare_digest(given, rules.token.encode()):
        return None
    challenges = [WWWAuthenticate(kind, {"realm": _REALM}) for kind in ("bearer", "basic")]
    text = (
        "a password is needed: the access token, with any user name (in the header of a program: "
        "Authorization: Bearer TOKEN)"
    )
    return Unauthorized(text, None, challenges)


class WrongTokens:
    """Slows down whoever tries one token after the other, and warns of it in the log."""

    def __init__(self) -> None:
        self._last = self._warned = -math.inf  # by the monotonic clock
        self._untold = 0
        self._one_at_a_time = threading.Lock()
        self._may_wait = threading.Semaphore(_MOST_WAITING)

    def refused(self, environ: WSGIEnvironment) -> None:
        """Take note of a request that was refused for its token; without any it may be the first.

        Requests wait one after another, and when too many do, another is answered at once.
        """
        if "HTTP_AUTHORIZATION" not in environ:
            return
        now, before = time.monotonic(), self._last
        self._last = now
        self._untold += 1
        if now - self._warned >= _SECONDS_BETWEEN_WARNINGS:
            logger.warning(
                "requests with a wrong token: %d, the last one from %s",
                self._untold,
                environ.get("REMOTE_ADDR"),
            )
            self._warned, self._untold = now, 0
        if now - before < _SECONDS_TOGETHER and self._may_wait.acquire(blocking=False):
            try:
                with self._one_at_a_time:  # a few connections try no more tokens than one
                    time.sleep(_SECONDS_TO_WAIT)
            finally:
                self._may_wait.release()


def _is_of_another_site(environ: WSGIEnvironment) -> bool:
    """Whether a page of another site makes a browser ask, other than by a link to a page of ours.

    Such a page cannot read the answer, but can tell from the time it takes whether there is such a
    client (https://web.dev/articles/fetch-metadata).
    """
    return environ.get("HTTP_SEC_FETCH_SITE") == "cross-site" and not (
        environ["REQUEST_METHOD"] == "GET"
        and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        and environ.get("HTTP_SEC_FETCH_DEST") == "document"
    )


def _given_token(header: str) -> bytes:
    """The token in a header; empty where there is none."""
    kind, _, rest = header.partition(" ")
    if kind.lower() == "bearer":
        return rest.encode("latin-1", "replace")
    if kind.lower() != "basic":
        return b""
    try:
        return base64.b64decode(rest, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def is_local(environ: WSGIEnvironment) -> bool:
    """Whether the request comes from this machine, and means it (no rebound DNS name, no proxy).

    It may lack the header Host, as in HTTP/1.0: every browser sends one.
    """
    return (
        _is_loopback(environ.get("REMOTE_ADDR", ""))
        and _host_name(environ.get("HTTP_HOST", "localhost")) in LOCAL_HOSTS
        and PROXY_HEADERS.isdisjoint(environ)
    )


@functools.lru_cache(maxsize=256)
def _is_loopback(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # such as a socket file
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


@functools.lru_cache(maxsize=256)
def _host_name(host: str) -> str:
    """A Host header without its port, in lower case; empty where it is not as HTTP has it."""
    match = _HOST.fullmatch(host)
    if match is None or int(match[2] or 0) > _HIGHEST_PORT:
        return ""
    return match[1].lower()


def secured(application: WSGIApplication) -> WSGIApplication:
    """The same application, with the security headers on every answer, and more on pages."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], object]:
            sent = dict(headers)
            added = _ON_PAGES if sent.get("Content-Type", "").startswith(_PAGES) else _ON_ANSWERS
            if POLICY in sent:
                added = [header for header in added if header[0] != POLICY]
            return start_response(status, headers + added, exc_info)

        return application(environ, start)

    return answer
