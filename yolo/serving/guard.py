"""Who may ask: the Host and Origin of each request, and the headers of each answer."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Callable, Send], Awaitable[None]]

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = tuple(
    (name.encode(), value.encode())
    for name, value in {
        "content-security-policy": PAGE_POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
    }.items()
)
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address or name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_for(host: str, allowed: Sequence[str]) -> frozenset[str] | None:
    """The names by which a server bound to ``host`` may be asked; None: by any.

    On loopback they are this machine's own, so that a page of another name that was made to mean 127.0.0.1 (DNS
    rebinding) gets nothing. Elsewhere nobody knows them but the user, who names them in ``allowed``.
    """
    if is_loopback(host):
        return _OWN_NAMES | {host} | {name.lower() for name in allowed}
    return frozenset({host, *(name.lower() for name in allowed)}) if allowed else None


class Guard:
    """Refuses requests for another host, and those that a browser sends for a page of another one; else ``app``.

    A page elsewhere is never told an answer, since nothing here allows it (no CORS); a form or an image of its own it
    could still send, and keep the machine busy.
    """

    def __init__(self, app: App, names: frozenset[str] | None) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Callable, send: Send) -> None:
        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if self._names is not None and _name_of(headers.get(b"host", "")) not in self._names:
            await _refuse(send_guarded, 421, "this server is not asked by that name (--allowed-hosts)")
        elif _is_of_another_page(headers, scope["method"]):
            await _refuse(send_guarded, 403, "pages of other servers may not ask this one")
        else:
            await self._app(scope, receive, send_guarded)


def _is_of_another_page(headers: Mapping[bytes, str], method: str) -> bool:
    """Browsers say so in one of two headers; a link to the page is no such request."""
    origin = headers.get(b"origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() != headers.get(b"host", "").lower()
    return method == "POST" and headers.get(b"sec-fetch-site") == "cross-site"


def _name_of(host: str) -> str:
    """A Host header's name, without its port and an address's brackets."""
    name = host.lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


async def _refuse(send: Send, status: int, why: str) -> None:
    body = json.dumps({"error": {"status": status, "message": why}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
