"""The timeline as a window: a canvas that draws the one layout, of a trace or of a recorder that runs.

The widget holds traits and forwards messages; layout and text come from ``chatkit.views``. What travels:

========== ============================== =====================================================================
direction  message                        meaning
========== ============================== =====================================================================
to browser ``delta`` + one block          what this receiver (``to``) lacks, see ``chatkit.views.packet``
to browser ``detail``, ``hover``          an event in full, or in one line; answers, by ``row``
to browser ``refused``                    why a message was not served
to kernel  ``hello``, ``painted``         a receiver (``client``) holds ``held``: ticks, marks, words, patches
to kernel  ``bye``                        its last view went away
to kernel  ``detail``, ``hover``          asks for the event at ``row``
========== ============================== =====================================================================
"""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import anywidget
import msgspec
import traitlets

from chatkit.errors import InvalidInput
from chatkit.recorder import Recorder
from chatkit.trace import Trace
from chatkit.views.detail import describe
from chatkit.views.script import explorer_script
from chatkit.views.sheet import Cursor
from chatkit.views.when import count
from chatkit.widgets.feed import Feed

_STATIC = Path(__file__).parent / "static"


class TimelineExplorer(anywidget.AnyWidget):
    """A timeline to look around in: zoom, pan, filter, click, select; live when the source is a recorder.

    Args:
        source: a ``Trace``, or a ``Recorder`` that is followed until :meth:`close`.
        align: ``"open"`` lays the connections above each other from their opening, ``None`` along the time.
        clock: whether the axis shows clock times instead of seconds.
        zone: name of the zone of clock times, for example ``Europe/Berlin``; ``None`` for the browser's own.
        stabilise: the client's known quiet time before its first ping, seconds.
    """

    _esm = explorer_script()
    _css = _STATIC / "explorer.css"

    block = traitlets.Bytes(b"", help="The layout when the widget was made, see chatkit.views.packet.").tag(sync=True)
    rows = traitlets.List(traitlets.Int(), help="Positions of the selected events in the trace.").tag(sync=True)
    align = traitlets.Unicode("", help='"open", or "" along the time.').tag(sync=True)
    clock = traitlets.Bool(False, help="Whether the axis shows clock times.").tag(sync=True)
    zone = traitlets.Unicode("", help="IANA name of the zone of clock times; empty for the browser's.").tag(sync=True)
    selected = traitlets.List(traitlets.Unicode(), help="Ids of the selected events.")

    def __init__(
        self,
        source: Trace | Recorder,
        *,
        align: str | None = None,
        clock: bool = False,
        zone: str | None = None,
        stabilise: float | None = None,
    ) -> None:
        if not isinstance(source, Trace | Recorder):
            raise InvalidInput("nothing to explore", expected="a Trace or a Recorder", got=type(source).__name__)
        if align not in (None, "open"):
            raise InvalidInput("no such alignment", expected='None or "open"', got=align)
        self._feed = Feed(source, _sender(weakref.ref(self)), stabilise)
        block = self._feed.first_block()
        super().__init__(block=block, align=align or "", clock=clock, zone=zone or "")
        self.on_msg(self._receive)
        # Started here and not on display: inside another widget nobody tells that it is shown.
        self._feed.start()

    @property
    def selection(self) -> Trace:
        """The selected events."""
        return self._feed.pick(self.rows)

    def close(self) -> None:
        """Stops following the recorder and takes the window away."""
        feed = getattr(self, "_feed", None)  # a widget whose arguments were refused is closed, too
        if feed is not None:
            feed.close()
        super().close()

    def __repr__(self) -> str:
        connections, events = self._feed.counts()
        return f"Timeline of {count(connections, 'connection')}, {count(events, 'event')}"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None:
            return {"text/plain": repr(self)}
        data, *rest = bundle if isinstance(bundle, tuple) else (bundle,)
        data = data | {"text/plain": repr(self)}
        return (data, *rest) if rest else data

    @traitlets.observe("rows")
    def _rows_changed(self, change: Any) -> None:
        self.selected = [self._event_id(row) for row in change["new"]]

    @traitlets.observe("selected")
    def _selected_changed(self, change: Any) -> None:
        rows = [self._feed.row(id) for id in change["new"]]
        if rows != self.rows:
            self.rows = rows

    def _event_id(self, row: int) -> str:
        trace, place = self._feed.find(row)
        return str(trace[place].id)

    def _receive(self, widget: Any, message: Any, buffers: Any) -> None:
        try:
            self._serve(message)
        except (IndexError, KeyError, TypeError, ValueError, msgspec.ValidationError) as error:
            client = str(message.get("client"))[:64] if isinstance(message, dict) else ""
            self.send({"kind": "refused", "to": client, "because": f"{type(error).__name__}: {error}"})

    def _serve(self, message: Any) -> None:
        client, kind = str(message.get("client"))[:64], message["kind"]
        if kind == "hello":
            self._feed.hello(client, msgspec.convert(message["held"], Cursor))
        elif kind == "painted":
            self._feed.painted(client, msgspec.convert(message["held"], Cursor))
        elif kind == "bye":
            self._feed.bye(client)
        elif kind in ("detail", "hover"):
            row = int(message["row"])
            told = describe(*self._feed.find(row))
            told = told if kind == "detail" else {"line": told["line"]}
            self.send({"kind": kind, "to": client, "row": row} | told)
        else:
            raise ValueError(f"no such message: {str(kind)[:40]!r}")


def _sender(widget: weakref.ref[TimelineExplorer]) -> Any:
    def send(receiver: str, block: bytes) -> bool:
        explorer = widget()
        if explorer is None or explorer.comm is None:
            return False
        explorer.send({"kind": "delta", "to": receiver}, buffers=[block])
        return True

    return send
