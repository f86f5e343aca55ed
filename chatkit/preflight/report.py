"""What a pre-flight check found, as values that show themselves: text, HTML, JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from chatkit import display

SCHEMA = "chatkit.check/1"

CheckStatus = Literal["pass", "warning", "fail", "not-tried"]

TITLES: Mapping[str, str] = {
    "url": "URL",
    "dns": "DNS",
    "tcp": "TCP",
    "tls": "TLS",
    "health-get": "Health by GET",
    "health-head": "Health by HEAD",
    "login": "Login",
    "token": "Token",
    "bot": "Bot",
    "upgrade": "Upgrade",
    "established": "Established",
    "ping-application": "Application ping",
    "ping-protocol": "RFC 6455 ping",
    "close": "Close",
}
"""Every line's id and what people read, in the order in which lines are shown."""

_WIDE = max(map(len, TITLES.values()))
# The event colours of the project's looks; a theme's own text colour would say nothing here.
_STATUSES = ("pass", "warning", "fail", "not-tried")


class Check(Struct, frozen=True, kw_only=True):
    """One line of the check. No text in it holds a secret or a control character."""

    id: str
    title: str
    status: CheckStatus
    summary: str
    """What came, with its figure."""
    remedy: str | None = None
    """What to try; ``None`` where nothing is wrong."""
    details: dict[str, Any] = field(default_factory=dict)
    """Figures for machines; seconds where a name ends in ``_s``."""
    seconds: float = 0.0
    """How long the step took."""

    def to_dict(self) -> dict[str, Any]:
        """The line as ``chatkit check --json`` has it."""
        return {
            "id": self.id,
            "status": self.status,
            "summary": self.summary,
            "remedy": self.remedy,
            "details": self.details | {"seconds": round(self.seconds, 6)},
        }

    def __str__(self) -> str:
        line = f"{self.status:<9}  {self.title:<{_WIDE}}  {self.summary}"
        return line + (f"\n{'':<{_WIDE + 13}}try: {self.advice}" if self.advice else "")

    @property
    def advice(self) -> str | None:
        """The remedy where it is worth a line of its own: what was not tried waits for another line's."""
        return None if self.status == "not-tried" else self.remedy


class CheckReport(Struct, frozen=True, kw_only=True):
    """A whole check."""

    target: str
    """The URL, redacted."""
    elapsed_s: float
    checks: tuple[Check, ...]
    """In the order of :data:`TITLES`."""

    @property
    def ok(self) -> bool:
        """Whether no line failed; warnings are no failures."""
        return all(check.status != "fail" for check in self.checks)

    def __getitem__(self, id: str) -> Check:
        """The line with this id; raises ``KeyError`` where it was not part of the check."""
        for check in self.checks:
            if check.id == id:
                return check
        raise KeyError(id)

    @property
    def conclusion(self) -> str:
        """The count of each status and the time, one line."""
        counted = [(sum(check.status == status for check in self.checks), status) for status in _STATUSES]
        words = {"pass": "passed", "warning": "warned", "fail": "failed", "not-tried": "not tried"}
        return ", ".join(f"{n} {words[status]}" for n, status in counted if n) + f" in {self.elapsed_s:.2f} s"

    def to_dict(self) -> dict[str, Any]:
        """The document of ``chatkit check --json``."""
        return {
            "schema": SCHEMA,
            "target": self.target,
            "elapsed_s": round(self.elapsed_s, 6),
            "checks": [check.to_dict() for check in self.checks],
        }

    def __str__(self) -> str:
        return "\n".join([f"check of {self.target}", *map(str, self.checks), self.conclusion])

    __repr__ = __str__

    def _repr_html_(self) -> str | None:
        advice = [f"; try: {one.advice}" if one.advice else "" for one in self.checks]
        facts = [(one.title, one.summary + more, one.status) for one, more in zip(self.checks, advice, strict=True)]
        return display.glance("check", f"{self.target}\n{self.conclusion}", facts, "ok" if self.ok else "bad")
