"""Evidence that comes from a browser: files in pieces, put down in a private folder, read and merged as one incident.

The pieces are taken on the kernel's main thread, which is quick; reading happens where :meth:`Intake.read` is called.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from chatkit.diagnosis import diagnose
from chatkit.errors import ImportFailed, InvalidInput
from chatkit.formats import load_all, make_options
from chatkit.inspection import Input, Inspection, input_of
from chatkit.merging import merge
from chatkit.profile import Profile
from chatkit.redact import DEFAULT
from chatkit.trace import Trace

LIMIT = 500_000_000
"""Bytes of all files of one incident together; ``chatkit inspect`` reads larger ones where they are."""
MOST_FILES = 50


class Intake:
    """Files of one incident on their way from the browser.

    Args:
        names: the files' names as the browser gives them; they are shown, never used as paths.
        size: their bytes together.

    Raises:
        InvalidInput: there are none, too many, or they are too large.
    """

    def __init__(self, names: Sequence[str], size: int) -> None:
        if not 0 < len(names) <= MOST_FILES:
            raise InvalidInput("so many files are no incident", expected=f"1 to {MOST_FILES}", got=len(names))
        if size > LIMIT:
            raise InvalidInput(
                "the evidence is too large for the browser's way",
                expected=f"at most {LIMIT / 1e6:.0f} MB together",
                got=f"{size / 1e6:.0f} MB",
                remedy="chatkit inspect FILE reads it where it is",
            )
        self.names = [_harmless(name) for name in names]
        self.received = 0
        self._folder = Path(tempfile.mkdtemp(prefix="chatkit-evidence-"))

    def add(self, number: int, piece: bytes | memoryview) -> None:
        """The next bytes of file ``number``, in order.

        Raises:
            InvalidInput: no such file was announced, or there is more than was announced and permitted.
        """
        if not 0 <= number < len(self.names):
            raise InvalidInput("no such file was announced", got=number)
        self.received += len(piece)
        if self.received > LIMIT:
            raise InvalidInput("more came than is permitted", expected=f"at most {LIMIT / 1e6:.0f} MB together")
        with self._path(number).open("ab") as file:
            file.write(piece)

    def read(self, profile: Profile | str | Path | None = None) -> Inspection:
        """What the files say together: one trace and its diagnosis. Blocks.

        Raises:
            ImportFailed: one of them cannot be read; it is named as the user knows it.
        """
        options = make_options(profile=profile)
        traces: list[Trace] = []
        inputs: list[Input] = []
        for number, name in enumerate(self.names):
            self._path(number).touch()
            try:
                found = load_all(self._path(number), options)
            except ImportFailed as error:
                raise _named(error, self._path(number), name) from None
            traces += found
            inputs += [input_of(trace, name) for trace in found]
        whole = traces[0] if len(traces) == 1 else merge(*traces)
        return Inspection(inputs=tuple(inputs), trace=whole, diagnosis=diagnose(whole))

    def close(self) -> None:
        """Takes the files away; twice is fine."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        """Each in a folder of its own, so that it keeps its name and no two are one."""
        folder = self._folder / str(number)
        folder.mkdir(exist_ok=True)
        return folder / self.names[number]


def _harmless(name: str) -> str:
    """A file's name that is no path and holds nothing that a terminal or a disk would mind."""
    return re.sub(r"[^\w.-]", "_", DEFAULT.text(name)).lstrip(".")[-80:] or "file"


def _named(error: ImportFailed, path: Path, name: str) -> ImportFailed:
    """The same with the name that the user knows in place of where it was put down."""
    what, expected, got, remedy = (
        None if value is None else str(value).replace(str(path), name)
        for value in (error.what, error.expected, error.got, error.remedy)
    )
    return ImportFailed(
        what or "", source=name, entry=error.entry, field=error.field, expected=expected, got=got, remedy=remedy
    )
