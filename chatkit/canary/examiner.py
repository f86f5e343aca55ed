"""Diagnoses recordings of deaths, one after the other, on a thread of its own: the loop that watches is not asked."""

from __future__ import annotations

import queue
import threading
from collections import deque
from pathlib import Path

from msgspec import Struct

from chatkit.canary.facts import Diagnosed
from chatkit.diagnosis import diagnose
from chatkit.errors import ChatkitError
from chatkit.formats.jsonl import load
from chatkit.plain import one_line
from chatkit.trace import Trace

MOST_WAITING = 100
"""Recordings that wait for their diagnosis; one more is not diagnosed."""


class Question(Struct, frozen=True, kw_only=True):
    """Deaths of one target, in one recording."""

    target: str
    dead: dict[str, str]
    """By the connection's id in the recording: its name in the folder."""
    recording: Trace | Path


class Examiner:
    """Answers questions; :meth:`start` begins, :meth:`close` ends without waiting for what it is busy with."""

    def __init__(self) -> None:
        self._questions: queue.Queue[Question | None] = queue.Queue(MOST_WAITING)
        self._answers: deque[Diagnosed] = deque()
        self._closed = False
        # A daemon: an answer that takes long must not keep the process from ending; the recording keeps the question.
        self._thread = threading.Thread(target=self._work, name="chatkit examiner", daemon=True)

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def ask(self, question: Question) -> bool:
        """Hands a question over; whether there was room for it."""
        try:
            self._questions.put_nowait(question)
        except queue.Full:
            return False
        return True

    def answers(self) -> list[Diagnosed]:
        """What has been found out since the last call."""
        return [self._answers.popleft() for _ in range(len(self._answers))]

    def close(self, patience: float = 0.1) -> None:
        """Ends; what waits is asked again by the next run. An answer that is nearly there is waited for."""
        self._closed = True
        try:
            self._questions.put_nowait(None)
        except queue.Full:
            pass
        if self._thread.is_alive():
            self._thread.join(patience)

    def _work(self) -> None:
        while not self._closed:
            question = self._questions.get()
            if question is None or self._closed:
                return
            self._answers.extend(answer(question))


def answer(question: Question) -> list[Diagnosed]:
    """What the recording says of each death; never raises."""
    try:
        trace = load(question.recording) if isinstance(question.recording, Path) else question.recording
        diagnosis = diagnose(trace)
    except (ChatkitError, OSError) as error:
        return [_told(question, key, "skipped", str(error)) for key in question.dead.values()]
    except Exception as error:  # a defect of ours costs one diagnosis, and says so
        return [_told(question, key, "skipped", f"{type(error).__name__}: {error}") for key in question.dead.values()]
    found = []
    for id, key in question.dead.items():
        cause = next((one for one in diagnosis.causes if id in one.connections), None)
        found.append(
            Diagnosed(
                target=question.target,
                connection=key,
                verdict=diagnosis.verdict,
                headline=one_line(diagnosis.headline, 300),
                cause=cause.id if cause is not None else None,
                probability=round(cause.confidence, 3) if cause is not None else None,
            )
        )
    return found


def _told(question: Question, key: str, verdict: str, headline: str) -> Diagnosed:
    return Diagnosed(target=question.target, connection=key, verdict=verdict, headline=one_line(headline, 300))
