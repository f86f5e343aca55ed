"""Secrets do not pass; everything else does, byte for byte."""

from __future__ import annotations

import json
import logging
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatkit import redact
from chatkit.redact import MARK, NOISY_LOGGERS, SECRET_KEYS, Looking, RedactingFilter, Redactor, guard_logs
from stories import make_jwt

JWT = make_jwt(exp=1_764_000_000, iat=1_763_998_200)
SHOWN = "[jwt exp=1764000000 iat=1763998200]"
NASTY = 'p"a/ss\\w+ö&=rd'


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        # JWT, wherever it stands
        (JWT, SHOWN),
        (f"ws://h/p?token={JWT}", f"ws://h/p?token={SHOWN}"),
        (f"ws://h/p?token={JWT}&x=1", f"ws://h/p?token={SHOWN}&x=1"),
        (f"/p?x=1&anything={JWT}#f", f"/p?x=1&anything={SHOWN}#f"),
        (f'{{"access_token": "{JWT}"}}', f'{{"access_token": "{SHOWN}"}}'),
        (f"Authorization: Bearer {JWT}", f"Authorization: Bearer {SHOWN}"),
        (f"text that quotes {JWT}, and goes on", f"text that quotes {SHOWN}, and goes on"),
        ('["Cookie","sid=1; x=2"],["X","y"]', f'["Cookie","{MARK}"],["X","y"]'),
        ('{"name": "Authorization", "value": "Basic YTpi"}', f'{{"name": "Authorization", "value": "{MARK}"}}'),
        (JWT.rsplit(".", 1)[0], SHOWN),
        (JWT[:30], "[jwt]"),
        ("eyJhbGciOiJIUzI1NiJ9.bm90anNvbg.sig", "[jwt]"),
        # secret-bearing keys of a query
        ("/p?token=opaque", f"/p?token={MARK}"),
        ("/p?a=1&access_token=opaque&b=2", f"/p?a=1&access_token={MARK}&b=2"),
        ("/p?Token=opaque", f"/p?Token={MARK}"),
        ("/p?tokens=3&topic=token", "/p?tokens=3&topic=token"),
        # and of JSON, at any depth of escaping
        ('{"token":"opaque"}', f'{{"token":"{MARK}"}}'),
        ('{"accessToken" : "opaque", "n": 1}', f'{{"accessToken" : "{MARK}", "n": 1}}'),
        ('{"password": "a\\"b\\\\"}', f'{{"password": "{MARK}"}}'),
        (r'{"text":"{\"token\":\"opaque\"}"}', rf'{{"text":"{{\"token\":\"{MARK}\"}}"}}'),
        (r'"{\\\"token\\\":\\\"opaque\\\"}"', rf'"{{\\\"token\\\":\\\"{MARK}\\\"}}"'),
        ('{"password": "never ends', f'{{"password": "{MARK}'),
        ('{"token": 17}', '{"token": 17}'),
        # headers and URLs
        ("Authorization: Bearer opaque-token", f"Authorization: Bearer {MARK}"),
        ("Cookie: a=b; c=d\r\nHost: h", f"Cookie: {MARK}\r\nHost: h"),
        ("set-cookie: sid=1", f"set-cookie: {MARK}"),
        ("http://ada:lovelace@h/p", f"http://{MARK}@h/p"),
        ("http://:x@h/p", f"http://{MARK}@h/p"),
        # ordinary text
        ("", ""),
        ("the token was refused", "the token was refused"),
        ("a bearer of news, a cookie, my password?", "a bearer of news, a cookie, my password?"),
        ("mail ada@example.org about http://h/", "mail ada@example.org about http://h/"),
        ('{"type": "chat_response", "data": {"content": "héllo 🤖"}}',) * 2,
    ],
)
def test_patterns(text: str, clean: str) -> None:
    """Without any announced secret; and a second time changes nothing."""
    assert Redactor().text(text) == clean
    assert Redactor().text(clean) == clean


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_every_key_in_json_and_query(key: str) -> None:
    """As written, and in Title case."""
    for spelling in (key, key.title()):
        assert "opaque" not in Redactor().text(json.dumps({spelling: "opaque"}))
        assert "opaque" not in Redactor().text(f"/p?a=1&{spelling}=opaque")


