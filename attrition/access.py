"""Who may ask the server, and what every answer carries: plain WSGI, passed by every request."""

from __future__ import annotations

import base64
import functools
import hmac
import ipaddress
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, Unauthorized

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TOKEN_VARIABLE = "ATTRITION_API_TOKEN"  # noqa: S105 - the name of a variable, not a secret
_REALM = "client-attrition-risk"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
# A proxy on this machine makes strangers look like loopback; it leaves one of these, if told to.
PROXY_HEADERS = frozenset(
    f"HTTP_{name}"
    for name in ("FORWARDED", "VIA", "X_FORWARDED_FOR", "X_FORWARDED_HOST", "X_FORWARDED_PROTO",
                 "X_REAL_IP")
)  # fmt: skip
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


def refusal(
    environ: WSGIEnvironment, token: str | None, trusted_hosts: Collection[str] = ()
) -> HTTPException | None:
    """Why a request is not let in: this machine is, anybody else needs the token.

    They must also have asked for one of the trusted hosts, in lower case, where some are named.

    The token comes as `Authorization: Bearer TOKEN`, or as the password of HTTP's basic
    authentication (whatever the user name), which a browser asks for by itself.
    """
    if is_local(environ):
        return None
    if not token:
        return Forbidden(f"set {TOKEN_VARIABLE} on the server to allow requests from elsewhere")
    if trusted_hosts and _host_name(environ.get("HTTP_HOST", "")) not in trusted_hosts:
        return BadRequest("this server does not answer to that host name")
    if hmac.compare_digest(_given_token(environ.get("HTTP_AUTHORIZATION", "")), token.encode()):
        return None
    challenges = [WWWAuthenticate(kind, {"realm": _REALM}) for kind in ("bearer", "basic")]
    text = "expected the header Authorization: Bearer TOKEN, or the token as a password"
    return Unauthorized(text, None, challenges)


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
    """Whether the request comes from this machine, and means it (no rebound DNS name, no proxy)."""
    return (
        _is_loopback(environ.get("REMOTE_ADDR", ""))
        and _host_name(environ.get("HTTP_HOST", "")) in LOCAL_HOSTS
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


def _host_name(host: str) -> str:
    """A Host header without its port."""
    end = host.find("]") + 1 if host.startswith("[") else host.find(":")
    return host.lower() if end < 1 else host[:end].lower()


def secured(application: WSGIApplication) -> WSGIApplication:
    """The same application, with the security headers on every answer, and more on pages."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], object]:
            told = dict(headers)
            added = _ON_PAGES if told.get("Content-Type", "").startswith(_PAGES) else _ON_ANSWERS
            if POLICY in told:
                added = [header for header in added if header[0] != POLICY]
            return start_response(status, headers + added, exc_info)

        return application(environ, start)

    return answer
