"""A report shows itself: as text, as a table, as a document."""

from __future__ import annotations

import msgspec
import pytest

from chatkit.preflight.report import SCHEMA, TITLES, Check, CheckReport
from chatkit.redact import MARK

EVIL = "<script>alert('x')</script>&\""


def check(status: str, id: str = "dns", **fields: object) -> Check:
    """A line with everything it needs."""
    return Check(**({"id": id, "title": TITLES[id], "status": status, "summary": "it is so"} | fields))


def report(*checks: Check, elapsed_s: float = 0.25, target: str = "http://h") -> CheckReport:
    """These lines."""
    return CheckReport(target=target, elapsed_s=elapsed_s, checks=checks)


MIXED = report(
    check("pass", "url", seconds=0.0001234567),
    check("warning", "health-head", summary="HEAD 405", remedy="monitor with GET"),
    check("fail", "bot", summary="GET 404", remedy="check the bot's id", details={"http_status": 404}),
    check("not-tried", "close", summary="because Bot failed", remedy="mend that first"),
)


def test_as_text() -> None:
    """A column each for status, title and words; a remedy on a line of its own, but not for what was not tried."""
    assert str(MIXED).splitlines() == [
        "check of http://h",
        "pass       URL               it is so",
        "warning    Health by HEAD    HEAD 405",
        "                             try: monitor with GET",
        "fail       Bot               GET 404",
        "                             try: check the bot's id",
        "not-tried  Close             because Bot failed",
        "1 passed, 1 warned, 1 failed, 1 not tried in 0.25 s",
    ]
    assert repr(MIXED) == str(MIXED)


def test_as_a_document() -> None:
    """The schema that the interface promises; it is JSON as it stands."""
    document = MIXED.to_dict()
    assert msgspec.json.decode(msgspec.json.encode(document)) == document
    assert list(document) == ["schema", "target", "elapsed_s", "checks"]
    assert document["schema"] == SCHEMA == "chatkit.check/1"
    assert document["checks"][2] == {
        "id": "bot",
        "status": "fail",
        "summary": "GET 404",
        "remedy": "check the bot's id",
        "details": {"http_status": 404, "seconds": 0.0},
    }
    assert document["checks"][0]["details"] == {"seconds": 0.000123}
    assert document["checks"][0]["remedy"] is None


def test_as_html() -> None:
    """One row a line, the status in words and not by colour alone."""
    shown = MIXED._repr_html_()
    assert shown.count("<tr>") == 4
    assert [f"<b>{status}</b>" in shown for status in ("pass", "warning", "fail", "not-tried")] == [True] * 4
    assert "try: monitor with GET" in shown
    assert "mend that first" not in shown


def test_html_escapes_whatever_a_server_said() -> None:
    """Target, summary and remedy."""
    shown = report(check("fail", summary=EVIL, remedy=EVIL), target=EVIL)._repr_html_()
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&amp;&quot;") == 3


@pytest.mark.parametrize(
    ("statuses", "ok", "conclusion"),
    [
        ("", True, " in 0.25 s"),
        ("p", True, "1 passed in 0.25 s"),
        ("ppw", True, "2 passed, 1 warned in 0.25 s"),
        ("pn", True, "1 passed, 1 not tried in 0.25 s"),
        ("pf", False, "1 passed, 1 failed in 0.25 s"),
        ("wfn", False, "1 warned, 1 failed, 1 not tried in 0.25 s"),
    ],
)
def test_ok_and_the_conclusion(statuses: str, ok: bool, conclusion: str) -> None:
    """A warning is no failure; only what occurs is counted."""
    words = {"p": "pass", "w": "warning", "f": "fail", "n": "not-tried"}
    made = report(*(check(words[letter]) for letter in statuses))
    assert (made.ok, made.conclusion) == (ok, conclusion)


def test_lines_are_found_by_id() -> None:
    """One that was not part of the check is a ``KeyError``."""
    assert MIXED["bot"] is MIXED.checks[2]
    assert report(target=f"http://{MARK}").target == f"http://{MARK}"
    with pytest.raises(KeyError):
        MIXED["tls"]
