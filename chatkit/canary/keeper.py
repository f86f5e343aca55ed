"""The keeper: the one thread of a canary that touches the disk, and the only one that adds to its state.

Every quarter of a second it takes what the posts have seen, adds it to the state, writes it into the journal, freezes
the rings around deaths, has them diagnosed, and hands rows to Parquet. A disk that is slow or full delays this thread
and no connection; while the folder cannot be written, everything goes on in memory and is written as one checkpoint
once it can be again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from chatkit.canary.budget import Allowance
from chatkit.canary.changes import Change
from chatkit.canary.evidence import Folder
from chatkit.canary.examiner import Examiner, Question
from chatkit.canary.facts import AnyFact, Batch, Counted, Diagnosed, LifeEnded, RowsWritten, RunBegan
from chatkit.canary.journal import NAME, Journal
from chatkit.canary.post import Post
from chatkit.canary.rows import Row, warm
from chatkit.canary.state import NOTICES, State
from chatkit.canary.targets import Settings

TICK = 0.25
"""Seconds between two rounds."""
BEAT = 0.45
"""Seconds after which a batch is written though nothing happened: it says until when everything was watched."""
AGAIN = 5.0
"""Seconds between two tries to write to a folder that cannot be written."""
VERDICT_WAIT = 60.0
"""Seconds that the row of a death waits for its diagnosis."""


class Happening(Struct, frozen=True, kw_only=True):
    """Something that somebody may want to hear of at once."""

    kind: str
    """``death``, ``verdict``, ``change`` or ``notice``."""
    target: str | None
    at: float
    """Unix time, seconds."""
    text: str
    facts: dict[str, Any]
    """The same for machines."""


class _Freeze(Struct, kw_only=True):
    """Deaths of one target that share a recording."""

    file: str
    due: float
    """When the aftermath is over, by the monotonic clock."""
    dead: dict[str, str]
    """By id in the recording: the name in the folder."""
    fresh: bool = True
    """Whether it must be written before the journal tells of it."""


class Keeper:
    """Keeps the folder.

    Args:
        path: the folder.
        posts: what is watched.
        settings: bounds and times.
        tell: called with each :class:`Happening`, on the keeper's thread; must be quick.
        ended: called with the row of each connection once all is known of it, on the keeper's thread.

    Raises:
        InvalidInput, ImportFailed: the folder cannot be used.

    :meth:`start` begins, :meth:`close` writes what is left.
    """

    def __init__(
        self,
        path: Path,
        posts: Sequence[Post],
        settings: Settings,
        tell: Callable[[Happening], None],
        ended: Callable[[str, Row], None],
    ) -> None:
        self.folder = Folder(path, settings.disk_mb * 1e6)
        self.lock = threading.Lock()
        """Held while the state changes; whoever reads it elsewhere holds it as well."""
        self._posts, self._settings, self._tell, self._row_ended = posts, settings, tell, ended
        self.journal = Journal(path / NAME)
        self.state: State = self.journal.found.state
        self.trouble: str | None = None
        """Why the folder cannot be written right now."""
        self._wall, self._mono = time.time(), time.monotonic()
        self._facts: list[AnyFact] = []
        self._freezes: dict[str, _Freeze] = {}
        self._verdicts: dict[str, tuple[float, str, Row]] = {}
        self._examiner = Examiner()
        self._allowance = Allowance(settings.diagnoses_per_minute)
        self._written = self._retry = float("-inf")
        self._rotated = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="chatkit keeper", daemon=True)
        self.failure: BaseException | None = None
        """A defect of ours that ended the keeper."""

    def start(self) -> None:
        """Tells the journal that a run begins, and goes on with what the one before left."""
        found = self.journal.found
        facts: list[AnyFact] = [RunBegan(targets={post.name: post.url for post in self._posts})]
        facts += [Counted(what="line-damaged", n=found.damaged)] if found.damaged else []
        facts += [Counted(what="line-torn")] if found.torn else []
        self._add(facts)
        self._write(time.monotonic())
        self._ask_again()
        self._examiner.start()
        self._thread.start()

    def close(self) -> None:
        """A last round; what is left goes to its files. Twice is fine."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5.0)
        self._examiner.close()
        if self.failure is None:
            self._round(last=True)
        self.journal.close()

    def now(self) -> float:
        """Unix time that never runs backwards within a run, seconds."""
        return round(self._wall + time.monotonic() - self._mono, 3)

    # The thread

    def _work(self) -> None:
        warm()  # here and now: half a second that the end would not have
        while not self._stop.wait(TICK):
            try:
                self._round()
            except Exception as error:
                self.failure = error
                self._say("notice", None, f"chatkit failed: {type(error).__name__}: {error}", {"notice": "failure"})
                return

    def _round(self, *, last: bool = False) -> None:
        mono = time.monotonic()
        facts = [fact for post in self._posts for fact in post.collect(self.state.run, last=last)]
        facts = [self._with_file(fact, mono) for fact in facts]
        facts += self._examiner.answers()
        self._freeze_all(mono, last=last)
        self._tell_state(facts, mono, last=last)
        self._rotate(mono, last=last)
        self._tell_state([], mono)
        self._let_go(mono, last=last)
        if (self.journal.full_grown or last) and self.trouble is None:
            self._guarded(lambda: self.journal.checkpoint(self.state))

    def _tell_state(self, facts: list[AnyFact], mono: float, *, last: bool = False) -> None:
        """These facts and what came up by the way, into state and journal; nothing is written where nothing is new."""
        facts, self._facts = [*facts, *self._facts], []
        if facts or last or mono - self._written >= BEAT:
            self._add(facts)
            self._write(mono)

    def _add(self, facts: list[AnyFact]) -> None:
        self._batch = Batch(at=self.now(), facts=facts)
        with self.lock:
            changes = self.state.apply(self._batch)
        for fact in facts:
            self._hear(fact)
        for target, change in changes:
            self._change(target, change)

    def _write(self, mono: float) -> None:
        """The batch goes to the journal; while the folder is in trouble a checkpoint is tried now and then."""
        if self.trouble is None:
            if self._guarded(lambda: self.journal.append(self._batch)):
                self._written = mono
        elif mono >= self._retry and self._guarded(lambda: self.journal.checkpoint(self.state)):
            self._say("notice", None, f"the folder can be written again; it could not: {self.trouble}", {})
            self.trouble, self._written = None, mono

    def _guarded(self, work: Callable[[], Any]) -> bool:
        """Whether it could be written."""
        try:
            work()
        except OSError as error:
            self._fail(error)
            return False
        return True

    def _fail(self, error: OSError) -> None:
        self._retry = time.monotonic() + AGAIN
        self._facts.append(Counted(what="write-failed"))
        if self.trouble is None:
            self.trouble = f"{self.folder.path}: {error.strerror}"
            self._say("notice", None, f"the folder cannot be written, all goes on in memory: {self.trouble}", {})

    # Deaths

    def _with_file(self, fact: AnyFact, mono: float) -> AnyFact:
        """A death gets a recording: the one of its target that is being made, or another."""
        if not isinstance(fact, LifeEnded) or not fact.row.ended:
            return fact
        key = fact.row.connection
        freeze = self._freezes.get(fact.target)
        if freeze is None:
            name = self.folder.death_name(fact.at, key)
            freeze = self._freezes[fact.target] = _Freeze(file=name, due=mono + self._settings.aftermath, dead={})
        freeze.dead[key.rpartition("-")[2]] = key
        freeze.fresh = True
        row = msgspec.structs.replace(fact.row, source=freeze.file)
        return msgspec.structs.replace(fact, row=row, file=freeze.file)

    def _freeze_all(self, mono: float, *, last: bool) -> None:
        for post in self._posts:
            freeze = self._freezes.get(post.name)
            over = freeze is not None and (last or mono >= freeze.due)
            if freeze is None or not (freeze.fresh or over):
                continue
            trace = post.freeze(set(freeze.dead))
            kept = self._guarded(lambda f=freeze, t=trace: self._keep(f.file, t))  # type: ignore[misc]
            freeze.fresh = False
            if not kept:
                self._facts.append(Counted(what="not-recorded", n=len(freeze.dead)))
            if over:
                del self._freezes[post.name]
                if not last:  # at the end the next run asks
                    self._ask(Question(target=post.name, dead=freeze.dead, recording=trace), mono)

    def _keep(self, name: str, trace: Any) -> None:
        self._count(self.folder.write_death(name, trace, self.journal.size))

    def _count(self, gone: dict[str, int]) -> None:
        self._facts += [Counted(what=what, n=n) for what, n in gone.items()]

    def _ask(self, question: Question, mono: float) -> None:
        if not (self._allowance.take(mono) and self._examiner.ask(question)):
            self._facts.append(Counted(what="not-diagnosed", n=len(question.dead)))
            self._facts += [
                Diagnosed(target=question.target, connection=key, verdict="skipped") for key in question.dead.values()
            ]

    def _ask_again(self) -> None:
        """Deaths that the run before did not get diagnosed."""
        waiting: dict[tuple[str, str], dict[str, str]] = {}
        for name, target in self.state.targets.items():
            for death in target.lately:
                if death.verdict is None and death.file is not None:
                    dead = waiting.setdefault((name, death.file), {})
                    dead[death.connection.rpartition("-")[2]] = death.connection
        for (name, file), dead in waiting.items():
            self._ask(Question(target=name, dead=dead, recording=self.folder.path / file), time.monotonic())

    # Rows

    def _rotate(self, mono: float, *, last: bool) -> None:
        """Rows go to a file once they are many, or old, or at the end."""
        pending = self.state.pending
        due = len(pending) >= self._settings.rows_per_file or mono - self._rotated >= self._settings.rotate_s or last
        if not due or not pending or self.trouble is not None:
            return
        waiting = {key for key, (since, _, _) in self._verdicts.items() if mono - since < VERDICT_WAIT}
        ready = pending if last else [row for row in pending if row.connection not in waiting]
        if not ready:
            return
        self._rotated = mono

        def write() -> None:
            name, gone = self.folder.write_rows(self.state.files + 1, ready, self.journal.size)
            self._facts.append(RowsWritten(file=name, connections=[row.connection for row in ready]))
            self._count(gone)

        self._guarded(write)

    # Telling

    def _hear(self, fact: AnyFact) -> None:
        if isinstance(fact, LifeEnded):
            self._heard_end(fact)
        elif isinstance(fact, Diagnosed):
            waited = self._verdicts.pop(fact.connection, None)
            if waited is not None:
                row = msgspec.structs.replace(waited[2], cause=fact.cause, probability=fact.probability)
                self._row_ended(fact.target, row)
            told = fact.headline or ("not diagnosed" if fact.verdict == "skipped" else fact.verdict)
            self._say("verdict", fact.target, f"{fact.connection}: {told}", msgspec.to_builtins(fact))
        elif isinstance(fact, Counted) and fact.what in NOTICES and fact.what != "write-failed":
            self._say("notice", None, f"{fact.n} × {NOTICES[fact.what]}", {"notice": fact.what, "n": fact.n})

    def _heard_end(self, fact: LifeEnded) -> None:
        if not fact.row.ended:
            self._row_ended(fact.target, fact.row)
            return
        self._verdicts[fact.row.connection] = (time.monotonic(), fact.target, fact.row)
        facts = {"connection": fact.row.connection, "lifetime_s": fact.row.lifetime_s, "file": fact.file}
        text = f"{fact.row.connection} died: {fact.words}, age {fact.row.lifetime_s:.1f} s"
        self._say("death", fact.target, text, facts | {"ending": fact.words, "close_code": fact.row.close_code})

    def _let_go(self, mono: float, *, last: bool) -> None:
        """Deaths whose diagnosis does not come are over all the same."""
        for key, (since, target, row) in list(self._verdicts.items()):
            if last or mono - since >= VERDICT_WAIT:
                del self._verdicts[key]
                self._row_ended(target, row)

    def _change(self, target: str, change: Change) -> None:
        self._say("change", target, str(change), msgspec.to_builtins(change))

    def _say(self, kind: str, target: str | None, text: str, facts: dict[str, Any]) -> None:
        self._tell(Happening(kind=kind, target=target, at=self.now(), text=text, facts=facts))
