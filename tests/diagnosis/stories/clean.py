"""Nothing is wrong, or nothing can be told."""

from __future__ import annotations

from chatkit.events import EndReported, Retransmitted
from tests.diagnosis.stories import NO_FAULT, OPEN, story
from tests.diagnosis.stories.steady import talk
from tests.diagnosis.stories.telling import CAPTURE, HAR, Tale


@story(NO_FAULT)
def an_hour_of_chat() -> Tale:
    """Talk, pings, a goodbye."""
    tale = Tale()
    tale.opens(1, "1")
    tale.pings(6, 3600, 20, "1")
    talk(tale, "1", 10, 3500, 60)
    tale.closed(3605, "1", 1000, "bye", by="client")
    tale.healthy(3600, 60)
    return tale


@story(NO_FAULT)
def open_to_the_end() -> Tale:
    """A recording that stops while the connection lives."""
    tale = Tale()
    tale.opens(1, "1")
    tale.pings(6, 50, 20, "1")
    tale.notified(55, "1")
    return tale


@story(NO_FAULT, CAPTURE)
def one_page_is_left() -> Tale:
    """A single 1001 by the client is no fault."""
    tale = Tale()
    tale.opens(1, "1")
    tale.pings(6, 50, 20, "1")
    tale.closed(57.2, "1", 1001, by="client")
    return tale


@story(NO_FAULT)
def head_is_refused_once() -> Tale:
    """HEAD 405 beside GET 200 is a remark."""
    tale = Tale()
    tale.opens(1, "1")
    tale.health(5, 405, method="HEAD")
    tale.health(6)
    tale.closed(30, "1", 1000, by="client")
    return tale


@story(NO_FAULT)
def a_server_that_pings() -> Tale:
    """Pings by the server, each answered."""
    tale = Tale()
    tale.opens(1, "1")
    for n in range(1, 8):
        tale.protocol_ping(1 + 20 * n, "1", by="server")
    tale.closed(150, "1", 1000, by="client")
    return tale


@story(NO_FAULT)
def a_slow_first_answer() -> Tale:
    """A cold start, then it is quick."""
    tale = Tale()
    tale.opens(1, "1")
    for n, took in enumerate((8.0, 1.1, 0.9, 1.3)):
        tale.api(10 + 20 * n, purpose="chat", took=took)
        tale.hears(10.1 + took + 20 * n, "1", f"m{n}")
    tale.closed(120, "1", 1000, by="client")
    return tale


@story(NO_FAULT, CAPTURE)
def one_packet_was_sent_twice() -> Tale:
    """A retransmission that was acknowledged is a remark."""
    tale = Tale()
    tale.opens(1, "1")
    talk(tale, "1", 5, 60)
    tale.put(30, Retransmitted, "1", by="client", times=1, seconds=0.2, acknowledged=True)
    tale.closed(80, "1", 1000, by="client")
    return tale


@story(NO_FAULT)
def the_server_says_goodbye() -> Tale:
    """1000 by the server after a logout."""
    tale = Tale()
    tale.opens(1, "1")
    talk(tale, "1", 5, 60)
    tale.closed(80, "1", 1000, "logged out, bye")
    return tale


@story(NO_FAULT, HAR)
def a_browser_that_is_still_open() -> Tale:
    """A HAR without an end."""
    tale = Tale()
    tale.opens(1, "1")
    talk(tale, "1", 5, 40)
    return tale


@story(OPEN, HAR)
def a_short_abort_in_a_browser() -> Tale:
    """1006 of a browser after a moment carries no cause."""
    tale = Tale()
    for n in range(2):
        tale.opens(1 + 5 * n, str(n))
        tale.put(1.4 + 5 * n, EndReported, str(n), code=1006, source="browser")
    return tale


@story(OPEN)
def nothing_at_all() -> Tale:
    """An empty recording."""
    return Tale()


@story(OPEN)
def one_reset_without_anything_else() -> Tale:
    """A single RST after an odd time with nothing around it could be many things."""
    tale = Tale()
    tale.opens(1, "1")
    tale.ends(38.2, "1", "rst")
    return tale
