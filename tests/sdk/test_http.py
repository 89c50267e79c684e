"""Every way an exchange can go wrong against a real socket, and what each says about the message."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.sdk.transports import ClientCredentials, Fault, HttpTransport, Reply, outcome_of, retry_after
from hub.sdk.transports.answers import clean_code
from hub.sdk.transports.http import BODY_CAP, socket_options
from tests.sdk.servers import answer, certificate, raw_server

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.fixture
async def http():
    transport = HttpTransport(deadline=5.0, clock=lambda: NOW)
    yield transport
    await transport.aclose()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def kind(reply: Reply | Fault) -> tuple[str, str | None, float | None]:
    outcome = outcome_of(reply, now=NOW)
    return outcome.kind, outcome.code, outcome.after


async def test_success_is_delivered(http):
    async with raw_server(answer(201, b'{"id": 7}')) as server:
        reply = await http.request(
            "POST", server.url + "/x", json={"b": 1, "a": 2}, headers={"idempotency-key": "k"}
        )
    assert isinstance(reply, Reply)
    assert (reply.status, reply.json(), reply.cut) == (201, {"id": 7}, False)
    assert kind(reply) == ("delivered", None, None)
    assert server.requests[0].endswith(b'{"a":2,"b":1}')
    assert b"\r\nidempotency-key: k\r\n" in server.requests[0].lower()


async def test_refused_port_never_started_and_counts_for_the_pause(http):
    reply = await http.request("POST", f"http://127.0.0.1:{free_port()}/x", json={})
    assert reply == Fault("refused", started=False)
    assert kind(reply) == ("unavailable", "refused", None)


async def test_unknown_host_never_started(http):
    reply = await http.request("POST", "https://nowhere.invalid/x", json={})
    assert reply == Fault("dns", started=False)


@pytest.mark.parametrize(
    ("host", "days", "trusted"),
    [("localhost", 30, False), ("other.example", 30, True), ("localhost", -1, True)],
)
async def test_bad_certificate_sends_no_byte_of_the_message(tmp_path, host, days, trusted):
    server_side, certificate_file = certificate(tmp_path, host, days)
    context = ssl.create_default_context(cafile=certificate_file) if trusted else None
    transport = HttpTransport(deadline=5.0, tls=context)
    async with raw_server(answer(200), server_side) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        reply = await transport.request("POST", url + "/x", json={"secret": 1})
    await transport.aclose()
    assert reply == Fault("tls", started=False)
    assert kind(reply)[0] == "unavailable"
    assert server.requests == []


async def test_good_certificate_is_served(tmp_path):
    server_side, certificate_file = certificate(tmp_path, "localhost")
    transport = HttpTransport(deadline=5.0, tls=ssl.create_default_context(cafile=certificate_file))
    async with raw_server(answer(200), server_side) as server:
        reply = await transport.request("GET", server.url.replace("127.0.0.1", "localhost") + "/x")
    await transport.aclose()
    assert kind(reply)[0] == "delivered"


async def test_connection_that_nobody_accepts_ends_before_the_start():
    transport = HttpTransport(deadline=0.3)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        held = [socket.socket() for _ in range(4)]
        for one in held:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        reply = await transport.request("POST", f"http://127.0.0.1:{full.getsockname()[1]}/x", json={})
        for one in held:
            one.close()
    await transport.aclose()
    assert reply == Fault("connect_timeout", started=False)
    assert kind(reply)[0] == "unavailable"


async def test_drop_after_the_request_is_unknown(http):
    async def drop(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with raw_server(drop) as server:
        reply = await http.request("POST", server.url + "/x", json={})
    assert reply == Fault("broken", started=True)
    assert kind(reply) == ("unknown", "broken", None)


async def test_silence_after_the_request_is_unknown(http):
    async def silent(_: bytes, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with raw_server(silent) as server:
        reply = await http.within(0.3).request("POST", server.url + "/x", json={})
        assert reply == Fault("deadline", started=True)
        assert kind(reply) == ("unknown", "deadline", None)
        assert len(server.requests) == 1


async def test_slow_loris_is_cut_and_its_status_line_stands(http):
    async def trickle(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw_server(trickle) as server:
        reply = await http.within(0.4).request("POST", server.url + "/x", json={})
    assert isinstance(reply, Reply)
    assert (reply.status, reply.cut, reply.json()) == (201, True, None)
    assert kind(reply)[0] == "delivered"


async def test_slow_loris_in_the_headers_is_unknown(http):
    async def trickle(_: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 201 Created\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw_server(trickle) as server:
        reply = await http.within(0.3).request("POST", server.url + "/x", json={})
    assert reply == Fault("deadline", started=True)


async def test_endless_body_is_capped(http):
    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"y" * 4096)
            await writer.drain()

    async with raw_server(endless) as server:
        reply = await http.request("GET", server.url + "/x")
    assert isinstance(reply, Reply)
    assert (len(reply.body), reply.cut) == (BODY_CAP, True)


async def test_broken_chunks_after_the_status_keep_the_status(http):
    async def broken(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab")
        writer.close()

    async with raw_server(broken) as server:
        reply = await http.request("GET", server.url + "/x")
    assert isinstance(reply, Reply)
    assert (reply.status, reply.cut) == (200, True)


async def test_garbage_instead_of_http_is_unknown(http):
    async def garbage(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x01 this is not HTTP\r\n\r\n")
        writer.close()

    async with raw_server(garbage) as server:
        reply = await http.request("POST", server.url + "/x", json={})
    assert reply == Fault("broken", started=True)


async def test_redirect_is_not_followed(http):
    async with raw_server(answer(200)) as elsewhere:
        async with raw_server(answer(307, b"", f"location: {elsewhere.url}/y")) as server:
            reply = await http.request("POST", server.url + "/x", json={})
        assert elsewhere.requests == []
    assert kind(reply) == ("unavailable", "http_307", None)


async def test_proxies_of_the_environment_are_ignored(monkeypatch):
    async with raw_server(answer(200)) as proxy, raw_server(answer(200)) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        transport = HttpTransport(deadline=5.0)
        await transport.request("GET", server.url + "/x")
        await transport.aclose()
        assert (len(proxy.requests), len(server.requests)) == (0, 1)


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (503, ["retry-after: 120"], ("unavailable", "http_503", 120.0)),
        (503, ["retry-after: Mon, 02 Mar 2026 08:01:30 GMT"], ("unavailable", "http_503", 90.0)),
        (503, [], ("unavailable", "http_503", None)),
        (429, ["retry-after: 7"], ("retry", "http_429", 7.0)),
        (500, [], ("unknown", "http_500", None)),
        (502, [], ("unknown", "http_502", None)),
        (504, [], ("unknown", "http_504", None)),
        (408, [], ("unknown", "http_408", None)),
        (401, [], ("unavailable", "http_401", None)),
        (404, [], ("unavailable", "http_404", None)),
        (409, [], ("refused", "http_409", None)),
        (422, [], ("refused", "http_422", None)),
    ],
)
async def test_status_says_whether_it_was_applied(http, status, headers, expected):
    async with raw_server(answer(status, b"{}", *headers)) as server:
        reply = await http.request("POST", server.url + "/x", json={})
    assert kind(reply) == expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 12 ", 12.0),
        ("1.5", 1.5),
        ("Mon, 02 Mar 2026 07:00:00 GMT", 0.0),
        ("Monday, 02-Mar-26 08:00:05 GMT", 5.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("١٢", None),
        ("9" * 400, None),
        ("Mon, 99 Mar 2026 07:00:00 GMT", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert retry_after(value, NOW) == seconds


def test_codes_are_codes_and_never_prose():
    assert clean_code("R998") == "R998"
    assert clean_code("Marie CURIE est inconnue") is None
    assert clean_code(12) is None
    assert clean_code("x" * 41) is None


async def test_no_time_left_is_not_started(http):
    reply = await http.within(-1).request("POST", "http://127.0.0.1:9/x", json={})
    assert kind(reply) == ("not_started", "no_time_left", None)


async def test_one_deadline_holds_over_all_requests_of_an_attempt(http):
    async def slow(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    async with raw_server(slow) as server:
        bound = http.within(0.5)
        replies = [await bound.request("GET", server.url + "/x") for _ in range(4)]
    assert isinstance(replies[0], Reply)
    assert replies[-1] == Fault("no_time_left", started=False)


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/x", "ftp://127.0.0.1/x", "/x", "", "http://", "https:///x", "http://[::1"]
)
async def test_clear_text_beyond_loopback_and_odd_addresses_are_not_called(http, url):
    assert await http.request("POST", url, json={}) == Fault("bad_url", started=False)


async def test_socket_options_reach_the_socket(http):
    async with raw_server(answer(200)) as server:
        await http.request("GET", server.url + "/x")
        connection = http._client._transport._pool.connections[0]
        sock = connection._connection._network_stream.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == bytes([1, 0, 0, 0, 0, 0, 0, 0])
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * 16 * 1024
    assert len(socket_options(2.0)) == 3


def test_certificates_are_checked_by_default():
    context = ssl.create_default_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def token_server(expires_in: float, valid: set[str]):
    """Answers /token with a new token each time, everything else 200 with a known token and 401 without."""

    async def handle(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request.startswith(b"POST /token"):
            await asyncio.sleep(0.05)
            token = f"t{len(valid) + 1}"
            valid.add(token)
            body = b'{"access_token": "%s", "expires_in": %s}' % (token.encode(), str(expires_in).encode())
            status = b"200"
        else:
            given = request.split(b"authorization: Bearer ")[1].split(b"\r\n")[0].decode()
            status, body = (b"200", b"{}") if given in valid else (b"401", b"{}")
        writer.write(b"HTTP/1.1 %s X\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)

    return handle


def credentials(server) -> ClientCredentials:
    return ClientCredentials(server.url + "/token", "hub", "secret", ("one", "two"), "/partenaire")


async def test_one_token_refresh_under_fifty_tasks(http):
    async with raw_server(token_server(1500, set())) as server:
        auth = credentials(server)
        replies = await asyncio.gather(
            *(http.request("GET", server.url + "/x", auth=auth) for _ in range(50))
        )
    assert [reply.status for reply in replies if isinstance(reply, Reply)] == [200] * 50
    asked = [request for request in server.requests if request.startswith(b"POST /token")]
    assert len(asked) == 1
    assert b"POST /token?realm=%2Fpartenaire HTTP/1.1" in asked[0]
    assert asked[0].endswith(
        b"grant_type=client_credentials&client_id=hub&client_secret=secret&scope=one+two"
    )


async def test_token_is_renewed_at_four_fifths_of_its_life(http):
    now = [0.0]
    http._tokens._clock = lambda: now[0]
    valid: set[str] = set()
    async with raw_server(token_server(100, valid)) as server:
        auth = credentials(server)
        for moment, known in ((0.0, 1), (79.0, 1), (81.0, 2)):
            now[0] = moment
            await http.request("GET", server.url + "/x", auth=auth)
            assert len(valid) == known


async def test_refused_token_is_refreshed_once_for_all_who_held_it(http):
    valid: set[str] = set()
    async with raw_server(token_server(1500, valid)) as server:
        auth = credentials(server)
        await http.request("GET", server.url + "/x", auth=auth)
        valid.clear()
        valid.add("somebody-elses")
        replies = await asyncio.gather(
            *(http.request("GET", server.url + "/x", auth=auth) for _ in range(10))
        )
    assert {reply.status for reply in replies if isinstance(reply, Reply)} == {200}
    assert sum(request.startswith(b"POST /token") for request in server.requests) == 2


async def test_401_after_the_refresh_is_given_back(http):
    async def handle(request: bytes, writer: asyncio.StreamWriter) -> None:
        ok = b'{"access_token": "t", "expires_in": 60}'
        status, body = (b"200", ok) if b"/token" in request else (b"401", b"{}")
        writer.write(b"HTTP/1.1 %s X\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)

    async with raw_server(handle) as server:
        reply = await http.request("GET", server.url + "/x", auth=credentials(server))
    assert kind(reply)[:2] == ("unavailable", "http_401")
    assert len(server.requests) == 4


@pytest.mark.parametrize("body", [b'{"error": "invalid_client"}', b"<html>", b'{"access_token": 5}', b"[]"])
async def test_no_token_means_nothing_was_sent(http, body):
    async with raw_server(answer(400 if b"error" in body else 200, body)) as server:
        reply = await http.request("POST", server.url + "/x", json={}, auth=credentials(server))
        again = await http.request("POST", server.url + "/x", json={}, auth=credentials(server))
    assert reply == again == Fault("token", started=False)
    assert kind(reply)[0] == "unavailable"
    assert len(server.requests) == 1, "a failed refresh is remembered for a second"


async def test_busy_token_endpoint_says_when(http):
    async with raw_server(answer(429, b"{}", "retry-after: 30")) as server:
        reply = await http.request("POST", server.url + "/x", json={}, auth=credentials(server))
    assert kind(reply) == ("unavailable", "token", 30.0)


def test_credentials_do_not_show_their_secret():
    assert "secret-value" not in repr(ClientCredentials("https://x", "id", "secret-value"))


_SENDS_MUCH = """
import asyncio, sys
from hub.sdk.transports import HttpTransport
asyncio.run(HttpTransport(deadline=60.0).request("POST", sys.argv[1], json={"much": "x" * 3_000_000}))
"""


def test_kernel_delivers_no_more_of_a_killed_process():
    """What one receive window has taken stays taken; the rest is dropped with the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        child = subprocess.Popen([sys.executable, "-c", _SENDS_MUCH, url], cwd=Path(__file__).parents[2])
        try:
            connection, _ = server.accept()
            received = len(connection.recv(1024))
        finally:
            child.kill()
            child.wait()
        with connection:
            received += _drained(connection)
    assert 0 < received < 1_000_000


def _drained(connection: socket.socket) -> int:
    """How much comes before the connection is reset; an orderly end would mean that all of it had come."""
    received = 0
    while True:
        try:
            chunk = connection.recv(65536)
        except ConnectionResetError:
            return received
        assert chunk, "the connection ended in order"
        received += len(chunk)
