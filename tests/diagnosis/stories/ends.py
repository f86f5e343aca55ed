"""The end of somebody: group 5 of the taxonomy."""

from __future__ import annotations

from chatkit.events import EndReported, Logged, Retransmitted
from tests.diagnosis.stories import story
from tests.diagnosis.stories.steady import talk
from tests.diagnosis.stories.telling import CAPTURE, SERVER_LOG, Tale


def crowd(tale: Tale, at: float, count: int = 4, since: float = 1.0, every: float = 20.0) -> None:
    """Connections that were opened one after the other and live until ``at``."""
    for n in range(count):
        opened = since + 7.3 * n
        tale.opens(opened, str(n))
        tale.pings(opened + 5, at - 1.5, every, str(n))


@story("server-restart")
def an_orderly_deploy() -> Tale:
    """All end with 1012 within a moment, the port refuses for 4 s, then it is back."""
    tale = Tale()
    crowd(tale, 100)
    for n in range(4):
        tale.closed(100 + 0.05 * n, str(n), 1012, "service restart")
    tale.failed(101, "9", "tcp", "Connection refused")
    tale.health(102, None, error="Connection refused")
    tale.opens(104.5, "10")
    tale.notified(130, "10")
    return tale


@story("server-restart", CAPTURE)
def the_proxy_reloads() -> Tale:
    """All end with 1001 at once; the next attempt is let in without a gap."""
    tale = Tale()
    crowd(tale, 100)
    for n in range(4):
        tale.closed(100 + 0.02 * n, str(n), 1001)
    tale.opens(100.6, "10")
    tale.notified(130, "10")
    return tale


@story("server-restart", SERVER_LOG)
def the_server_says_that_it_stops() -> Tale:
    """uvicorn logs its shutdown."""
    tale = Tale()
    for n in range(3):
        tale.opens(1 + 9.0 * n, str(n), greets=False)
        tale.put(60 + 0.01 * n, EndReported, str(n), code=1012, by="server", source="uvicorn")
    tale.put(60, Logged, by="server", what="stop", text="Shutting down")
    return tale


@story("server-crash")
def everything_is_gone_at_once() -> Tale:
    """FIN for all without close frames, then refused for a while."""
    tale = Tale()
    crowd(tale, 80)
    for n in range(4):
        tale.ends(80 + 0.01 * n, str(n), "fin")
    tale.failed(81, "8", "tcp", "Connection refused")
    tale.failed(83, "9", "tcp", "Connection refused")
    tale.opens(86, "10")
    tale.notified(120, "10")
    return tale


@story("server-crash")
def one_client_sees_the_crash() -> Tale:
    """RST in the middle of a quiet time, then 502 by the proxy, then it is back."""
    tale = Tale()
    tale.opens(1, "1")
    tale.pings(6, 70, 20, "1")
    tale.ends(75.3, "1", "rst")
    tale.refused(76, "2", 502, body="Bad Gateway", server="nginx")
    tale.health(77, 502)
    tale.opens(85, "3")
    tale.notified(120, "3")
    return tale


@story("worker-timeout", SERVER_LOG)
def gunicorn_kills_a_worker() -> Tale:
    """Two of four die together, and the log says why."""
    tale = Tale()
    for n in range(4):
        tale.opens(1 + 6.1 * n, str(n), greets=False)
    tale.put(90, Logged, by="server", what="worker-timeout", text="[CRITICAL] WORKER TIMEOUT (pid:4242)")
    for n in (0, 2):
        tale.put(90.1, EndReported, str(n), code=1006, source="gunicorn")
    tale.put(120, EndReported, "1", code=1000, by="client", source="gunicorn")
    tale.put(121, EndReported, "3", code=1000, by="client", source="gunicorn")
    return tale


