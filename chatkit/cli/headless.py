"""A notebook run without a front end: cell by cell in a kernel of its own, which ends with the run whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
import time
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatkit.diagnosis.result import MIME
from chatkit.errors import ChatkitError, MissingDependency

if TYPE_CHECKING:
    from nbformat import NotebookNode

HIDDEN = "[token]"
_PACKAGE = Path(__file__).parents[1]


class RunFailed(ChatkitError):
    """A notebook did not come to its end; ``cell`` is the code cell's number, from 1."""

    def __init__(self, what: str, *, cell: int, where: str, got: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what, got=got, where=where, remedy=remedy)
        self.cell = cell


class Headless:
    """One run of one notebook.

    Args:
        path: the notebook; it is not changed. Its kernel works in its folder.
        parameters: values for the cell tagged ``parameters``.
        secret: a token that must not stand in the result, whatever a cell prints.
        on_cell: told before each code cell: its number from 1, how many there are, and the heading above it.
        on_done: told after each code cell.

    :attr:`notebook` holds what was run so far, with outputs.

    Raises:
        MissingDependency: papermill is not installed.
    """

    def __init__(
        self,
        path: Path,
        parameters: Mapping[str, Any],
        *,
        secret: str | None = None,
        on_cell: Callable[[int, int, str], None] = lambda number, of, heading: None,
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self.elapsed_s = 0.0
        self.done = 0
        self._secret = secret
        self._on_cell, self._on_done = on_cell, on_done
        self._running = 0
        self.notebook = _with_parameters(path, parameters)
        for cell in self.notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        self.cells = [n for n, cell in enumerate(self.notebook.cells) if cell.cell_type == "code"]

    async def run(self, *, timeout: float, cell_timeout: float) -> None:
        """Runs all cells; cancelling ends the kernel, and :attr:`notebook` keeps what there is.

        Args:
            timeout: seconds for all.
            cell_timeout: seconds for one cell.

        Raises:
            RunFailed: a cell failed or took too long, or the kernel died.
        """
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

        begin = time.monotonic()
        try:
            async with asyncio.timeout(timeout):
                await self._execute(cell_timeout)
        except CellExecutionError as error:
            said = f"{error.ename}: {error.evalue}".splitlines()[0]
            raise self._failed("a cell failed", got=self.clean(said)) from None
        except CellTimeoutError:
            raise self._failed(f"a cell took more than {cell_timeout:g} s", remedy="--cell-timeout") from None
        except TimeoutError:
            raise self._failed(f"the runbook took more than {timeout:g} s", remedy="--timeout") from None
        except DeadKernelError:
            raise self._failed("the kernel died") from None
        except RuntimeError as error:  # what nbclient raises of a kernel that does not answer
            raise self._failed("the kernel did not start", got=self.clean(str(error))) from None
        finally:
            self.elapsed_s = time.monotonic() - begin

    async def _execute(self, cell_timeout: float) -> None:
        from nbclient.exceptions import DeadKernelError

        try:
            await self._client(cell_timeout).async_execute(cwd=str(self.path.parent), env=_environment())
        except DeadKernelError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # nbclient takes being cancelled for a kernel that died
                raise asyncio.CancelledError from None
            raise

    def clean(self, text: str) -> str:
        """``text`` without the secret."""
        return text if self._secret is None else text.replace(self._secret, HIDDEN)

    def content(self) -> bytes:
        """The notebook as it stands, without the secret and without widget state."""
        text = json.dumps(self.notebook, indent=1, ensure_ascii=False)
        if self._secret is not None:
            text = text.replace(json.dumps(self._secret, ensure_ascii=False)[1:-1], HIDDEN)
        return f"{text}\n".encode()

    def diagnosis(self) -> dict[str, Any] | None:
        """The last diagnosis that a cell showed, as ``Diagnosis.to_dict`` tells it."""
        outputs = [output for cell in self.notebook.cells for output in cell.get("outputs", ())]
        shown = [output.data[MIME] for output in outputs if MIME in output.get("data", {})]
        return dict(shown[-1]) if shown else None

    def _client(self, cell_timeout: float) -> Any:
        from nbclient import NotebookClient

        class Client(NotebookClient):
            """Without nbclient's own signal handlers: Ctrl-C belongs to the caller, who cancels."""

            @asynccontextmanager
            async def async_setup_kernel(self, **options: Any) -> AsyncIterator[None]:
                manager: Any = self.create_kernel_manager()
                self.km = manager
                try:
                    await self.async_start_new_kernel(**options)
                    await self.async_start_new_kernel_client()
                    yield
                finally:
                    if self.kc is not None:
                        self.kc.stop_channels()
                    if manager.has_kernel:
                        await asyncio.shield(manager.shutdown_kernel(now=True))

        return Client(
            self.notebook,
            timeout=cell_timeout,
            store_widget_state=False,
            extra_arguments=["--log-level=ERROR"],  # a kernel warns about every loopback port it opens
            on_cell_execute=self._begins,
            on_cell_executed=self._ended,
        )

    def _begins(self, cell: NotebookNode, cell_index: int) -> None:
        if cell_index in self.cells:
            self._running = self.cells.index(cell_index) + 1
            self._on_cell(self._running, len(self.cells), self._heading(cell_index))

    def _ended(self, cell: NotebookNode, cell_index: int, execute_reply: Any) -> None:
        self.done = self._running
        self._on_done()

    def _heading(self, index: int) -> str:
        for cell in reversed(self.notebook.cells[:index]):
            for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
                if line.startswith("#"):
                    return str(line.lstrip("# "))
        return ""

    def _failed(self, what: str, **facts: Any) -> RunFailed:
        number = max(self._running, 1)
        where = f"{self.path.name}, code cell {number} of {len(self.cells)}: {self._heading(self.cells[number - 1])}"
        return RunFailed(what, cell=number, where=where, **facts)


def _with_parameters(path: Path, parameters: Mapping[str, Any]) -> NotebookNode:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what papermill imports warns of itself
            from papermill.iorw import load_notebook_node
            from papermill.parameterize import parameterize_notebook
    except ModuleNotFoundError:
        raise MissingDependency("chatkit runbook", package="papermill", extra="runbook") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        notebook: NotebookNode = parameterize_notebook(load_notebook_node(str(path)), dict(parameters))
    return notebook


def _environment() -> dict[str, str]:
    """The kernel imports the chatkit that runs it, from wherever that came."""
    places = [str(_PACKAGE.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(place for place in places if place)}
