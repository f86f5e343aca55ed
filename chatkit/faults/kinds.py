"""What an entry of the catalogue is: a fault with its parameters, and the kinds of parameters that many share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Value = float | int | str

_SENDABLE = ((1000, 1003), (1007, 1014), (3000, 4999))
"""RFC 6455, section 7.4, and the registry: 1005, 1006 and 1015 never stand in a frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One key of a fault."""

    name: str
    """The word before ``=``."""
    type: Literal["float", "int", "text", "code"]
    """How the text after ``=`` is read; ``code`` is a whole number that a close frame may carry."""
    default: Value | None = None
    """The value when the key is absent; ``None`` means the key is required."""
    unit: str = ""
    """``s`` for seconds, ``bytes``, or empty."""
    allowed: tuple[str, ...] = ()
    """The only permitted words; empty means any word of letters, digits, ``_``, ``.`` and ``-``."""
    minimum: float = 0.0
    """Smallest permitted number, inclusive."""
    maximum: float = 1e9
    """Largest permitted number, inclusive."""
    doc: str
    """What it does, one line."""

    def expectation(self) -> str:
        """What a value must look like, for error messages and tables."""
        if self.allowed:
            return " or ".join(self.allowed)
        if self.type == "text":
            return "a word of letters, digits, '_', '.' and '-'"
        if self.type == "code":
            return "a close code: 1000 to 1003, 1007 to 1014 or 3000 to 4999"
        noun = "a number" if self.type == "float" else "a whole number"
        unit = f" of {'seconds' if self.unit == 's' else self.unit}" if self.unit else ""
        return f"{noun}{unit} from {self.minimum:g} to {self.maximum:g}"

    def permits(self, number: float) -> bool:
        """Whether a number is one of those that :meth:`expectation` describes."""
        if self.type == "code":
            return any(first <= number <= last for first, last in _SENDABLE)
        return self.minimum <= number <= self.maximum


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One entry of the catalogue."""

    id: str
    """The word before ``:``."""
    summary: str
    """One line: what goes wrong."""
    cause: str
    """The cause id that a diagnosis should name."""
    parameters: tuple[Parameter, ...] = ()
    """Its keys, in the order in which they are documented."""
    acts: Literal["server", "path"] = "server"
    """Where: in the backend, or in a hop in front of it."""

    def signature(self) -> str:
        """The fault as one would type it, optional keys in brackets."""
        required = [f"{p.name}={_placeholder(p)}" for p in self.parameters if p.default is None]
        optional = [f"{p.name}={_placeholder(p)}" for p in self.parameters if p.default is not None]
        if not self.parameters:
            return self.id
        if not required:
            return f"{self.id}[:{','.join(optional)}]"
        return f"{self.id}:{','.join(required)}" + (f"[,{','.join(optional)}]" if optional else "")

    def as_json(self) -> dict[str, Any]:
        """The entry for ``chatkit lab --list-faults --json``."""
        keys = ("name", "type", "default", "unit", "allowed", "doc")
        return {
            "id": self.id,
            "summary": self.summary,
            "cause": self.cause,
            "acts": self.acts,
            "signature": self.signature(),
            "parameters": [
                {key: getattr(p, key) for key in keys} | {"required": p.default is None} for p in self.parameters
            ],
        }


def _placeholder(parameter: Parameter) -> str:
    if parameter.allowed:
        return "|".join(parameter.allowed)
    return {"s": "S", "bytes": "BYTES"}.get(parameter.unit, parameter.name.upper())


def seconds(name: str, doc: str, default: float | None = None) -> Parameter:
    """A duration; required without a default."""
    return Parameter(name=name, type="float", default=default, unit="s", doc=doc)


def share(doc: str) -> Parameter:
    """A part of one, all by default."""
    return Parameter(name="share", type="float", default=1.0, maximum=1.0, doc=f"{doc}, decided by the seed")


def close_code(doc: str, default: int = 1011) -> Parameter:
    """The code of a close frame."""
    return Parameter(name="code", type="code", default=default, doc=doc)


def reason() -> Parameter:
    """Whether a close frame says why; many servers' do not."""
    return choice("reason", "whether the close frame says why", "stated", "none")


def choice(name: str, doc: str, *allowed: str) -> Parameter:
    """One of some words, the first by default."""
    return Parameter(name=name, type="text", default=allowed[0], allowed=allowed, doc=doc)
