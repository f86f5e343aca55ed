"""``start_watch``: a watch on the background engine, for notebook cells; a cell that computes delays no ping."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chatkit.canary import targets as plans
from chatkit.canary.watch import Watch
from chatkit.canary.watched import Watched, watching
from chatkit.client.credentials import Provider
from chatkit.client.engine import engine
from chatkit.errors import InvalidInput

DEFAULT_OUT = "canary"


def start_watch(
    targets: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    tokens: Mapping[str, str | Provider] | None = None,
) -> RunningWatch:
    """Starts a canary in the background: a few connections to each target, until :meth:`RunningWatch.close`.

    Args:
        targets: the TOML file of ``chatkit watch``, or the same as a mapping: ``{"targets": {"eu": {"url": …}}}``.
        out: the folder of the evidence; the file's own ``out`` when not given. A watch that was there before goes on.
        tokens: access tokens by target; they are kept nowhere.

    Raises:
        InvalidInput: a key or value does not fit, the folder cannot be used, or another process watches into it.
        MissingDependency: pyarrow, or what an endpoint needs, is not installed.

    A cell that is run again with the same folder ends the watch before first.

    >>> import chatkit
    >>> with chatkit.LabServer() as lab:
    ...     plan = {"targets": {"lab": {"url": lab.url, "bot": "echo"}}}
    ...     with chatkit.start_watch(plan, "canary", tokens={"lab": lab.token}) as watch:
    ...         list(watch.seen.targets)
    ['lab']
    """
    beside = Path()
    if isinstance(targets, Mapping):
        plan = plans.of(targets)
    else:
        plan, beside = plans.load(targets), Path(targets).parent
    unknown = set(tokens or ()) - set(plan.targets)
    if unknown:
        raise InvalidInput(
            "a token for no target", expected="of " + ", ".join(plan.targets), got=sorted(unknown), where="tokens"
        )
    folder = folder_of(plan, out, beside)
    return RunningWatch(plan, folder, beside, tokens)


def folder_of(plan: plans.Plan, out: str | Path | None, beside: Path) -> Path:
    """Where the evidence goes: what was asked for, else what the file says, else ``canary`` beside it."""
    return Path(out) if out is not None else beside / (plan.watch.out or DEFAULT_OUT)


class RunningWatch:
    """A watch that runs on the engine. Made by :func:`start_watch`; ``with`` closes it."""

    def __init__(
        self, plan: plans.Plan, folder: Path, beside: Path, tokens: Mapping[str, str | Provider] | None
    ) -> None:
        self.out = folder
        self._key = ("canary", str(folder.resolve()))
        engine().release(self._key)
        self._watch = Watch(plan, folder, beside=beside, tokens=tokens)
        engine().call(self._watch.__aenter__())
        engine().own(self._key, self._end)

    @property
    def seen(self) -> Watched:
        """What is known so far, see :func:`watching`."""
        return watching(self.out)

    @property
    def metrics_url(self) -> str | None:
        """Of the Prometheus endpoint, where there is one."""
        return self._watch.metrics.url if self._watch.metrics is not None else None

    def close(self) -> None:
        """Says goodbye and writes everything; about a second at most. Twice is fine."""
        engine().release(self._key)

    async def _end(self) -> None:
        await self._watch.__aexit__(None, None, None)

    def __enter__(self) -> RunningWatch:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __str__(self) -> str:
        return f"watching {', '.join(self._watch.plan.targets)} into {self.out}"

    __repr__ = __str__
