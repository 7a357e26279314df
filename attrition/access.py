"""Who asks the server, and what every answer carries: plain WSGI, passed by every request."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
# A proxy on this machine makes strangers look like loopback; it leaves one of these.
PROXY_HEADERS = frozenset({"HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP"})
SECURITY_HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
]


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
    """The same application, with the security headers on every answer."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], object]:
            return start_response(status, headers + SECURITY_HEADERS, exc_info)

        return application(environ, start)

    return answer
