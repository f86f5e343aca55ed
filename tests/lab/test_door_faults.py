"""The faults at the door, seen on the wire by a real client."""

from __future__ import annotations

import asyncio
import time
from email.utils import parsedate_to_datetime

import jwt
import pytest
import websockets
from websockets.exceptions import InvalidStatus, NegotiationError

from .test_faults import ending


async def refused(house, **options):
    """The HTTP answer to an upgrade."""
    with pytest.raises(InvalidStatus) as answer:
        await house.enter(**options)
    return answer.value.response


async def gone(house, number: int) -> None:
    """Waits until the lab has forgotten all but so many connections."""
    async with asyncio.timeout(5):
        while len(house.lab.stats.peers) > number:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("words", "seen"),
    [("", "close 4009"), (":code=4409", "close 4409"), (":how=rst", "rst"), (":how=fin", "fin")],
)
async def test_replaced_by_new_session(house, words, seen) -> None:
    """The second connection lives, the first ends at once; another user's does not mind."""
    home = await house("replaced-by-new-session" + words)
    first, grace = await home.enter(), await home.enter("grace")
    second = await home.enter(bot="slow")
    assert ending(await first.end()) == seen
    assert await second.pong() == []
    assert await grace.pong() == []


@pytest.mark.parametrize(("bot", "lives"), [("slow", True), ("echo", False)])
async def test_replaced_on_the_same_bot_only(house, bot, lives) -> None:
    """With scope=bot one user may have a connection to each."""
    home = await house("replaced-by-new-session:scope=bot")
    first = await home.enter()
    await home.enter(bot=bot)
    if lives:
        assert await first.pong() == []
    else:
        assert ending(await first.end()) == "close 4009"


async def test_replaced_by_the_same_token_only(house) -> None:
    """With scope=token another token of the same user is another session."""
    home = await house("replaced-by-new-session:scope=token")
    one, other = home.lab.token_for("ada", 600), home.lab.token_for("ada", 900)
    async with home.socket(one) as first, home.socket(other) as second:
        await first.recv()
        await second.recv()
        async with home.socket(one):
            with pytest.raises(websockets.ConnectionClosed) as ended:
                await first.recv()
            assert ending(ended.value) == "close 4009"
            await second.send('{"type": "ping", "timestamp": "t"}')
            assert '"pong"' in await second.recv()


async def test_a_fault_that_comes_later_knows_who_is_there(house) -> None:
    """Connections of before count."""
    home = await house()
    first = await home.enter()
    home.lab.set_faults(["replaced-by-new-session"])
    await home.enter()
    assert ending(await first.end()) == "close 4009"


@pytest.mark.parametrize("status", [429, 503, 403])
async def test_connection_limit(house, status) -> None:
    """The third is refused while two live, whoever asks; when one closes, the next is let in."""
    home = await house(f"connection-limit:limit=2,status={status}")
    ada, grace = await home.enter(), await home.enter("grace")
    for _ in range(2):
        assert (await refused(home)).status_code == status
    assert await ada.pong() == []
    await grace.ws.close()
    await gone(home, 1)
    await home.enter()
    assert (await refused(home)).status_code == status


async def test_connection_limit_after_the_upgrade(house) -> None:
    """Accepted, closed at once without a greeting, and its place is not taken."""
    home = await house("connection-limit:limit=1,when=after,code=4008,scope=user")
    ada, _ = await home.enter(), await home.enter("grace")
    for _ in range(2):
        third = await home.enter(greeted=False)
        with pytest.raises(websockets.ConnectionClosed) as ended:
            await third.ws.recv()
        assert ending(ended.value) == "close 4008"
    await ada.ws.close()
    await gone(home, 1)
    await home.enter()


async def test_connection_limit_counts_no_bad_tokens(house) -> None:
    """Who is refused for another reason leaves no trace."""
    home = await house("connection-limit:limit=1")
    for _ in range(2):
        with pytest.raises(InvalidStatus) as answer:
            await home.socket("garbage")
        assert answer.value.response.status_code == 403
    await home.enter()
    assert (await refused(home)).status_code == 429


async def test_upgrade_rate(house) -> None:
    """Two pass, the third hears when to come back, and is let in then."""
    home = await house("upgrade-rate:limit=2,window=3,status=503")
    await home.enter()
    await home.enter()
    answer = await refused(home)
    assert answer.status_code == 503
    wait = int(answer.headers["Retry-After"])
    assert 1 <= wait <= 3
    await asyncio.sleep(wait)
    await home.enter()


