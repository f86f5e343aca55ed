"""What is done about each failure, and when: every row of the policy table, and what any input is taken for."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets import exceptions as library
from websockets.datastructures import Headers
from websockets.frames import Close
from websockets.http11 import Response

from chatkit.behaviour import Client, Kind, Row, Signal
from chatkit.errors import AuthError, ConnectFailed
from chatkit.events import CloseReceived, CloseSent, TransportEnded
from chatkit.policy.presets import preset
from chatkit.policy.reconnect import (
    REMEDIES,
    Context,
    Decision,
    Happening,
    Loss,
    asked_to_wait,
    backoff,
    classify,
    explain,
    loss_of,
    may_leave,
    probe_delay,
    rejoin_delay,
    row_of,
)
from chatkit.policy.table import TABLE, TEXTBOOK

RULES = Client()
STABLE = Context(rules=RULES, stable=True, can_refresh=True)
FLAPPING = Context(rules=RULES, can_refresh=True)
NEARLY_ONE = math.nextafter(1.0, 0.0)

HASTY = (0.0, 1.0)
STEP_1 = (1.0, 2.0)
NOT_AT_ALL = (0.0, 0.0)


def received(code: int | None, reason: str = "") -> CloseReceived:
    """The server's close frame."""
    return CloseReceived(id="1", at=0.0, connection="1", code=code, reason=reason)


def sent(code: int | None, reason: str = "") -> CloseSent:
    """Our close frame, which came first."""
    return CloseSent(id="1", at=0.0, connection="1", code=code, reason=reason)


def refused(status: int, retry_after: float | None = None) -> Loss:
    """An upgrade that was refused."""
    return Loss(stage="upgrade", status=status, retry_after=retry_after)


def spread(what: Happening, context: Context) -> tuple[float, float]:
    """The least and the greatest delay, over all draws."""
    draws = (0.0, NEARLY_ONE)
    low, high = (classify(what, msgspec.structs.replace(context, draw=draw)).delay for draw in draws)
    return low, high


