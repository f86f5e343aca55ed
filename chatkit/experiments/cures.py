"""Which change on the client's side stops a cause, as a control and a cured treatment that can be compared."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from chatkit.diagnosis.result import Diagnosis, RankedCause
from chatkit.experiments.proof import Cure
from chatkit.experiments.treatments import SILENT, TYPING_ONCE, Doing, Treatment, every, first_ping, plain

SETTLE = 0.8
"""Seconds, at most, from a deadly act to the end that it causes, where nothing else was measured."""
SECOND_PING = 3.0
"""Seconds between the pings of a cured arm: the second one shall come soon."""
GIVES_UP = 10.0
"""Seconds after which an arm gives up a path that is dead."""


class Trial(Struct, frozen=True, kw_only=True):
    """A change that is tried beside what was."""

    control: Treatment
    cured: Treatment
    cure: Cure
    control_s: float
    """About how long a control lives, seconds."""

    @property
    def seconds(self) -> float:
        """About how long a round takes."""
        return max(3 * self.control_s, self.cure.exposure_s or 0.0) + 8.0


def trial_of(diagnosis: Diagnosis, stabilise: float) -> Trial | None:
    """The trial of the first cause's cure; ``None`` where no change of the client stops it.

    Args:
        diagnosis: of an investigation.
        stabilise: seconds that the profile's client waits before its first ping.
    """
    if diagnosis.verdict != "fault" or not diagnosis.causes:
        return None
    cause = diagnosis.causes[0]
    match cause.id:
        case "early-ping-abort":
            return _later_ping(cause, stabilise)
        case "idle-timeout":
            return _heartbeat(cause)
        case "nat-timeout":
            return _heartbeat_through_nat(cause)
        case "compression-broken":
            return _no_compression()
        case _:
            return None


def _later_ping(cause: RankedCause, stabilise: float) -> Trial:
    window = float(cause.parameters.get("window_max_s") or cause.parameters.get("window_s") or 0.0)
    fatal = float(cause.parameters.get("window_min_s") or 0.0)
    settle = float(cause.parameters.get("after_s") or 0.0) + SETTLE
    quiet = max(stabilise, round(1.5 * window, 1))
    what = "protocol-ping" if cause.parameters.get("ping") == "protocol" else "app-ping"
    control = first_ping(min(0.3 * fatal, 0.5), what)  # type: ignore[arg-type]
    change = f"{quiet:g} s of quiet before the first ping"
    cured = Treatment(
        id="cured",
        what=f"{change}, then one every {SECOND_PING:g} s",
        doings=(Doing(what=what, at=quiet, every=SECOND_PING),),  # type: ignore[arg-type]
    )
    cure = Cure.of_pings(change, first_s=quiet, every_s=SECOND_PING, window_s=window, settle_s=settle)
    return Trial(control=replace(control, id="uncured"), cured=cured, cure=cure, control_s=fatal + settle)


def _heartbeat(cause: RankedCause) -> Trial | None:
    timeout = float(cause.parameters.get("timeout_s") or 0.0)
    if timeout <= 0:
        return None
    what = "protocol-ping" if cause.parameters.get("counts") == "protocol-ping" else "app-ping"
    beat = round(timeout / 3, 2)
    cured = every(beat, what)  # type: ignore[arg-type]
    return Trial(
        control=replace(SILENT, id="uncured"),
        cured=replace(cured, id="cured"),
        cure=Cure.of_quiet(f"a heartbeat: {cured.what}", heartbeat_s=beat, timeout_s=timeout),
        control_s=timeout,
    )


def _heartbeat_through_nat(cause: RankedCause) -> Trial | None:
    timeout = float(cause.parameters.get("timeout_s") or 0.0)
    if timeout <= 0:
        return None
    beat = round(timeout / 3, 2)
    control = first_ping(round(1.3 * timeout, 1))
    cured = every(beat, "app-ping")
    return Trial(
        control=replace(control, id="uncured"),
        cured=replace(cured, id="cured"),
        cure=Cure.of_quiet(f"a heartbeat: {cured.what}", heartbeat_s=beat, timeout_s=timeout),
        control_s=1.3 * timeout + GIVES_UP,
    )


def _no_compression() -> Trial:
    return Trial(
        control=replace(TYPING_ONCE, id="uncured"),
        cured=replace(plain(), id="cured", until=None),
        cure=Cure(change="no permessage-deflate", exposure_s=2.0, exposed_to="a message of each direction"),
        control_s=1.0,
    )
