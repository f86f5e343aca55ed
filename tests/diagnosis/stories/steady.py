"""It worked, then it ended by a rule of somebody: group 4 of the taxonomy."""

from __future__ import annotations

from chatkit.events import EndReported, FrameSent, Logged, ProtocolFailed, Retransmitted, TokenChanged
from tests.builders import EPOCH
from tests.diagnosis.stories import story
from tests.diagnosis.stories.telling import CAPTURE, ENCRYPTED, HAR, SERVER_LOG, URL, Tale


def talk(tale: Tale, name: str, since: float, until: float, every: float = 7.0) -> None:
    """Messages and answers."""
    at, n = since, 0
    while at < until:
        tale.says(at, name, f"question {n}")
        tale.hears(at + 1.2, name, f"{name}-{n}", f"answer {n}")
        at, n = at + every, n + 1


@story("idle-timeout", CAPTURE)
def nginx_ends_a_silent_life() -> Tale:
    """One FIN after 60.0 s in which nothing was said."""
    tale = Tale()
    tale.opens(1, "1", headers=[("Server", "nginx/1.24.0")])
    tale.ends(61.004, "1", "fin")
    return tale


@story("idle-timeout")
def quiet_for_a_minute_after_talk() -> Tale:
    """Three lives of different age, each ended 60 s after its last message."""
    tale = Tale()
    for n, spoken in enumerate((5, 40, 90)):
        at = 1 + 200.0 * n
        tale.opens(at, str(n))
        talk(tale, str(n), at + 2, at + spoken)
        last = at + 2 + 7 * ((spoken - 2 - 1e-9) // 7) + 1.2
        tale.ends(last + 60.0, str(n), "fin")
    tale.healthy(600)
    return tale


@story("idle-timeout", ENCRYPTED)
def five_minutes_inside_tls() -> Tale:
    """Nothing is readable, FIN after 300 s each time."""
    from chatkit.events import OpaqueReceived, OpaqueSent, TcpConnected

    tale = Tale()
    for n, last in enumerate((2.0, 31.0)):
        at = 1 + 400.0 * n
        tale.put(at, TcpConnected, str(n), local="127.0.0.1:1", peer="127.0.0.1:443", seconds=0.001)
        tale.put(at + 0.1, OpaqueSent, str(n), size=500)
        tale.put(at + last, OpaqueReceived, str(n), size=300)
        tale.ends(at + last + 300.0, str(n), "fin")
    return tale


@story("idle-timeout")
def only_our_words_count() -> Tale:
    """The server talks all the time; it still ends 30 s after our last word."""
    tale = Tale()
    for n, spoken in enumerate((0.0, 11.0, 25.0)):
        at = 1 + 100.0 * n
        tale.opens(at, str(n))
        if spoken:
            tale.says(at + spoken, str(n))
        for k in range(1, int(spoken) + 29, 4):
            tale.notified(at + k + 0.5, str(n))
        tale.ends(at + spoken + 30.0, str(n), "fin")
    return tale


@story("idle-timeout", SERVER_LOG)
def a_proxy_logs_its_time_out() -> Tale:
    """nginx says so in its error log."""
    tale = Tale()
    tale.opens(1, "1", greets=False)
    text = "upstream timed out (110: Connection timed out) while proxying upgraded connection"
    tale.put(61, Logged, "1", by="proxy", what="upstream-timeout", text=text)
    tale.put(61.001, EndReported, "1", code=1006, source="nginx")
    return tale


@story("idle-timeout", HAR)
def a_browser_sees_the_quiet_minute() -> Tale:
    """A HAR shows nothing of the end, but three times the same minute of quiet at different ages."""
    tale = Tale()
    for n, spoken in enumerate((4.0, 20.0, 33.0)):
        at = 1 + 150.0 * n
        tale.opens(at, str(n))
        tale.says(at + spoken, str(n))
        tale.hears(at + spoken + 1, str(n), f"m{n}")
        tale.put(at + spoken + 61.0, EndReported, str(n), source="browser")
    return tale


@story("nat-timeout", CAPTURE)
def the_nat_forgot_the_flow() -> Tale:
    """Quiet for ten minutes, then our bytes are sent again and again; a new connection works at once."""
    tale = Tale()
    for n in range(2):
        at = 1 + 1000.0 * n
        tale.opens(at, f"{n}a")
        talk(tale, f"{n}a", at + 2, at + 20)
        tale.says(at + 620, f"{n}a")
        tale.put(at + 650, Retransmitted, f"{n}a", by="client", times=7, seconds=29.0)
        tale.ends(at + 651, f"{n}a", "rst", "client")
        tale.opens(at + 652, f"{n}b")
        tale.closed(at + 700, f"{n}b", 1000, by="client")
    return tale


@story("nat-timeout")
def our_pings_vanish_after_a_quiet_time() -> Tale:
    """The first ping after 350 s of quiet is not answered, we give up, the next attempt opens at once."""
    tale = Tale()
    for n in range(2):
        at = 1 + 500.0 * n
        tale.opens(at, f"{n}a")
        tale.ping(at + 351, f"{n}a", answered=False)
        tale.put(at + 380, Retransmitted, f"{n}a", by="client", times=6, seconds=20.0)
        tale.ends(at + 381, f"{n}a", "local", "client")
        tale.opens(at + 382, f"{n}b")
        tale.closed(at + 400, f"{n}b", 1000, by="client")
    return tale


@story("max-lifetime")
def an_hour_and_no_longer() -> Tale:
    """Two busy lives of the same age, opened at different times."""
    tale = Tale()
    for n, at in enumerate((1.0, 1234.0)):
        tale.opens(at, str(n))
        tale.pings(at + 6, at + 3599, 20, str(n))
        tale.closed(at + 3600.0, str(n), 1001)
    tale.healthy(4800, 60)
    return tale


@story("max-lifetime")
def a_short_life_in_spite_of_traffic() -> Tale:
    """FIN at an age of 25 s each time, in the middle of talk."""
    tale = Tale()
    for n in range(4):
        at = 1 + 27.0 * n
        tale.opens(at, str(n))
        talk(tale, str(n), at + 1 + n, at + 24, 3.1)
        tale.pings(at + 5, at + 25, 6.3, str(n))
        tale.ends(at + 25.0, str(n), "fin")
    return tale


@story("token-expired")
def closed_when_the_token_ran_out() -> Tale:
    """4001 at exp, and the old token is refused."""
    tale = Tale()
    url = URL.replace("***", f"[jwt exp={int(EPOCH) + 300} iat={int(EPOCH)}]")
    tale.opens(1, "1", url=url)
    tale.pings(7, 300, 20, "1")
    tale.closed(300.4, "1", 4001, "token expired")
    tale.refused(302, "2", 403, url=url)
    tale.api(303, 401)
    return tale


@story("token-expired")
def dropped_without_a_word_at_exp() -> Tale:
    """An abort at exp of two tokens of different length; the lives were busy."""
    tale = Tale()
    for n, seconds in enumerate((100, 160)):
        at = 1 + 200.0 * n
        tale.put(at - 0.5, TokenChanged, how="login", expires=float(int(EPOCH + at + seconds)))
        tale.opens(at, str(n))
        tale.pings(at + 6, at + seconds - 1, 20, str(n))
        tale.closed(at + seconds, str(n), 1008, "token expired")
    return tale


@story("keepalive-timeout")
def the_server_waited_for_our_pong() -> Tale:
    """Pings every 20 s; the last stayed unanswered for 40 s, then close 1011."""
    tale = Tale()
    tale.opens(1, "1")
    for n in range(1, 4):
        tale.protocol_ping(1 + 20 * n, "1", by="server")
    tale.protocol_ping(81, "1", by="server", answered=False)
    tale.closed(121, "1", 1011, "keepalive ping timeout")
    return tale


@story("keepalive-timeout")
def we_waited_for_their_pong() -> Tale:
    """Our application's ping stays unanswered for 10 s, we close."""
    tale = Tale()
    for n in range(3):
        at = 1 + 40.0 * n
        tale.opens(at, str(n))
        tale.ping(at + 5, str(n))
        tale.ping(at + 25, str(n), answered=False)
        tale.closed(at + 35, str(n), 1011, "keepalive ping timeout", by="client")
    tale.healthy(120)
    return tale


@story("client-blocked-loop")
def our_own_loop_was_away() -> Tale:
    """A handler blocked for half a minute, the server's pings stayed unanswered."""
    tale = Tale()
    tale.opens(1, "1")
    tale.protocol_ping(21, "1", by="server")
    tale.protocol_ping(41, "1", by="server", answered=False)
    tale.closed(71, "1", 1011, "keepalive ping timeout")
    tale.lag(71.01, 32.0)
    return tale


@story("server-blocked-loop")
def the_whole_server_stood_still() -> Tale:
    """Health, API and sockets mute together for 25 s; we gave up on one socket."""
    tale = Tale()
    for n in range(2):
        tale.opens(1 + n, str(n))
        tale.pings(6 + n, 40, 10, str(n))
        tale.ping(46 + n, str(n), answered=False)
        tale.closed(61 + n, str(n), 1011, "keepalive ping timeout", by="client")
    tale.healthy(40)
    tale.health(66, took=25.0)
    tale.api(42, took=24.0, purpose="chat")
    tale.opens(67, "3")
    tale.notified(80, "3")
    return tale


@story("server-blocked-loop")
def it_stood_still_and_caught_up() -> Tale:
    """Nobody gave up: health took 12 s, all sockets were silent meanwhile and answered late."""
    tale = Tale()
    for n in range(2):
        tale.opens(1 + n, str(n))
        for k in range(1, 40):
            tale.notified(1 + n + k, str(n))
        tale.sent(43 + n, str(n), "ping", timestamp="t")
        tale.received(53.5, str(n), "pong", timestamp="t")
        tale.notified(70, str(n))
    tale.healthy(40, 5)
    tale.health(53.4, took=12.0)
    tale.api(42, took=11.5, purpose="chat")
    tale.hears(53.6, "0")
    tale.health(60)
    return tale


@story("slow-consumer")
def we_read_too_slowly() -> Tale:
    """Close 1008 because the server's buffer is full."""
    tale = Tale()
    tale.opens(1, "1")
    for n in range(200):
        tale.notified(2 + 0.02 * n, "1")
    tale.closed(6.5, "1", 1008, "send buffer full: slow consumer")
    return tale


@story("message-too-big", CAPTURE)
def one_message_too_long() -> Tale:
    """Close 1009 right after a message of two megabytes."""
    tale = Tale()
    tale.opens(1, "1")
    tale.says(5, "1")
    tale.says(10, "1", size=2_000_000)
    tale.closed(10.2, "1", 1009, "message too big")
    tale.opens(12, "2")
    tale.notified(30, "2")
    return tale


@story("message-too-big")
def the_edge_drops_it_without_a_word() -> Tale:
    """FIN within a moment after each message of 200 kB."""
    tale = Tale()
    for n in range(3):
        at = 1 + 20.0 * n
        tale.opens(at, str(n))
        tale.says(at + 4, str(n))
        tale.says(at + 8 + n, str(n), size=200_000)
        tale.ends(at + 8.1 + n, str(n), "fin")
    tale.healthy(60)
    return tale


@story("client-message-limit")
def their_message_exceeds_our_limit() -> Tale:
    """We send 1009."""
    tale = Tale()
    tale.opens(1, "1")
    tale.comes(5, "1", 900_000)
    tale.closed(5.1, "1", 1009, "frame with 2000000 bytes exceeds limit of 1048576 bytes", by="client")
    return tale


@story("protocol-error", CAPTURE)
def an_unmasked_frame() -> Tale:
    """Close 1002 by the server, and the capture shows what it means."""
    tale = Tale()
    tale.opens(1, "1")
    tale.says(3, "1")
    tale.put(5, ProtocolFailed, "1", by="client", detail="a frame of the client is not masked")
    tale.closed(5.01, "1", 1002, "incorrect masking")
    return tale


@story("invalid-utf8")
def half_a_character() -> Tale:
    """Close 1007 by the server after our message."""
    tale = Tale()
    tale.opens(1, "1")
    tale.put(5, FrameSent, "1", size=20, data="gICA")
    tale.closed(5.01, "1", 1007, "invalid UTF-8 in text frame")
    return tale


@story("policy-violation")
def a_rule_of_its_own() -> Tale:
    """1008 with a reason that no other cause explains."""
    tale = Tale()
    tale.opens(1, "1")
    tale.says(30, "1")
    tale.closed(35, "1", 1008, "this content is not welcome here")
    return tale


@story("server-error")
def the_handler_fails() -> Tale:
    """1011 each time we type."""
    tale = Tale()
    for n in range(3):
        at = 1 + 20.0 * n
        tale.opens(at, str(n))
        tale.ping(at + 5, str(n))
        tale.sent(at + 8 + n, str(n), "typing", data={"is_typing": True})
        tale.closed(at + 8.02 + n, str(n), 1011, "internal error")
    tale.healthy(60)
    return tale


@story("server-error")
def every_message_is_answered_500() -> Tale:
    """The socket lives, HTTP fails."""
    tale = Tale()
    tale.opens(1, "1")
    tale.pings(6, 100, 20, "1")
    for n in range(3):
        tale.api(10 + 20 * n, 500, purpose="chat")
    tale.notified(110, "1")
    return tale


@story("server-error", SERVER_LOG)
def a_traceback_in_the_log() -> Tale:
    """The server's log has an exception at that moment."""
    tale = Tale()
    tale.opens(1, "1", greets=False)
    tale.put(30, Logged, "1", by="server", what="exception", text="KeyError: 'session_id'")
    tale.put(30.01, EndReported, "1", code=1011, by="server", source="uvicorn")
    return tale