@pytest.mark.parametrize(
    ("what", "kind", "action", "delays"),
    [
        # closes
        (Signal.LOCAL_CLOSE, Kind.LOCAL, "stop", NOT_AT_ALL),
        (asyncio.CancelledError(), Kind.LOCAL, "stop", NOT_AT_ALL),
        (received(1000), Kind.SERVER_DONE, "reconnect", STEP_1),
        (sent(1000), Kind.LOCAL, "stop", NOT_AT_ALL),
        (received(1001), Kind.TRANSIENT, "reconnect", HASTY),
        (received(None), Kind.TRANSIENT, "reconnect", HASTY),
        (received(1005), Kind.TRANSIENT, "reconnect", HASTY),
        (Loss(code=1006), Kind.TRANSIENT, "reconnect", HASTY),
        (Signal.NO_CLOSE_FRAME, Kind.TRANSIENT, "reconnect", HASTY),
        (sent(1011, "keepalive ping timeout"), Kind.HALF_OPEN, "reconnect", HASTY),
        (received(1011, "keepalive ping timeout"), Kind.STARVED, "reconnect", HASTY),
        (received(1011), Kind.SERVER_ERROR, "reconnect", STEP_1),
        (received(1012), Kind.RESTART, "reconnect", (1, 10)),
        (received(1013), Kind.OVERLOAD, "reconnect", (5, 30)),
        (received(1014), Kind.TRANSIENT, "reconnect", STEP_1),
        *((received(code), Kind.PROTOCOL, "reconnect", (1, 1)) for code in (1002, 1003, 1007, 1010, 1016, 2999, 999)),
        (received(1008), Kind.AUTH_MAYBE, "ask", NOT_AT_ALL),
        (received(1009), Kind.PAYLOAD, "reconnect", STEP_1),
        (sent(1009), Kind.PAYLOAD, "reconnect", STEP_1),
        (Loss(code=1015), Kind.TLS, "fail", NOT_AT_ALL),
        (received(4401), Kind.AUTH_EXPIRED, "refresh", NOT_AT_ALL),
        (received(4001), Kind.AUTH_EXPIRED, "refresh", NOT_AT_ALL),
        (received(4403), Kind.AUTH_MAYBE, "ask", NOT_AT_ALL),
        (received(4003), Kind.AUTH_MAYBE, "ask", NOT_AT_ALL),
        (received(4404), Kind.NOT_FOUND, "fail", NOT_AT_ALL),
        (received(4400), Kind.BAD_REQUEST, "fail", NOT_AT_ALL),
        (received(4408), Kind.TRANSIENT, "reconnect", STEP_1),
        (received(4409), Kind.CONFLICT, "fail", NOT_AT_ALL),
        (received(4009), Kind.CONFLICT, "fail", NOT_AT_ALL),
        (received(4429), Kind.OVERLOAD, "reconnect", (5, 30)),
        (received(4000), Kind.UNKNOWN_APP, "reconnect", STEP_1),
        (received(4499), Kind.UNKNOWN_APP, "reconnect", STEP_1),
        (received(4500), Kind.SERVER_FATAL, "fail", NOT_AT_ALL),
        (received(4999), Kind.SERVER_FATAL, "fail", NOT_AT_ALL),
        (received(3500), Kind.SERVER_FATAL, "fail", NOT_AT_ALL),
        (received(3000), Kind.UNKNOWN_APP, "reconnect", STEP_1),
        # refused upgrades
        (401, Kind.AUTH_EXPIRED, "refresh", NOT_AT_ALL),
        (403, Kind.AUTH_MAYBE, "ask", NOT_AT_ALL),
        (404, Kind.NOT_FOUND, "fail", NOT_AT_ALL),
        (410, Kind.NOT_FOUND, "fail", NOT_AT_ALL),
        (429, Kind.OVERLOAD, "reconnect", (5, 30)),
        (refused(429, 17.0), Kind.OVERLOAD, "reconnect", (17, 30)),
        (refused(503, 0.0), Kind.OVERLOAD, "reconnect", (5, 30)),
        (503, Kind.TRANSIENT, "reconnect", STEP_1),
        *((status, Kind.TRANSIENT, "reconnect", STEP_1) for status in (408, 425, 500, 502, 504, 507, 599)),
        *((status, Kind.REDIRECT, "fail", NOT_AT_ALL) for status in (301, 302, 307, 308)),
        *((status, Kind.BAD_REQUEST, "fail", NOT_AT_ALL) for status in (200, 204, 304, 400, 405, 418, 426)),
        # no answer at all
        (socket.gaierror(-2, "unknown name"), Kind.DNS, "reconnect", STEP_1),
        (ConnectionRefusedError(), Kind.TRANSIENT, "reconnect", STEP_1),
        (ConnectionResetError(), Kind.TRANSIENT, "reconnect", STEP_1),
        (OSError("no route"), Kind.TRANSIENT, "reconnect", STEP_1),
        (TimeoutError(), Kind.TRANSIENT, "reconnect", STEP_1),
        (EOFError(), Kind.TRANSIENT, "reconnect", STEP_1),
        (ssl.SSLCertVerificationError("expired"), Kind.TLS, "fail", NOT_AT_ALL),
        (ssl.SSLError("handshake failure"), Kind.TRANSIENT, "reconnect", STEP_1),
        (Signal.HELLO_TIMEOUT, Kind.HELLO_TIMEOUT, "reconnect", STEP_1),
        # tokens, messages, callbacks, ourselves
        (Signal.PROVIDER_UNREACHABLE, Kind.TRANSIENT, "reconnect", STEP_1),
        (Signal.PROVIDER_DENIED, Kind.AUTH_DENIED, "auth", NOT_AT_ALL),
        (Signal.BAD_MESSAGE, Kind.BAD_MESSAGE, "keep", NOT_AT_ALL),
        (Signal.TOO_MANY_BAD_MESSAGES, Kind.PROTOCOL, "reconnect", (1, 1)),
        (Signal.CALLBACK_FAILED, Kind.APP_ERROR, "keep", NOT_AT_ALL),
        (ZeroDivisionError(), Kind.BUG, "fail", NOT_AT_ALL),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_table(what: Happening, kind: Kind, action: str, delays: tuple[float, float]) -> None:
    """What is done about the first loss after a stable connection, by a client that can refresh its token."""
    decision = classify(what, STABLE)
    assert (decision.kind, decision.action) == (kind, action)
    assert spread(what, STABLE) == pytest.approx(delays)
    assert decision.hint
    assert decision.remedy == REMEDIES[kind]


# When


def test_the_backoff_has_five_steps() -> None:
    """1–2, 2–4, 4–8, 8–16, 15–30 s, and no more than the cap."""
    steps = [(backoff(k, RULES, 0.0), backoff(k, RULES, 1.0)) for k in range(1, 7)]
    assert steps == [(1, 2), (2, 4), (4, 8), (8, 16), (15, 30), (15, 30)]


@pytest.mark.parametrize("factor", [2, 2.0, 1e300])
def test_the_backoff_after_very_many_attempts(factor: float) -> None:
    """A profile may allow them; the cap holds, whatever overflows."""
    rules = msgspec.structs.replace(RULES, retry_factor=factor)
    assert backoff(100_000, rules, 1.0) == 30


def test_a_hasty_retry_is_for_a_stable_connection() -> None:
    """The first after it only: then steps of the backoff, as for a connection that never was stable."""
    cut = Signal.NO_CLOSE_FRAME
    assert spread(cut, STABLE) == pytest.approx(HASTY)
    assert spread(cut, msgspec.structs.replace(STABLE, attempts=1)) == pytest.approx(STEP_1)
    assert spread(cut, FLAPPING) == pytest.approx(STEP_1)
    assert not classify(cut, STABLE).backoff
    assert classify(cut, FLAPPING).backoff


def test_a_starved_client_flaps_in_steps_too() -> None:
    """Its row says U(0, 1) for every retry; without a stable connection that would be a storm."""
    starved = received(1011, "keepalive ping timeout")
    assert spread(starved, msgspec.structs.replace(STABLE, attempts=3)) == pytest.approx(HASTY)
    assert spread(starved, FLAPPING) == pytest.approx(STEP_1)


def test_a_restart_spreads_whoever_comes() -> None:
    """U(1, 10) is no haste: also without a stable connection; then the backoff."""
    assert spread(received(1012), FLAPPING) == pytest.approx((1, 10))
    assert spread(received(1012), msgspec.structs.replace(FLAPPING, attempts=1)) == pytest.approx(STEP_1)


def test_an_overload_waits_each_time() -> None:
    """5–30 s for every retry, and no step of the backoff is used up."""
    late = msgspec.structs.replace(FLAPPING, attempts=4, step=5)
    assert spread(received(1013), late) == pytest.approx((5, 30))
    assert not classify(received(1013), late).backoff


@pytest.mark.parametrize(
    ("said", "obeyed"),
    [(None, 0), (0.0, 0), (17.0, 17), (300.0, 300), (1e12, 300), (math.inf, 300), (-5.0, 0), (math.nan, 0)],
)
def test_retry_after_is_a_lower_bound(said: float | None, obeyed: float) -> None:
    """Up to five minutes; nonsense asks for nothing."""
    assert asked_to_wait(said, RULES) == obeyed
    low, high = spread(refused(503, said), STABLE)
    assert low >= obeyed
    assert high <= max(obeyed, 30)


def test_the_delays_have_the_unit_of_the_profile() -> None:
    """A profile whose base is 100 ms waits a tenth."""
    quick = msgspec.structs.replace(STABLE, rules=msgspec.structs.replace(RULES, retry_base=0.1))
    assert spread(received(1012), quick) == pytest.approx((0.1, 1))
    assert spread(received(1014), quick) == pytest.approx((0.1, 0.2))


# How often


@pytest.mark.parametrize("what", [received(1000), received(1002), received(1009), Signal.TOO_MANY_BAD_MESSAGES])
def test_once_within_a_minute(what: Happening) -> None:
    """The second time somebody must look."""
    soon, later = (msgspec.structs.replace(STABLE, repeated=seconds) for seconds in (59.9, 60.0))
    assert classify(what, soon).action == "fail"
    assert classify(what, soon).hint.startswith("again within a minute: ")
    assert classify(what, later).action == "reconnect"


def test_other_rows_may_repeat() -> None:
    """A cut connection is retried however often it was cut."""
    assert classify(Signal.NO_CLOSE_FRAME, msgspec.structs.replace(STABLE, repeated=0.0)).action == "reconnect"


def test_a_protocol_error_is_retried_without_compression() -> None:
    """A middlebox may have broken it."""
    assert not classify(received(1002), STABLE).compression
    assert classify(received(1001), STABLE).compression


def test_used_up_retries_suspend() -> None:
    """Five; then the backend's health is looked at every 30 s ± 20 %, or later if the server said so."""
    last, over = (msgspec.structs.replace(STABLE, attempts=n, step=n) for n in (4, 5))
    assert classify(Signal.NO_CLOSE_FRAME, last).action == "reconnect"
    decision = classify(Signal.NO_CLOSE_FRAME, over)
    assert decision.action == "suspend"
    assert decision.hint == "the connection was cut without a close frame; 5 retries did not help"
    assert spread(Signal.NO_CLOSE_FRAME, over) == pytest.approx((24, 36))
    assert spread(refused(503, 120.0), over) == (120, 120)


def test_without_suspension_used_up_retries_fail() -> None:
    """As in the incident's front end."""
    decision = classify(Loss(code=1006), Context(rules=preset("incident", RULES), attempts=5, step=5, stable=True))
    assert decision.action == "fail"
    assert decision.hint == "gave up after 5 retries: 1006: the connection was cut without a close frame"


@pytest.mark.parametrize(
    ("healthy", "since", "leaves"), [(True, 0.0, True), (False, 299.9, False), (False, 300.0, True)]
)
def test_leaving_suspension(healthy: bool, since: float, leaves: bool) -> None:
    """When the backend is healthy, and every five minutes in any case; then spread over a second."""
    assert may_leave(healthy, since, RULES) is leaves
    assert [probe_delay(RULES, draw) for draw in (0.0, 0.5)] == [24, 30]
    assert [rejoin_delay(RULES, draw) for draw in (0.0, 0.5)] == [0, 0.5]


def test_a_conflict_is_not_fought() -> None:
    """Unless the user says takeover."""
    fights = msgspec.structs.replace(STABLE, rules=msgspec.structs.replace(RULES, takeover=True))
    assert classify(received(4409), STABLE).action == "fail"
    assert classify(received(4409), fights).action == "reconnect"
    assert spread(received(4409), fights) == pytest.approx(STEP_1)


# Tokens


@pytest.mark.parametrize("what", [received(4001), received(4401), 401])
def test_one_refresh_then_somebody_must_act(what: Happening) -> None:
    """A second refusal in a row, or nothing to refresh with, needs another token."""
    assert classify(what, STABLE).action == "refresh"
    for changes in ({"refreshed": True}, {"can_refresh": False}):
        decision = classify(what, msgspec.structs.replace(STABLE, **changes))
        assert decision.action == "auth"
        assert decision.remedy == REMEDIES[Kind.AUTH_DENIED]


@pytest.mark.parametrize("what", [403, received(4003), received(4403), received(1008)])
@pytest.mark.parametrize(
    ("facts", "kind", "action"),
    [
        # the token itself may answer
        ({"token_left": -5.0}, Kind.AUTH_EXPIRED, "refresh"),
        ({"token_left": 30.0}, Kind.AUTH_EXPIRED, "refresh"),
        ({"token_left": 30.0, "refreshed": True}, Kind.AUTH_EXPIRED, "auth"),
        ({"token_left": -5.0, "can_refresh": False}, Kind.AUTH_EXPIRED, "auth"),
        # else the API is asked
        ({"token_left": 30.1}, Kind.AUTH_MAYBE, "ask"),
        ({"token_left": None}, Kind.AUTH_MAYBE, "ask"),
        # and says what it is
        ({"api_status": 401}, Kind.AUTH_EXPIRED, "refresh"),
        ({"api_status": 401, "refreshed": True}, Kind.AUTH_EXPIRED, "auth"),
        ({"api_status": 403}, Kind.FORBIDDEN, "fail"),
        ({"api_status": 404}, Kind.NOT_FOUND, "fail"),
        ({"api_status": 200}, Kind.FORBIDDEN, "fail"),
        ({"api_status": 204}, Kind.FORBIDDEN, "fail"),
        # or cannot say
        ({"api_status": 0}, Kind.TRANSIENT, "reconnect"),
        ({"api_status": 302}, Kind.TRANSIENT, "reconnect"),
        ({"api_status": 500}, Kind.TRANSIENT, "reconnect"),
        ({"api_status": 0, "attempts": 5}, Kind.TRANSIENT, "suspend"),
    ],
    ids=str,
)
def test_what_403_means(what: Happening, facts: dict[str, Any], kind: Kind, action: str) -> None:
    """Expired, unknown bot, no permission, a rule of the socket's own, or nobody knows yet."""
    decision = classify(what, msgspec.structs.replace(STABLE, **facts))
    assert (decision.kind, decision.action) == (kind, action)
    assert decision.remedy == REMEDIES[Kind.AUTH_DENIED if action == "auth" else kind]


def test_403_is_explained() -> None:
    """With what the token and the API said about it."""
    hints = {
        -1.0: "the token has expired",
        12.0: "the token expires in 12 s",
    }
    for left, words in hints.items():
        assert classify(403, msgspec.structs.replace(STABLE, token_left=left)).hint.endswith(words)
    asked = classify(403, msgspec.structs.replace(STABLE, api_status=200))
    assert asked.hint.startswith("the HTTP API accepts token and bot, so it is the Origin, the path, or a rule")


# The preset of the incident


@pytest.mark.parametrize(
    ("what", "first", "kind", "action"),
    [
        (received(1001), 1, Kind.TRANSIENT, "reconnect"),
        (received(1011), 1, Kind.TRANSIENT, "reconnect"),
        (received(1012), 1, Kind.TRANSIENT, "reconnect"),
        (received(4999), 1, Kind.TRANSIENT, "reconnect"),
        (Loss(code=1006), 2, Kind.TRANSIENT, "reconnect"),
        (Signal.NO_CLOSE_FRAME, 2, Kind.TRANSIENT, "reconnect"),
        (received(1000), 0, Kind.SERVER_DONE, "fail"),
        (sent(1000), 0, Kind.LOCAL, "stop"),
        (received(4003), 0, Kind.FORBIDDEN, "fail"),
        (received(4001), 0, Kind.AUTH_EXPIRED, "refresh"),
        (403, 0, Kind.AUTH_EXPIRED, "refresh"),
        (404, 0, Kind.NOT_FOUND, "fail"),
        (429, 1, Kind.OVERLOAD, "reconnect"),
        (refused(503, 17.0), 17, Kind.TRANSIENT, "reconnect"),
        (ConnectionRefusedError(), 1, Kind.TRANSIENT, "reconnect"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("draw", [0.0, 0.9])
def test_incident_does_what_the_contract_says(
    what: Happening, first: float, kind: Kind, action: str, draw: float
) -> None:
    """Its figures without chance; its stop codes; an abnormal end waits two seconds."""
    rules = preset("incident", RULES)
    context = Context(rules=rules, step=rules.retry_first, stable=True, can_refresh=True, draw=draw)
    decision = classify(what, context)
    assert (decision.kind, decision.action, decision.delay) == (kind, action, first)


@pytest.mark.parametrize(("what", "delays"), [(received(1001), [1, 2, 4, 8, 16]), (Loss(code=1006), [2, 2, 4, 8, 16])])
def test_incident_counts_from_one_second(what: Happening, delays: list[float]) -> None:
    """1, 2, 4, 8, 16 s, as far as 1006 does not ask for more; then it fails."""
    rules = preset("incident", RULES)
    decisions = [classify(what, Context(rules=rules, attempts=n, step=n)) for n in range(6)]
    assert [decision.delay for decision in decisions[:5]] == delays
    assert decisions[5].action == "fail"


# Rows of the user's own


def with_rows(*rows: Row) -> Context:
    """A stable client whose profile has rows."""
    return msgspec.structs.replace(STABLE, rules=msgspec.structs.replace(RULES, rows=rows))


def test_the_users_rows_come_first() -> None:
    """The first that fits decides; where none does, the built-in ones are asked."""
    mine = Row(close=(4000, 4999), kind=Kind.CONFLICT, action="stop", hint="ours")
    context = with_rows(mine, Row(close=4001, action="fail"))
    assert classify(received(4001), context).hint == "ours"
    assert classify(received(4001), context).action == "stop"
    assert classify(received(1001), context) == classify(received(1001), STABLE)


@pytest.mark.parametrize(
    ("row", "fits", "passes"),
    [
        (Row(close=4711, action="fail"), received(4711), received(4712)),
        (Row(close=1009, by="client", action="fail"), sent(1009), received(1009)),
        (Row(close=1001, reason="deploy", action="fail"), received(1001, "a deploy"), received(1001, "a restart")),
        (Row(status=(500, 502), action="fail"), 502, 503),
        (Row(retry_after=True, action="fail"), refused(500, 0.0), refused(500)),
        (Row(error="ConnectionError", action="fail"), ConnectionResetError(), TimeoutError()),
        (Row(signal=Signal.HELLO_TIMEOUT, action="fail"), Signal.HELLO_TIMEOUT, Signal.NO_CLOSE_FRAME),
    ],
    ids=str,
)
def test_every_condition_of_a_row(row: Row, fits: Happening, passes: Happening) -> None:
    """Each narrows what the row is about."""
    assert row_of(loss_of(fits), (row, *TABLE)) is row
    assert row_of(loss_of(passes), (row, *TABLE)) is not row


def test_a_rows_own_times() -> None:
    """A wait for every retry, a fixed step, a least delay."""
    late = {"attempts": 3, "step": 4}
    assert spread(1, msgspec.structs.replace(with_rows(Row(status=1, action="reconnect", step=2)), **late)) == (
        pytest.approx((2, 4))
    )
    every = with_rows(Row(status=1, action="reconnect", wait=(7, 9), every=True))
    assert spread(1, msgspec.structs.replace(every, **late)) == pytest.approx((7, 9))
    assert spread(1, with_rows(Row(status=1, action="reconnect", least=3))) == (3, 3)


# What an input is taken for


@pytest.mark.parametrize(
    ("what", "loss"),
    [
        (received(1012, "deploy"), Loss(code=1012, error="deploy")),
        (received(None), Loss(code=1005)),
        (sent(1000, "bye"), Loss(code=1000, error="bye", by_us=True)),
        (sent(None), Loss(code=1005, by_us=True)),
        (TransportEnded(id="1", at=0.0, how="rst", by="server"), Loss(signal=Signal.NO_CLOSE_FRAME)),
        (
            TransportEnded(id="1", at=0.0, how="timeout", error="ETIMEDOUT"),
            Loss(signal=Signal.NO_CLOSE_FRAME, error="ETIMEDOUT"),
        ),
        (Signal.HELLO_TIMEOUT, Loss(signal=Signal.HELLO_TIMEOUT)),
        (418, Loss(stage="upgrade", status=418)),
        # a loss that says no more than where
        (Loss(), Loss(signal=Signal.NO_CLOSE_FRAME)),
        (Loss(stage="established"), Loss(stage="established", signal=Signal.HELLO_TIMEOUT)),
        (Loss(stage="dns"), Loss(stage="dns", names=("gaierror", "OSError"))),
        (Loss(stage="tcp"), Loss(stage="tcp", names=("OSError",))),
        (Loss(stage="tls"), Loss(stage="tls", names=("OSError",))),
        (Loss(stage="upgrade"), Loss(stage="upgrade", names=("OSError",))),
        (Loss(code=1006), Loss(code=1006)),
        # ours
        (
            ConnectFailed("no such host", target="ws://h", stage="dns"),
            Loss(stage="dns", error="no such host", names=("gaierror", "OSError")),
        ),
        (
            ConnectFailed("refused", target="ws://h", stage="upgrade", status=503, retry_after=9.0),
            Loss(stage="upgrade", status=503, error="refused", retry_after=9.0),
        ),
        (
            ConnectFailed("bad chain", target="ws://h", stage="tls", names=("SSLCertVerificationError",)),
            Loss(stage="tls", error="bad chain", names=("SSLCertVerificationError",)),
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_everything_becomes_a_loss(what: Happening, loss: Loss) -> None:
    """One shape for close frames, ends, statuses and our own errors; taking it again changes nothing."""
    assert loss_of(what) == loss
    assert loss_of(loss) == loss


def closed(rcvd: Close | None, sent: Close | None, rcvd_then_sent: bool | None = None) -> Exception:
    """The library's exception for a connection that ended."""
    return library.ConnectionClosedError(rcvd, sent, rcvd_then_sent)


@pytest.mark.parametrize(
    ("error", "code", "by_us", "kind"),
    [
        (closed(Close(1012, "deploy"), Close(1012, ""), True), 1012, False, Kind.RESTART),
        (closed(Close(1012, "deploy"), None), 1012, False, Kind.RESTART),
        (closed(Close(1000, ""), Close(1000, ""), False), 1000, True, Kind.LOCAL),
        (closed(None, Close(1011, "keepalive ping timeout")), 1011, True, Kind.HALF_OPEN),
        (closed(Close(1011, "keepalive ping timeout"), None), 1011, False, Kind.STARVED),
        (closed(None, Close(1009, "")), 1009, True, Kind.PAYLOAD),
        (closed(Close(1005, ""), Close(1005, ""), True), 1005, False, Kind.TRANSIENT),
        (closed(None, None), 1006, False, Kind.TRANSIENT),
        (library.ConnectionClosedOK(Close(1000, ""), Close(1000, ""), True), 1000, False, Kind.SERVER_DONE),
        (library.ConnectionClosedOK(Close(1001, ""), Close(1001, ""), True), 1001, False, Kind.TRANSIENT),
    ],
    ids=str,
)
def test_the_library_says_who_closed_first(error: Exception, code: int, by_us: bool, kind: Kind) -> None:
    """And that decides."""
    loss = loss_of(error)
    assert (loss.code, loss.by_us) == (code, by_us)
    assert classify(error, STABLE).kind == kind


def test_a_cut_keeps_its_reason() -> None:
    """The cause of the library's exception is what the transport said."""
    error = closed(None, None)
    error.__cause__ = ConnectionResetError("reset by peer")
    assert loss_of(error).error == "reset by peer"


def answer(status: int, *headers: tuple[str, str]) -> library.InvalidStatus:
    """The library's exception for a refused upgrade."""
    return library.InvalidStatus(Response(status, "", Headers(headers), b""))


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ([], None),
        ([("Retry-After", "17")], 17.0),
        # a date would need a clock: it was said, for how long nobody knows
        ([("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")], 0.0),
        ([("Retry-After", "-3")], 0.0),
        ([("Retry-After", "9" * 400)], math.inf),
        # said twice, it says nothing
        ([("Retry-After", "1"), ("Retry-After", "2")], None),
    ],
)
def test_a_refused_upgrade_of_the_library(headers: list[tuple[str, str]], wait: float | None) -> None:
    """Status and ``Retry-After`` are read from its answer."""
    error = answer(503, *headers)
    assert (loss_of(error).status, loss_of(error).retry_after) == (503, wait)
    assert classify(error, STABLE).kind is (Kind.TRANSIENT if wait is None else Kind.OVERLOAD)


@pytest.mark.parametrize(
    ("error", "kind", "action"),
    [
        (answer(403), Kind.AUTH_MAYBE, "ask"),
        (library.InvalidMessage("no HTTP"), Kind.TRANSIENT, "reconnect"),
        (library.InvalidUpgrade("Upgrade", None), Kind.TRANSIENT, "reconnect"),
        (library.InvalidURI("http://h", "scheme"), Kind.BUG, "fail"),
        (AuthError("the token was refused"), Kind.AUTH_DENIED, "auth"),
        (ConnectFailed("odd", target="ws://h", stage="tcp", names=("ValueError",)), Kind.BUG, "fail"),
        (KeyboardInterrupt(), Kind.BUG, "fail"),
        (ExceptionGroup("several", [OSError()]), Kind.BUG, "fail"),
    ],
    ids=repr,
)
def test_other_exceptions(error: BaseException, kind: Kind, action: str) -> None:
    """What a handshake may raise, and what nobody foresaw: never retried in silence."""
    decision = classify(error, STABLE)
    assert (decision.kind, decision.action) == (kind, action)


def test_a_name_alone_is_no_close() -> None:
    """Other libraries have a ConnectionClosed as well, and answers without headers."""
    foreign = type("ConnectionClosed", (Exception,), {})()
    bare = type("Refused", (Exception,), {"response": type("Answer", (), {"status_code": 503})()})()
    assert classify(foreign, STABLE).kind is Kind.BUG
    assert loss_of(bare).retry_after is None


# Words


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (
            Loss(code=1006, error="reset by peer"),
            "1006: the connection was cut without a close frame (reset by peer)",
        ),
        (Loss(code=4711), "4711: a code of the application's own"),
        (Loss(code=1016), "1016: closed"),
        (Loss(code=1009, by_us=True), "the server's message was larger than this client accepts (max_size)"),
        (Loss(code=1011, by_us=True), "the peer did not answer our ping in time"),
        (Loss(code=1011, error="keepalive ping timeout"), "the server missed our answers to its pings and gave up"),
        (refused(403), "HTTP 403: the token is missing, wrong or expired, the user may not use this bot"),
        (refused(418), "HTTP 418: the upgrade was refused"),
        (Loss(stage="dns", error="no such host"), "the name does not resolve: no such host"),
        (Loss(stage="established"), "the socket opened but the backend never said that it is ready"),
        (Loss(signal=Signal.BAD_MESSAGE, error="no JSON"), "a message could not be read: no JSON"),
        (Loss(stage="open"), "lost"),
    ],
)
def test_what_it_may_mean(loss: Loss, words: str) -> None:
    """One sentence for people."""
    assert explain(loss).startswith(words)


def test_a_starved_client_hears_about_its_loop() -> None:
    """The lag figure says whose fault it was; without lag nothing is claimed."""
    starved = received(1011, "keepalive ping timeout")
    assert classify(starved, msgspec.structs.replace(STABLE, lag=42.04)).hint.endswith(
        "our own loop was late by 42.0 s shortly before"
    )
    assert "loop" not in classify(starved, STABLE).hint


@pytest.mark.parametrize("signal", Signal)
def test_every_signal_has_words(signal: Signal) -> None:
    """Of its own."""
    assert explain(Loss(signal=signal)) != "lost"


# Any input

_SECONDS = st.floats() | st.integers(-(10**15), 10**15)
_NAMES = st.lists(st.sampled_from([row.error for row in TABLE if row.error] + ["Odd"]), max_size=3).map(tuple)
_LOSSES = st.builds(
    Loss,
    stage=st.sampled_from(["dns", "tcp", "tls", "upgrade", "established", "open"]),
    code=st.none() | st.integers(-1, 70_000),
    status=st.none() | st.integers(-1, 1_100),
    error=st.text(max_size=5) | st.just("keepalive ping timeout"),
    by_us=st.booleans(),
    retry_after=st.none() | _SECONDS,
    signal=st.none() | st.sampled_from(Signal),
    names=_NAMES,
)
_CLOSES = st.none() | st.builds(Close, st.integers(0, 65_535), st.text(max_size=5))
_ERRORS = st.one_of(
    st.sampled_from([OSError, TimeoutError, EOFError, ValueError, KeyError, SystemExit, GeneratorExit]).map(
        lambda k: k()
    ),
    st.builds(library.ConnectionClosedError, _CLOSES, st.none(), st.none()),
    st.builds(library.ConnectionClosedError, st.none(), _CLOSES, st.none()),
    st.builds(
        answer, st.integers(0, 1_000), st.tuples(st.just("Retry-After"), st.text("0123456789 .:-GMT", max_size=9))
    ),
    st.builds(
        ConnectFailed,
        st.text(max_size=5),
        target=st.just("ws://h"),
        stage=st.sampled_from(["dns", "tcp", "tls", "upgrade", "established"]),
        status=st.none() | st.integers(0, 1_000),
        retry_after=st.none() | _SECONDS,
        names=_NAMES,
    ),
)
_EVENTS = st.one_of(
    st.builds(received, st.none() | st.integers(0, 65_535), st.text(max_size=5)),
    st.builds(sent, st.none() | st.integers(0, 65_535), st.text(max_size=5)),
    st.builds(
        TransportEnded, id=st.just("1"), at=st.just(0.0), how=st.sampled_from(["fin", "rst", "timeout", "local"])
    ),
)
HAPPENINGS: st.SearchStrategy[Happening] = st.one_of(
    _LOSSES, _ERRORS, _EVENTS, st.sampled_from(Signal), st.integers(-(10**20), 10**20)
)
_RULES = st.sampled_from(
    [RULES, *(preset(name, RULES) for name in ("incident", "textbook")), Client(takeover=True, suspend=False)]
)
CONTEXTS = st.builds(
    Context,
    rules=_RULES,
    attempts=st.integers(0, 10**6),
    step=st.integers(0, 10**6),
    stable=st.booleans(),
    repeated=st.none() | _SECONDS,
    can_refresh=st.booleans(),
    refreshed=st.booleans(),
    token_left=st.none() | _SECONDS,
    api_status=st.none() | st.integers(-1, 1_100),
    lag=_SECONDS,
    draw=st.floats(0, 1, exclude_max=True),
)


@given(HAPPENINGS, CONTEXTS)
def test_any_input_gets_exactly_one_decision(what: Happening, context: Context) -> None:
    """Whatever is known: words, a finite delay within bounds, and no way out that the rules forbid."""
    decision = classify(what, context)
    assert isinstance(decision, Decision)
    assert decision.hint
    assert decision.remedy
    assert 0 <= decision.delay <= max(RULES.retry_cap, RULES.retry_after_cap)
    assert classify(what, context) == decision
    match decision.action:
        case "reconnect":
            assert context.attempts < context.rules.retry_attempts
        case "suspend":
            assert context.rules.suspend
            assert decision.delay >= 24
        case "refresh":
            assert context.can_refresh
            assert not context.refreshed
        case "ask":
            assert context.api_status is None
    assert decision.delay == 0 or decision.action in ("reconnect", "suspend")


@given(HAPPENINGS, CONTEXTS, st.integers(0, 4), st.integers(1, 5))
def test_never_a_storm(what: Happening, context: Context, attempts: int, step: int) -> None:
    """Without a stable connection before it, a retry that is not about the token waits at least half a second."""
    context = msgspec.structs.replace(context, rules=RULES, stable=False, attempts=attempts, step=step)
    decision = classify(what, context)
    assert decision.action != "reconnect" or decision.delay >= 0.5


@given(HAPPENINGS, CONTEXTS)
def test_a_second_refresh_never_comes(what: Happening, context: Context) -> None:
    """After one refresh, and after the API was asked, nothing goes round in circles at once."""
    context = msgspec.structs.replace(context, refreshed=True, api_status=context.api_status or 0)
    assert classify(what, context).action not in ("refresh", "ask")


def test_textbook_knows_one_answer() -> None:
    """All failures but a goodbye take the backoff, whatever ``Retry-After`` says."""
    rules = preset("textbook", RULES)
    context = Context(rules=rules, step=rules.retry_first, stable=True, draw=0.5)
    for what in (received(1001), received(1013), received(4999), Signal.NO_CLOSE_FRAME, refused(503, 99.0), 403, 404):
        assert (classify(what, context).action, classify(what, context).delay) == ("reconnect", 0.5)
    assert classify(received(1000), context).action == "fail"
    assert row_of(Loss(code=1000, by_us=True), TEXTBOOK).action == "stop"