@story("network-reset")
def resets_at_random() -> Tale:
    """RST at ages that follow nothing, others live on, health is fine."""
    tale = Tale()
    at = 1.0
    for n, age in enumerate((17.3, 61.7, 8.4, 120.9, 33.2, 47.8)):
        tale.opens(at, str(n))
        tale.pings(at + 5, at + age - 1.5, 20, str(n))
        tale.ends(at + age, str(n), "rst")
        at += age + 1.5
    tale.healthy(at)
    tale.opens(at, "9")
    tale.notified(at + 30, "9")
    return tale


@story("network-reset", CAPTURE)
def a_hop_resets_one_and_leaves_the_others() -> Tale:
    """RSTs at odd times while a second connection to the same server lives."""
    tale = Tale()
    tale.opens(1, "long")
    tale.pings(6, 400, 20, "long")
    for n, (at, age) in enumerate(((5, 41.0), (60, 97.3), (170, 22.8), (220, 133.3))):
        tale.opens(at, str(n))
        talk(tale, str(n), at + 3, at + age - 4, 6.0)
        tale.ends(at + age, str(n), "rst")
    tale.notified(420, "long")
    return tale


@story("peer-unreachable", CAPTURE)
def the_link_is_down() -> Tale:
    """Our bytes are never acknowledged on any connection, new ones fail too."""
    tale = Tale()
    for n in range(2):
        tale.opens(1 + n, str(n))
        tale.pings(6 + n, 60, 10, str(n))
        tale.ping(61 + n, str(n), answered=False)
        tale.put(85 + n, Retransmitted, str(n), by="client", times=7, seconds=24.0)
        tale.ends(86 + n, str(n), "timeout", None)
    for n in range(2, 4):
        tale.failed(88 + 11 * n, str(n), "tcp", "no answer within 10 s", after=10.0)
    return tale


@story("peer-unreachable")
def the_vpn_is_gone() -> Tale:
    """Seen by our own client: pings vanish, health does not answer, attempts time out."""
    tale = Tale()
    tale.opens(1, "1")
    tale.pings(6, 50, 10, "1")
    tale.ping(56, "1", answered=False)
    tale.ends(66, "1", "local", "client")
    tale.health(65, None, took=5, error="timed out")
    tale.failed(67, "2", "tcp", "no answer within 10 s", after=10.0)
    tale.failed(80, "3", "tcp", "no answer within 10 s", after=10.0)
    tale.health(90, None, took=5, error="timed out")
    return tale


@story("client-going-away", CAPTURE)
def the_page_navigates_again_and_again() -> Tale:
    """1001 by the client after a few seconds, five times in a row."""
    tale = Tale()
    for n, age in enumerate((6.0, 9.5, 4.2, 12.1, 7.7)):
        at = 1 + 20.0 * n
        tale.opens(at, str(n))
        tale.closed(at + age, str(n), 1001, by="client")
    return tale


@story("client-going-away", CAPTURE)
def the_tab_is_gone() -> Tale:
    """FIN by the client without a close frame, all pings answered until then."""
    tale = Tale()
    tale.opens(1, "1")
    tale.pings(6, 100, 20, "1")
    tale.ends(108.4, "1", "fin", "client")
    return tale


@story("client-suspended")
def the_laptop_slept() -> Tale:
    """Our pings every 20 s stopped for ten minutes, the server's went on and stayed unanswered."""
    tale = Tale()
    tale.opens(1, "1")
    tale.pings(6, 110, 20, "1")
    for n in range(3):
        tale.protocol_ping(125 + 20 * n, "1", by="server", answered=False)
    tale.ends(700, "1", "rst")
    tale.opens(702, "2")
    tale.notified(730, "2")
    return tale


@story("client-error")
def our_own_exception() -> Tale:
    """We cut it, and say why."""
    tale = Tale()
    tale.opens(1, "1")
    tale.pings(6, 30, 20, "1")
    tale.hears(31, "1")
    tale.ends(31.2, "1", "local", "client", error="KeyError: 'content'")
    return tale