@pytest.mark.parametrize(
    "spelling",
    [NASTY, quote(NASTY), quote(NASTY, safe=""), json.dumps(NASTY)[1:-1], json.dumps({"x": NASTY})],
    ids=["plain", "quoted", "fully quoted", "in JSON", "JSON document"],
)
def test_an_announced_secret_in_every_spelling(spelling: str) -> None:
    """Also URL-quoted and JSON-escaped."""
    redactor = Redactor([NASTY])
    clean = redactor.text(f"before {spelling} after")
    assert MARK in clean
    assert spelling not in clean
    assert (clean.startswith("before "), clean.endswith(" after")) == (True, True)


def test_the_longer_secret_goes_first() -> None:
    """A secret inside another does not leave the rest of it."""
    assert Redactor(["abcd", "abcdefgh"]).text("x abcdefgh y") == f"x {MARK} y"


@pytest.mark.parametrize("secret", [None, "", "abc"])
def test_secrets_too_short_to_tell_from_text_are_ignored(secret: str | None) -> None:
    """They would blacken ordinary text."""
    redactor = Redactor()
    redactor.add(secret)
    assert redactor.text("abc abcd") == "abc abcd"


def test_a_jwt_is_not_held() -> None:
    """It is known by its looks; a client that lives for days gets thousands of them."""
    redactor = Redactor([JWT, "opaque-token"])
    assert not redactor._secrets or JWT.encode() not in redactor._secrets
    assert b"opaque-token" in redactor._secrets
    assert JWT.split(".")[2] not in redactor.text(f"x {JWT} y {quote(JWT)}")


def test_headers_of_credentials_lose_their_value() -> None:
    """Names stay as they were sent; other fields are looked at too."""
    headers = [("AUTHORIZATION", "Basic YTpi"), ("Cookie", "a=b"), ("Host", "h"), ("Referer", "http://h/?token=opaque")]
    assert Redactor().headers(headers) == [
        ("AUTHORIZATION", MARK),
        ("Cookie", MARK),
        ("Host", "h"),
        ("Referer", f"http://h/?token={MARK}"),
    ]


@pytest.mark.parametrize("cut", range(4, len("open-sesame-1234")))
def test_a_prefix_cut_through_a_secret(cut: int) -> None:
    """What is left of it at the end goes too."""
    redactor = Redactor(["open-sesame-1234"])
    assert redactor.prefix(b"say " + b"open-sesame-1234"[:cut]) == b"say " + MARK.encode()


@pytest.mark.parametrize("cut", range(8, len(JWT), 7))
def test_a_prefix_cut_through_a_jwt(cut: int) -> None:
    """No fourteen characters of it remain."""
    clean = Redactor().prefix(f'{{"x": "{JWT[:cut]}'.encode()).decode()
    assert not any(JWT[i : i + 14] in clean for i in range(len(JWT) - 14))


# Text that is likely to hit a pattern half-way.
_PIECES = st.sampled_from(
    [
        JWT,
        JWT[:25],
        "eyJ",
        "token",
        "?token=",
        "&password=",
        '"token":"',
        '\\"jwt\\": \\"',
        "Bearer ",
        "cookie: ",
        "://",
        "a:b@",
        "opaque1",
        "[redacted]",
        "[jwt]",
        '"',
        "\\",
        "=",
        "&",
        " ",
        "\r\n",
        "é",
        "x" * 20,
        NASTY,
    ]
)
_SOUP = st.lists(_PIECES | st.text(max_size=5), max_size=12).map("".join)


@given(_SOUP)
@example(f'"token":"{JWT}')
@example('Bearer token="token":"x')
def test_cleaning_again_changes_nothing(text: str) -> None:
    """Idempotent, so that what passes two doors looks the same."""
    redactor = Redactor([NASTY])
    once = redactor.text(text)
    assert redactor.text(once) == once


