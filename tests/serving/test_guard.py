"""Who may ask: by what name, and from which page."""

from __future__ import annotations

import asyncio

import pytest

from yolo.serving.guard import Guard, is_loopback, names_for


def status(names: frozenset[str] | None, host: str, method: str = "POST", **headers: str) -> int:
    """How a request is answered by an application that answers all with 200."""
    sent = []

    async def app(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message) -> None:
        sent.append(message)

    given = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {"method": method, "headers": [(name.encode(), value.encode()) for name, value in given.items()]}
    asyncio.run(Guard(app, names)(scope, None, send))
    assert dict(sent[0]["headers"])[b"content-security-policy"].startswith(b"default-src 'none'")
    assert b"access-control-allow-origin" not in dict(sent[0]["headers"])
    return sent[0]["status"]


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "[::1]"])
def test_own_names_on_loopback(host: str) -> None:
    assert status(names_for("127.0.0.1", ()), host) == 200


@pytest.mark.parametrize(
    "host", ["evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "", "[", "::1"]
)
def test_another_name_on_loopback_is_refused(host: str) -> None:
    assert status(names_for("127.0.0.1", ()), host) == 421


def test_names_that_the_user_allows() -> None:
    assert status(names_for("127.0.0.1", ["Box.local"]), "box.local:8000") == 200
    assert status(names_for("0.0.0.0", []), "anything") == 200
    assert status(names_for("0.0.0.0", ["box.local"]), "anything") == 421
    assert status(names_for("0.0.0.0", ["box.local"]), "box.local") == 200


@pytest.mark.parametrize(
    "headers, answered",
    [
        ({"origin": "http://127.0.0.1:8000"}, 200),
        ({"origin": "http://127.0.0.1:9000"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-origin"}, 200),
    ],
)
def test_pages_of_other_servers(headers: dict[str, str], answered: int) -> None:
    assert status(names_for("127.0.0.1", ()), "127.0.0.1:8000", **headers) == answered


def test_a_link_elsewhere_may_lead_to_the_page() -> None:
    assert status(None, "a", method="GET", sec_fetch_site="cross-site") == 200


def test_what_is_loopback() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.8.8", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.1", "example.com", "")))
