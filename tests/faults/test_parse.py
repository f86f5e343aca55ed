"""``ID:key=value,…`` is read exactly, and refused with a way out."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.errors import InvalidInput
from chatkit.faults import CATALOGUE, make_fault, parse_fault, parse_faults
from chatkit.faults.kinds import Parameter

CONNECTION_LIMIT = {"limit": 3, "scope": "all", "when": "after", "status": "429", "code": 4008, "reason": "stated"}


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("early-ping-abort", {"window": 3.0, "delay": 0.2, "how": "rst", "ping": "both"}),
        ("early-ping-abort:window=5", {"window": 5.0, "delay": 0.2, "how": "rst", "ping": "both"}),
        ("early-ping-abort:how=fin,delay=0", {"window": 3.0, "delay": 0.0, "how": "fin", "ping": "both"}),
        ("idle-timeout:timeout=60", {"timeout": 60.0, "counts": "any", "how": "fin", "code": 1001, "reason": "stated"}),
        (
            "idle-timeout:timeout=1.50,counts=app-ping,how=close",
            {"timeout": 1.5, "counts": "app-ping", "how": "close", "code": 1001, "reason": "stated"},
        ),
        ("server-crash:after=2", {"after": 2.0, "gap": 3.0}),
        ("auth-rejected:when=after", {"when": "after", "status": "403", "code": 4001, "reason": "stated"}),
        ("lost-reply:share=0.25", {"share": 0.25}),
        ("big-frame", {"size": 16_777_216, "after": 1.0}),
        ("server-error:on=session_sync", {"on": "session_sync", "how": "close", "code": 1011, "reason": "stated"}),
        ("stuck-typing", {}),
        ("black-hole:after=2", {"after": 2.0, "duration": 0.0}),
        ("stall:after=1,duration=0.5", {"after": 1.0, "duration": 0.5, "period": 0.0}),
        ("accept-then-close:code=4000", {"code": 4000, "share": 1.0, "reason": "stated"}),
        ("error-on-text:text=poison", {"text": "poison", "code": 1011, "reason": "stated"}),
        ("clock-skew:skew=-90", {"skew": -90.0, "leeway": 0.0}),
        ("connection-limit:limit=3,when=after,code=4008", CONNECTION_LIMIT),
        ("overload:status=429,retry_after=1e12", {"status": "429", "retry_after": 1e12, "share": 1.0}),
    ],
)
def test_reading(text: str, parameters: dict[str, object]) -> None:
    """Defaults are filled in, the spelling is kept."""
    fault = parse_fault(text)
    assert dict(fault.parameters) == parameters
    assert str(fault) == text


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("early-ping-abrot", ["no fault", "did you mean 'early-ping-abort'", "--list-faults"]),
        ("", ["no fault"]),
        ("idle-timeout", ["needs the key 'timeout'", "seconds"]),
        ("idle-timeout:timout=3", ["has no key 'timout'", "did you mean 'timeout'"]),
        ("idle-timeout:timeout=soon", ["'soon' cannot be", "a number of seconds"]),
        ("idle-timeout:timeout=-1", ["'-1' cannot be"]),
        ("idle-timeout:timeout=nan", ["'nan' cannot be"]),
        ("idle-timeout:timeout=inf", ["'inf' cannot be"]),
        ("idle-timeout:timeout=1,timeout=2", ["given twice"]),
        ("idle-timeout:timeout=1,counts=inbund", ["did you mean 'inbound'", "any or inbound or outbound"]),
        ("idle-timeout:", ["ends after the colon"]),
        ("idle-timeout:timeout", ["is no parameter", "key=value"]),
        ("stuck-typing:share=1", ["has no key 'share'", "no parameters"]),
        ("lost-reply:share=1.5", ["from 0 to 1"]),
        ("big-frame:size=1e6", ["a whole number of bytes"]),
        ("server-error:on=a b", ["a word of letters"]),
        ("black-hole", ["needs the key 'after'"]),
        ("stall:after=1", ["needs the key 'duration'"]),
        ("error-on-text", ["needs the key 'text'"]),
        ("accept-then-close:code=1006", ["a close code: 1000 to 1003, 1007 to 1014 or 3000 to 4999"]),
        ("accept-then-close:code=1011.0", ["a close code"]),
        ("overload:status=500", ["503 or 429"]),
        ("connection-limit:limit=0", ["from 1 to 1e+06"]),
        ("clock-skew", ["needs the key 'skew'", "from -1e+08 to 1e+08"]),
        ("bot-access-denied", ["needs the key 'bot'"]),
        ("overload:retry_after=1e13", ["from 0 to 1e+12"]),
    ],
)
def test_refusing(text: str, fragments: list[str]) -> None:
    """The message names what, where and the remedy."""
    with pytest.raises(InvalidInput) as refused:
        parse_fault(text)
    message = str(refused.value)
    assert all(fragment in message for fragment in [*fragments, "Expected:", "Try:"]), message


def test_equal_faults_are_equal_however_spelled() -> None:
    """What they do counts, not how they were written."""
    one, other = parse_fault("idle-timeout:timeout=60"), parse_fault("idle-timeout:how=fin,timeout=60.0")
    assert one == other
    assert hash(one) == hash(other)
    assert one != parse_fault("idle-timeout:timeout=61")


def test_parse_faults_lets_faults_pass() -> None:
    """Texts and values mix."""
    fault = make_fault("idle-timeout", timeout=0.25)
    assert parse_faults([fault, "stuck-typing"]) == (fault, parse_fault("stuck-typing"))


def _values(parameter: Parameter) -> st.SearchStrategy[object]:
    if parameter.allowed:
        return st.sampled_from(parameter.allowed)
    if parameter.type == "text":
        return st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True)
    if parameter.type == "code":
        return st.sampled_from([1000, 1003, 1007, 1014, 3000, 4999])
    if parameter.type == "int":
        return st.integers(int(parameter.minimum), int(parameter.maximum))
    return st.floats(parameter.minimum, parameter.maximum)


@st.composite
def faults(draw: st.DrawFn):
    """Any fault of the catalogue with any permitted parameters."""
    kind = draw(st.sampled_from(list(CATALOGUE.values())))
    chosen = [p for p in kind.parameters if p.default is None or draw(st.booleans())]
    return make_fault(kind.id, **{p.name: draw(_values(p)) for p in draw(st.permutations(chosen))})


@given(faults())
def test_round_trip(fault) -> None:
    """``parse(str(fault))`` is the same fault with the same text."""
    again = parse_fault(str(fault))
    assert again == fault
    assert str(again) == str(fault)
    assert again.kind.id == fault.id


@given(st.text(max_size=60) | st.from_regex(r"[a-z-]{1,20}(:[a-z]+=[0-9a-z.,=]*)?", fullmatch=True))
def test_any_text_is_a_fault_or_an_invalid_input(text: str) -> None:
    """Two outcomes, no third."""
    with contextlib.suppress(InvalidInput):
        assert str(parse_fault(text)) == text.strip()