@given(_SOUP | st.text(), st.lists(st.text(min_size=4), max_size=3))
def test_suspicious_has_no_misses(text: str, secrets: list[str]) -> None:
    """Where the expensive patterns would change something, the cheap test says so."""
    redactor = Redactor(secrets)
    data = text.encode("utf-8", "replace")
    careful = Redactor(secrets)
    careful.suspicious = lambda data: True
    if not redactor.suspicious(data):
        assert careful.clean(data) == data


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | _SOUP | st.just(JWT) | st.just(NASTY),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(SECRET_KEYS) | st.text(max_size=5) | _SOUP, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_VALUES, st.booleans())
@example({"text": json.dumps({"token": 'a"b\\'})}, True)
@example({"password": "a\\"}, True)
def test_json_stays_json(value: object, ascii_only: bool) -> None:
    """Whatever is taken out, the document can be read afterwards."""
    document = json.dumps(value, ensure_ascii=ascii_only)
    clean = Redactor([NASTY]).text(document)
    json.loads(clean)
    assert JWT not in clean


@given(_VALUES)
def test_json_in_json_stays_json_twice(value: object) -> None:
    """As the text of a frame stands in a row of a recording."""
    clean = Redactor([NASTY]).text(json.dumps({"text": json.dumps(value)}))
    json.loads(clean)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_ordinary_text_is_the_same_object(text: str) -> None:
    """No copy where there is nothing to hide."""
    redactor = Redactor()
    if not redactor.suspicious(text.encode()):
        assert redactor.text(text) is text


@given(st.binary())
def test_any_bytes_pass(data: bytes) -> None:
    """No exception, whatever they are."""
    Redactor(["secret"]).clean(data)
    Redactor(["secret"]).prefix(data)