@pytest.mark.parametrize("api", [403, 404])
async def test_bot_access_denied(house, api) -> None:
    """One bot is closed on both ways; the same token opens another."""
    home = await house(f"bot-access-denied:bot=echo,api={api}")
    assert (await refused(home)).status_code == 403
    http = home.client(home.lab.token)
    assert (await http.get("/api/bots/echo")).status_code == api
    assert (await http.post("/api/conversations/bots/echo/chat", json={"message": "x"})).status_code == api
    assert (await http.get("/api/bots/slow")).status_code == 200
    assert await (await home.enter(bot="slow")).pong() == []


async def test_bot_access_denied_after(house) -> None:
    """Accepted, then 4003, and no greeting."""
    ada = await (await house("bot-access-denied:bot=echo,when=after")).enter(greeted=False)
    with pytest.raises(websockets.ConnectionClosed) as ended:
        await ada.ws.recv()
    assert ending(ended.value) == "close 4003"


@pytest.mark.parametrize(
    ("refuse", "origins"),
    [("foreign", {"foreign"}), ("missing", {"missing"}), ("both", {"foreign", "missing"})],
)
@pytest.mark.parametrize("status", [403, 400])
async def test_origin_rejected(house, refuse, origins, status) -> None:
    """Nothing but the header decides."""
    home = await house(f"origin-rejected:refuse={refuse},status={status}")
    for origin in ("own", "foreign", "missing"):
        header = {"own": home.lab.url, "foreign": "https://elsewhere.example", "missing": None}[origin]
        if origin in origins:
            assert (await refused(home, origin=header)).status_code == status
        else:
            await home.enter(origin=header)


@pytest.mark.parametrize("status", [404, 403])
async def test_not_found(house, status) -> None:
    """Whatever the token; the HTTP API of the same bot works."""
    home = await house(f"not-found:status={status}")
    for token in (home.lab.token, "garbage", ""):
        with pytest.raises(InvalidStatus) as answer:
            await home.socket(token)
        assert answer.value.response.status_code == status
    assert (await home.client(home.lab.token).get("/api/bots/echo")).status_code == 200


async def test_subprotocol_mismatch(house) -> None:
    """400 unless the right one is among those offered."""
    home = await house("subprotocol-mismatch:protocol=chat.v2")
    assert (await refused(home)).status_code == 400
    assert (await refused(home, subprotocols=["chat.v1"])).status_code == 400
    ada = await home.enter(subprotocols=["chat.v1", "chat.v2"])
    assert ada.ws.subprotocol == "chat.v2"


async def test_a_subprotocol_that_nobody_offered(house) -> None:
    """101 with it: the client fails the handshake."""
    home = await house("subprotocol-mismatch:how=other")
    with pytest.raises(NegotiationError):
        await home.enter(subprotocols=["chat.v1"])


@pytest.mark.parametrize(
    ("words", "status", "end"),
    [("", 307, "/api/ws/chat/echo/"), (":to=login,status=302", 302, "/login"), (":to=https,status=301", 301, "echo")],
)
async def test_redirected(house, words, status, end) -> None:
    """With a Location; the client of these tests follows none when told so."""
    home = await house("redirected" + words)
    token = home.lab.token
    answer = await raw_upgrade(home, f"/api/ws/chat/echo?token={token}")
    assert answer.startswith(f"HTTP/1.1 {status} ")
    location = header(answer, "location")
    path, _, query = location.partition("?")
    assert path.endswith(end)
    assert query == f"token={token}"
    assert location.startswith("https://127.0.0.1:") == ("https" in words)


async def test_where_a_redirect_leads(house) -> None:
    """The path with the slash serves; without the fault it does not exist."""
    home = await house("redirected")
    token = home.lab.token
    assert (await raw_upgrade(home, f"/api/ws/chat/echo/?token={token}")).startswith("HTTP/1.1 101 ")
    home.lab.set_faults([])
    assert (await raw_upgrade(home, f"/api/ws/chat/echo/?token={token}")).startswith("HTTP/1.1 403 ")


async def raw_upgrade(home, path: str, patience: float = 5.0) -> str:
    """The head of the answer to an upgrade, as it stands on the wire."""
    host, port = home.lab.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        async with asyncio.timeout(patience):
            return (await reader.readuntil(b"\r\n\r\n")).decode()
    finally:
        writer.close()


