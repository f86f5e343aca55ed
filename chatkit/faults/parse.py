"""``ID:key=value,…`` ↔ :class:`Fault`: the words of ``--fault`` as a checked, frozen value."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from chatkit.errors import InvalidInput
from chatkit.faults.catalogue import CATALOGUE
from chatkit.faults.kinds import FaultKind, Parameter, Value

_WORD = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault with all its parameters; equal when they do the same, however they were spelled."""

    id: str
    """An id of the catalogue."""
    parameters: Mapping[str, Value]
    """Every key of the catalogue entry, defaults filled in; durations in seconds."""
    spelled: str = field(compare=False)
    """The text it was written as; ``str()`` gives it back."""

    def __str__(self) -> str:
        return self.spelled

    def __repr__(self) -> str:
        return f"Fault({self.spelled!r})"

    def __hash__(self) -> int:
        return hash((self.id, *self.parameters.items()))

    @property
    def kind(self) -> FaultKind:
        """The catalogue entry."""
        return CATALOGUE[self.id]

    def seconds(self, name: str) -> float:
        """A number parameter, as float."""
        return float(self.parameters[name])

    def whole(self, name: str) -> int:
        """A whole-number parameter."""
        return int(self.parameters[name])

    def word(self, name: str) -> str:
        """A text parameter."""
        return str(self.parameters[name])


def parse_fault(text: str) -> Fault:
    """Reads one fault.

    Raises:
        InvalidInput: unknown id or key, a key twice, a required key missing, a value out of range.
    """
    spelled = text.strip()
    name, colon, rest = spelled.partition(":")
    kind = _kind(name, spelled)
    if colon and not rest:
        raise _invalid("a fault ends after the colon", spelled, kind, expected="key=value after the colon")
    given: dict[str, str] = {}
    for pair in rest.split(",") if rest else ():
        key, equals, value = pair.partition("=")
        if not equals:
            raise _invalid(f"{pair!r} is no parameter", spelled, kind, expected="key=value", got=pair)
        if key in given:
            raise _invalid(f"the key {key!r} is given twice", spelled, kind, expected="every key once", got=pair)
        given[key] = value
    return _build(kind, given, spelled)


def parse_faults(faults: Iterable[str | Fault]) -> tuple[Fault, ...]:
    """Reads several; a :class:`Fault` passes through."""
    return tuple(fault if isinstance(fault, Fault) else parse_fault(fault) for fault in faults)


def make_fault(id: str, /, **parameters: Value) -> Fault:
    """The same from Python values: ``make_fault("idle-timeout", timeout=60)``.

    Raises:
        InvalidInput: as :func:`parse_fault`.
    """
    words = {key: _spell(value) for key, value in parameters.items()}
    pairs = ",".join(f"{key}={word}" for key, word in words.items())
    return parse_fault(f"{id}:{pairs}" if pairs else id)


def _spell(value: Value) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _kind(name: str, spelled: str) -> FaultKind:
    if name in CATALOGUE:
        return CATALOGUE[name]
    raise InvalidInput(
        f"there is no fault {name!r}",
        expected="an id of the catalogue, then :key=value,…",
        got=spelled,
        where="fault",
        remedy=_hint(name, CATALOGUE) + "chatkit lab --list-faults shows all",
    )


def _build(kind: FaultKind, given: Mapping[str, str], spelled: str) -> Fault:
    known = {parameter.name: parameter for parameter in kind.parameters}
    for key in given:
        if key not in known:
            expected = " or ".join(known) if known else "no parameters"
            raise _invalid(
                f"{kind.id} has no key {key!r}",
                spelled,
                kind,
                expected=expected,
                got=key,
                hint=_hint(key, known),
            )
    values: dict[str, Value] = {}
    for parameter in kind.parameters:
        if parameter.name in given:
            values[parameter.name] = _value(parameter, given[parameter.name], kind, spelled)
        elif parameter.default is None:
            expected = f"{parameter.name}= with {parameter.expectation()}"
            raise _invalid(f"{kind.id} needs the key {parameter.name!r}", spelled, kind, expected=expected)
        else:
            values[parameter.name] = parameter.default
    return Fault(id=kind.id, parameters=MappingProxyType(values), spelled=spelled)


def _value(parameter: Parameter, text: str, kind: FaultKind, spelled: str) -> Value:
    value = _word(parameter, text) if parameter.type == "text" else _number(parameter, text)
    if value is not None:
        return value
    raise _invalid(
        f"{text!r} cannot be the {parameter.name} of {kind.id}",
        spelled,
        kind,
        expected=parameter.expectation(),
        got=text,
        hint=_hint(text, parameter.allowed),
    )


def _word(parameter: Parameter, text: str) -> str | None:
    if parameter.allowed:
        return text if text in parameter.allowed else None
    return text if _WORD.fullmatch(text) else None


def _number(parameter: Parameter, text: str) -> float | int | None:
    try:
        number = float(text) if parameter.type == "float" else int(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and parameter.permits(number) else None


def _hint(word: str, known: Iterable[str]) -> str:
    known = list(known)
    begun = [one for one in known if len(word) > 2 and one.startswith(word)]
    close = difflib.get_close_matches(word, known, n=1) or begun
    return f"did you mean {close[0]!r}? " if close else ""


def _invalid(
    what: str, spelled: str, kind: FaultKind, *, expected: str, got: str | None = None, hint: str = ""
) -> InvalidInput:
    remedy = f"{hint}write {kind.signature()}"
    return InvalidInput(what, expected=expected, got=got or spelled, where=f"fault {spelled!r}", remedy=remedy)