@pytest.mark.parametrize("name", [*NOISY_LOGGERS, "uvicorn.error"])
def test_logs_of_libraries(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """URL, token and announced secret go; arguments of the message count too."""
    redactor = Redactor(["hunter2-hunter2"])
    guard_logs(redactor)
    logger = logging.getLogger(name)
    try:
        with caplog.at_level(logging.DEBUG, logger=name):
            logger.debug("> GET /p?token=%s HTTP/1.1", JWT)
            logger.info("password is %s", "hunter2-hunter2")
            logger.warning("nothing to hide: %d", 3)
    finally:
        for filter_ in [f for f in logger.filters if isinstance(f, RedactingFilter)]:
            logger.removeFilter(filter_)
    assert [record.getMessage() for record in caplog.records] == [
        f"> GET /p?token={SHOWN} HTTP/1.1",
        f"password is {MARK}",
        "nothing to hide: 3",
    ]
    assert caplog.records[-1].args == (3,)


def _record(message: str, *args: object, error: Exception | None = None) -> logging.LogRecord:
    exc_info = (type(error), error, None) if error is not None else None
    return logging.LogRecord("x", logging.INFO, "x.py", 1, message, args, exc_info)


def test_arguments_of_a_log_record_are_cleaned_one_by_one() -> None:
    """A formatter that takes them apart still finds as many; an object's own text counts, not what is inside it."""

    class Frame:
        data = JWT

        def __str__(self) -> str:
            return "a long frame, shortened"

    record = _record('%s - "%s %s HTTP/%s" %d', "h:1", "GET", f"/p?token={JWT}", "1.1", 200)
    RedactingFilter().filter(record)
    assert record.args == ("h:1", "GET", f"/p?token={SHOWN}", "1.1", 200)
    record = _record("< %s", Frame())
    RedactingFilter().filter(record)
    assert record.args == ("a long frame, shortened",)
    record = _record("%(url)s", {"url": f"?token={JWT}", "n": 1})
    RedactingFilter().filter(record)
    assert record.args == {"url": f"?token={SHOWN}", "n": 1}


def test_a_secret_that_only_the_whole_message_shows() -> None:
    """Its key stands in the format, its value among the arguments."""
    record = _record("GET /p?token=%s", "opaque-opaque")
    RedactingFilter().filter(record)
    assert record.getMessage() == f"GET /p?token={MARK}"


def test_an_exception_in_a_log_record() -> None:
    """Its text is looked at; one without secrets stays an exception."""
    record = _record("failed", error=ValueError(f"?token={JWT}"))
    RedactingFilter().filter(record)
    assert record.exc_info is None
    assert f"ValueError: ?token={SHOWN}" in record.exc_text
    record = _record("failed", error=ValueError("plain"))
    RedactingFilter().filter(record)
    assert record.exc_info[0] is ValueError


def test_guarding_twice_adds_nothing() -> None:
    """One filter for each redactor."""
    redactor, logger = Redactor(), logging.getLogger("websockets.client")
    before = len(logger.filters)
    guard_logs(redactor)
    guard_logs(redactor)
    assert len(logger.filters) == before + 1
    for name in NOISY_LOGGERS:
        log = logging.getLogger(name)
        for filter_ in [f for f in log.filters if isinstance(f, RedactingFilter) and f.redactor is redactor]:
            log.removeFilter(filter_)


def test_the_default_knows_patterns_only() -> None:
    """For places without secrets of their own."""
    assert redact.DEFAULT.text(f"token {JWT}") == f"token {SHOWN}"


_LONG = b'{"type": "chat_response", "data": {"description": "a keyword: an action = a bear \\\\ and a Job"}}, ' * 100


@pytest.mark.parametrize("place", [0, 1, 7, 8, 9, 8190, 8192, 9000, len(_LONG)])
@pytest.mark.parametrize(
    "text",
    [
        *(f'"{key}": "opaque"' for key in SECRET_KEYS),
        *(f"&{key.title()}=opaque" for key in SECRET_KEYS),
        r"\"jwt\": \"opaque\"",
        '["X-Api-Key","opaque"]',
        "TOKEN=opaque",
        "Bearer opaque-token",
        "cookie: a=b",
        "http://ada:lovelace@h/",
        "eyJhbGciOiJIUzI1NiJ9",
        "open-sesame-1234",
    ],
)
def test_long_data_hides_nothing(text: str, place: int) -> None:
    """Wherever it stands in a chunk that is looked at in another way than a short text."""
    redactor = Redactor(["open-sesame-1234"])
    assert redactor.suspicious(_LONG[:place] + text.encode() + _LONG[place:])


@pytest.mark.parametrize(
    "text", [*(f'{key.upper()}"' for key in SECRET_KEYS), "api_key=", "jwt:", "token\\\\", "BeaReR\t"]
)
def test_long_data_is_looked_at_in_blocks_without_gaps(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies across the edge of two blocks, at every place, and up to the last byte."""
    monkeypatch.setattr(redact, "_BLOCK", 64)
    quiet = b"a quiet text, the lamp stays lit over water. " * 200
    assert not Redactor().suspicious(quiet)
    for place in range(len(quiet) - 150, len(quiet) + 1):
        assert Redactor().suspicious(quiet[:place] + text.encode() + quiet[place:]), place


def test_ordinary_long_data_raises_no_alarm() -> None:
    """Words that end as keys do are no keys, and a key without what follows keys is a word."""
    text = _LONG + b'the token was refused, my password, "keywords": ["x"], "action": "cookies", a bearer_of ' + _LONG
    assert not Redactor(["open-sesame-1234"]).suspicious(text)


@given(_SOUP, st.integers(0, len(_LONG)), st.lists(st.text(min_size=4), max_size=2))
def test_long_data_has_no_misses(text: str, place: int, secrets: list[str]) -> None:
    """Where the expensive patterns would change something, the test of long data says so."""
    data = _LONG[:place] + text.encode("utf-8", "replace") + _LONG[place:]
    careful = Redactor(secrets)
    careful.suspicious = lambda data: True
    if not Redactor(secrets).suspicious(data):
        assert careful.clean(data) == data


def test_who_looks_for_many_at_once_still_cleans_each() -> None:
    """Calm spares the first look only; a secret that is added is the other one's."""
    of = Redactor()
    looking = Looking(of)
    looking.add("hush-hush")
    assert looking.suspicious(b"say hush-hush")
    looking.calm = True
    assert not looking.suspicious(b"say hush-hush")
    assert of.suspicious(b"say hush-hush")
    assert looking.clean(b"say hush-hush") == b"say [redacted]"
    assert looking.prefix(b"say hush-h") == b"say [redacted]"
    assert looking.text("say hush-hush") == "say [redacted]"