def header(head: str, name: str) -> str | None:
    """One header of a head."""
    lines = [line.partition(": ") for line in head.split("\r\n")]
    return next((value for key, _, value in lines if key.lower() == name), None)


@pytest.mark.parametrize("skew", [7200, -120])
async def test_clock_skew(house, skew) -> None:
    """A fresh token is refused on both ways; every Date is off by the skew; who issues tokens has the right time."""
    home = await house(f"clock-skew:skew={skew}")
    token = home.lab.token
    claims = jwt.decode(token, options={"verify_signature": False, "verify_exp": False, "verify_iat": False})
    assert abs(claims["iat"] - time.time()) < 30
    assert (await refused(home)).status_code == 403
    head = await raw_upgrade(home, f"/api/ws/chat/echo?token={token}")
    answer = await home.client(token).get("/api/bots/echo")
    assert answer.status_code == 401
    assert answer.json()["detail"] == ("token expired" if skew > 0 else "token not yet valid")
    for date in (header(head, "date"), answer.headers["date"]):
        assert abs(parsedate_to_datetime(date).timestamp() - time.time() - skew) < 30


async def test_a_skew_within_the_leeway(house) -> None:
    """The clock is wrong and nobody is refused; the greeting's upgrade says the wrong time as well."""
    home = await house("clock-skew:skew=-120,leeway=150")
    ada = await home.enter()
    assert await ada.pong() == []
    date = parsedate_to_datetime(ada.ws.response.headers["Date"]).timestamp()
    assert abs(date - time.time() + 120) < 30


async def test_handshake_timeout(house) -> None:
    """Health answers meanwhile; whoever waits is served in the end, who leaves leaves nothing behind."""
    home = await house("handshake-timeout:delay=0.6")
    with pytest.raises(TimeoutError):
        await home.enter(open_timeout=0.2)
    waiting = asyncio.ensure_future(home.enter())  # noqa: TID251 - the test is its owner
    await asyncio.sleep(0.1)
    assert (await home.client().get("/health")).status_code == 200
    assert not waiting.done()
    assert await (await waiting).pong() == []
    assert home.lab.stats.opened == 1


async def test_the_lab_closes_while_somebody_waits_at_the_door(house, caplog) -> None:
    """No traceback, and the client hears of it."""
    home = await house("handshake-timeout")
    waiting = asyncio.ensure_future(home.enter())  # noqa: TID251 - the test is its owner
    await asyncio.sleep(0.1)
    await home.lab.__aexit__(None, None, None)
    with pytest.raises((InvalidStatus, websockets.InvalidHandshake, OSError, EOFError)):
        await waiting
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("which", "wrong"),
    [
        ("accept", {"sec-websocket-accept": False}),
        ("upgrade", {"upgrade": None}),
        ("extension", {"sec-websocket-extensions": "x-chatkit-lab"}),
    ],
)
async def test_handshake_invalid(house, which, wrong) -> None:
    """101 comes, and a client that looks at the header gives up."""
    home = await house(f"handshake-invalid:header={which}")
    with pytest.raises(websockets.InvalidHandshake):
        await home.enter()
    head = await raw_upgrade(home, f"/api/ws/chat/echo?token={home.lab.token}")
    assert head.startswith("HTTP/1.1 101 ")
    right = {"sec-websocket-accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "upgrade": "websocket"}
    for name in ("sec-websocket-accept", "upgrade", "sec-websocket-extensions"):
        found = header(head, name)
        if wrong.get(name, "") is False:
            assert found != right[name]
        else:
            assert found == wrong.get(name, right.get(name))


@pytest.mark.parametrize(
    ("what", "upgrade", "chat"), [("upgrade", False, True), ("chat", True, False), ("both", False, False)]
)
async def test_service_down(house, what, upgrade, chat) -> None:
    """Health says that all is well."""
    home = await house(f"service-down:what={what}")
    http = home.client(home.lab.token)
    assert (await http.get("/health")).json() == {"status": "healthy"}
    if upgrade:
        await home.enter()
    else:
        assert (await refused(home)).status_code == 503
    answer = await http.post("/api/conversations/bots/echo/chat", json={"message": "x"})
    assert answer.status_code == (200 if chat else 503)
