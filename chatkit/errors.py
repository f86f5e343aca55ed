"""What can go wrong, as values: facts in attributes, one readable sentence in ``str()``.

    ChatkitError
      InvalidInput       (ValueError) an argument that cannot work: expected, got, where, remedy
      ProfileError       (ValueError) a profile file: file, line, key
      ImportFailed       a file that cannot be read as a trace: source, entry, field
      ConnectFailed      no connection came about: target, stage, status
      ConnectionEnded    a connection ended under a caller that needed it
      ConnectionLost     a message whose fate is unknown because the connection went away
      QueueFull          no more messages may wait: count, bytes, limit
      AuthError          a token or a login was refused: by whom, when it expired
      LabError           the embedded backend could not do what was asked
      MissingDependency  (ImportError) an optional part is not installed

In a notebook every one of them shows its sentence and no traceback: ``_render_traceback_`` is the hook that
IPython asks first (``InteractiveShell.showtraceback``).
"""

from __future__ import annotations


class ChatkitError(Exception):
    """Base of every error that chatkit raises for a foreseeable reason.

    Args:
        what: the sentence that says what went wrong, without a full stop.
        expected: what would have been right.
        got: what came instead; shown with ``repr`` shortened to 200 characters when it is not a string.
        where: the place: a file with line, a URL, an argument's name.
        remedy: what to do next.

    >>> import chatkit
    >>> try:
    ...     chatkit.load("nowhere.har")
    ... except chatkit.ChatkitError as error:
    ...     print(error)
    the file cannot be opened: No such file or directory (nowhere.har).
    Try: check the path.
    """

    def __init__(
        self,
        what: str,
        *,
        expected: str | None = None,
        got: object = None,
        where: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.got = got
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [self.what.rstrip(".") + (f" ({self.where})" if self.where else "") + "."]
        if self.expected is not None:
            lines.append(f"Expected: {self.expected}.")
        if self.got is not None:
            lines.append(f"Got: {_shorten(self.got)}.")
        if self.remedy is not None:
            lines.append(f"Try: {self.remedy.rstrip('.')}.")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class InvalidInput(ChatkitError, ValueError):
    """An argument that cannot work."""


class ProfileError(ChatkitError, ValueError):
    """A profile file that cannot be used; ``file``, ``line`` (from 1) and ``key`` say where."""

    def __init__(
        self,
        what: str,
        *,
        file: str | None = None,
        line: int | None = None,
        key: str | None = None,
        expected: str | None = None,
        got: object = None,
        remedy: str | None = None,
    ) -> None:
        parts = [file or "profile", f"line {line}" if line else None, f"key {key}" if key else None]
        where = ", ".join(part for part in parts if part)
        super().__init__(what, expected=expected, got=got, where=where, remedy=remedy)
        self.file, self.line, self.key = file, line, key


class ImportFailed(ChatkitError):
    """A file that cannot be read as a trace; ``source`` names it, ``entry`` its line or record (from 1)."""

    def __init__(
        self,
        what: str,
        *,
        source: str,
        entry: int | None = None,
        field: str | None = None,
        expected: str | None = None,
        got: object = None,
        remedy: str | None = None,
    ) -> None:
        parts = [source, f"line {entry}" if entry else None, f"field {field}" if field else None]
        where = ", ".join(part for part in parts if part)
        super().__init__(what, expected=expected, got=got, where=where, remedy=remedy)
        self.source, self.entry, self.field = source, entry, field


class ConnectFailed(ChatkitError):
    """No connection came about.

    Attributes:
        target: the URL, redacted.
        stage: ``dns``, ``tcp``, ``tls``, ``upgrade`` or ``established``: the first step that failed.
        status: the HTTP status that answered the upgrade, if one did.
        retry_after: seconds that the answer asked to wait, if it did.
        names: names of the class of the library's exception and of its bases, where one was the reason.
    """

    def __init__(
        self,
        what: str,
        *,
        target: str,
        stage: str,
        status: int | None = None,
        retry_after: float | None = None,
        names: tuple[str, ...] = (),
        got: object = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(what, got=got, where=target, remedy=remedy)
        self.target, self.stage, self.status, self.retry_after = target, stage, status, retry_after
        self.names = names


class ConnectionEnded(ChatkitError):
    """A connection ended under a caller that needed it; ``ending`` says how, in words."""

    def __init__(self, what: str, *, ending: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what, got=ending, remedy=remedy)
        self.ending = ending


class ConnectionLost(ChatkitError):
    """The connection went away before a message was answered: it may or may not have arrived."""

    def __init__(self, what: str, *, delivery: str, outcome: str, remedy: str | None = None) -> None:
        super().__init__(what, where=f"delivery {delivery}", got=outcome, remedy=remedy)
        self.delivery, self.outcome = delivery, outcome


class QueueFull(ChatkitError):
    """No more messages may wait for being sent.

    Attributes:
        count: messages that wait.
        bytes: what their texts take in UTF-8.
        limit: the bounds, in words.
    """

    def __init__(self, what: str, *, count: int, bytes: int, limit: str, remedy: str | None = None) -> None:
        got = f"{count} {'message' if count == 1 else 'messages'} with {bytes} bytes"
        super().__init__(what, expected=f"at most {limit}", got=got, remedy=remedy)
        self.count, self.bytes, self.limit = count, bytes, limit


class AuthError(ChatkitError):
    """A token or a login was refused; ``expired_at`` is Unix time in seconds where the token says so."""

    def __init__(
        self,
        what: str,
        *,
        refused_by: str | None = None,
        expired_at: float | None = None,
        got: object = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(what, where=refused_by, got=got, remedy=remedy)
        self.refused_by, self.expired_at = refused_by, expired_at


class LabError(ChatkitError):
    """The embedded backend could not do what was asked."""


class MissingDependency(ChatkitError, ImportError):
    """An optional part is not installed; ``package`` and ``extra`` say which and how to get it."""

    def __init__(self, feature: str, *, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package {package!r}, which is not installed",
            remedy=f"pip install {package} (the extra {extra!r} of this project)",
        )
        self.feature, self.package, self.extra = feature, package, extra


def _shorten(value: object, limit: int = 200) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
