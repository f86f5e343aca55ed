"""A fleet in words, as a card, and as a page with its figures that needs no network."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from chatkit.plain import one_line
from chatkit.table import aligned
from chatkit.views import verdict
from chatkit.views.fleet_plots import cohort_plot, hazard_plot, moments_plot
from chatkit.views.survival import plot as survival_plot
from chatkit.views.when import count, zone_name, zoned

if TYPE_CHECKING:
    from chatkit.fleet.comparing import Cohort
    from chatkit.fleet.result import Fleet

MOST = 8
"""Lines of one list; the rest is counted."""
NAME = 40
"""Characters of a cohort's value."""
_CELL = "text-align:left;vertical-align:top;padding:2px 16px 2px 0;border:0;background:none;font:inherit"
_NUMBER = _CELL.replace("left", "right", 1)
_MEASURE = {"drops": "drops", "refusals": "is refused"}


def text(fleet: Fleet) -> str:
    """For a terminal."""
    lines = [f"{fleet.headline}", "", fleet.summary]
    if fleet.failed:
        lines.append(f"{count(len(fleet.failed), 'file')} could not be read and speaks in no number here")
    for title, found in _sections(fleet):
        lines += ["", title, *(f"  {line}" for line in found)]
    return "\n".join(lines)


def _sections(fleet: Fleet) -> list[tuple[str, list[str]]]:
    found = [("Survival", _survival(fleet))] if fleet.lives else []
    if fleet.cohorts:
        found.append(("Cohorts against all others, the worst first", _cohorts(fleet.cohorts)))
    if fleet.together:
        found.append(("Many deaths in one moment", _capped(_moments(fleet))))
    if fleet.timers:
        found.append(("Timers", _capped(_timers(fleet))))
    if fleet.changes:
        found.append(("What changed when", _capped(_changes(fleet))))
    if fleet.causes:
        found.append(("Causes, from what a row can show", _capped(_causes(fleet))))
    return found


def _capped(lines: Sequence[str]) -> list[str]:
    more = [f"and {len(lines) - MOST:,} more"] if len(lines) > MOST else []
    return [*lines[:MOST], *more]


def _survival(fleet: Fleet) -> list[str]:
    curves = {"all": fleet.overall}
    curves |= {f"{by} {_name(value)}": one for by, mine in fleet.curves.items() for value, one in mine.items()}
    rows = [
        (
            name,
            f"{one.n:,}",
            f"{one.events:,}",
            seconds(one.median) if one.median is not None else "more than half live",
        )
        for name, one in list(curves.items())[: 2 * MOST]
    ]
    return aligned(("", "lives", "deaths", "half gone after"), rows, 1)


def _cohorts(cohorts: Sequence[Cohort]) -> list[str]:
    rows = [_cohort(one) for one in cohorts[:MOST]]
    more = [f"and {len(cohorts) - MOST:,} more"] if len(cohorts) > MOST else []
    return aligned(("", "", "ratio", "95 %", "p, corrected", "events", "of"), rows, 2) + more


def _cohort(one: Cohort) -> tuple[str, ...]:
    interval = f"{_figure(one.ratio.low)}–{_figure(one.ratio.high)}"
    name = f"{'▲' if one.differs and one.ratio.low > 1 else '▽' if one.differs else ' '} {one.by} {_name(one.value)}"
    p = "< 1e-9" if one.p < 1e-9 else f"{one.p:.2g}"
    return name, _MEASURE[one.measure], f"{_figure(one.ratio.value)} ×", interval, p, f"{one.events:,}", f"{one.n:,}"


def _moments(fleet: Fleet) -> list[str]:
    lines = []
    for one in fleet.together:
        share = (
            f"{100 * one.moment.deaths / one.alive:.0f} % of {one.alive:,} alive"
            if one.alive
            else "of none alive before"
        )
        codes = ", ".join(
            f"{_name(code)} × {n:,}" for code, n in sorted(one.codes.items(), key=lambda pair: -pair[1])[:3]
        )
        whom = ", ".join(f"{by} {_name(value)} {deaths:,} of {alive:,}" for by, value, deaths, alive in one.cohorts[:3])
        lines.append(
            f"{when(one.moment.at)}: {one.moment.deaths:,} deaths ({share}), {codes}{'; ' + whom if whom else ''}"
        )
    return lines


def _timers(fleet: Fleet) -> list[str]:
    words = {"age": "of age", "idle": "of quiet"}
    return [
        f"{seconds(one.seconds)} {words[one.kind]}: {one.deaths:,} deaths, {one.expected:,.3g} expected"
        for one in fleet.timers
    ]


def _changes(fleet: Fleet) -> list[str]:
    lines = []
    for one in fleet.changes:
        beside = "; ".join(f"{it.by} {_name(it.value)} {it.how} {when(it.at)}" for it in one.beside[:3])
        lines.append(f"{when(one.at)}: hazard × {_figure(one.factor)}{', ' + beside if beside else ''}")
    return lines


def _causes(fleet: Fleet) -> list[str]:
    return [f"{one.id}: {one.n:,} (probability {one.probability:.2f} on average)" for one in fleet.causes]


def _name(value: str) -> str:
    return one_line(value, NAME)


def _figure(value: float) -> str:
    return "∞" if value == float("inf") else f"{value:.3g}"


def seconds(value: float) -> str:
    """A duration as people read it: ``41 s``, ``7.2 min``, ``3.1 h``."""
    for per, unit, most in ((1.0, "s", 120.0), (60.0, "min", 7200.0), (3600.0, "h", 172_800.0)):
        if value < most:
            return f"{value / per:.3g} {unit}"
    return f"{value / 86_400:.3g} d"


def when(unix: float) -> str:
    """A moment in UTC, in which fleets are compared."""
    moment = zoned(unix, "UTC")
    return f"{moment.strftime('%Y-%m-%d %H:%M:%S')} {zone_name(moment)}"


def card(fleet: Fleet) -> str:
    """For a notebook: the sentence, the ranked cohorts, and everything else in lists."""
    tone = "bad" if fleet.worst is not None or fleet.together else "remark" if fleet.deaths else "ok"
    parts = [f"<p class='ckv-kicker'><b>fleet</b> {_e(fleet.summary)}</p><h3>{_e(fleet.headline)}</h3>"]
    if fleet.failed:
        parts.append(f"<p class='ckv-dim'>{_e(count(len(fleet.failed), 'file'))} could not be read</p>")
    if fleet.cohorts:
        parts.append(_table(fleet.cohorts))
    for title, found in _sections(fleet):
        if title.startswith(("Cohorts", "Survival")):
            continue
        items = "".join(f"<li>{_e(line)}</li>" for line in found)
        parts.append(f"<p><b>{_e(title)}</b></p><ul style='margin:0 0 6px 18px;padding:0'>{items}</ul>")
    body = "".join(parts)
    style = f"<style>{verdict.stylesheet()}</style>"
    return f"{style}<section class='ckv' data-tone='{tone}' aria-label='fleet'>{body}</section>"


def _table(cohorts: Sequence[Cohort]) -> str:
    head = ("cohort", "", "ratio", "95 %", "p, corrected", "events", "of")
    rows = "".join(_row("td", _cohort(one)) for one in cohorts[:MOST])
    more = f"<p class='ckv-dim'>and {len(cohorts) - MOST:,} more</p>" if len(cohorts) > MOST else ""
    caption = (
        "<caption class='ckv-dim' style='text-align:left'>each cohort against all others, the worst first</caption>"
    )
    inside = f"{caption}<thead>{_row('th', head)}</thead><tbody>{rows}</tbody>"
    return f"<table style='border-collapse:collapse;margin:0 0 6px'>{inside}</table>{more}"


def _row(tag: str, cells: Iterable[str]) -> str:
    made = (f"<{tag} style='{_CELL if n < 2 else _NUMBER}'>{_e(cell)}</{tag}>" for n, cell in enumerate(cells))
    return f"<tr>{''.join(made)}</tr>"


def _e(value: str) -> str:
    return html.escape(one_line(value, 300))


def page(fleet: Fleet) -> str:
    """One self-contained HTML file: the card and the figures."""
    import plotly.io as pio

    figures = []
    if fleet.lives:
        figures.append(survival_plot({"": fleet.overall}))
        figures += [survival_plot(mine) for mine in fleet.curves.values()]
    figures += [cohort_plot(fleet.cohorts)] if fleet.cohorts else []
    figures += [hazard_plot(spans, over=over) for over, spans in (("age", fleet.ages), ("day", fleet.hours)) if spans]
    figures += [moments_plot(fleet)] if fleet.course is not None else []
    drawn = [
        pio.to_html(figure, full_html=False, include_plotlyjs=n == 0, config={"displaylogo": False})
        for n, figure in enumerate(figures)
    ]
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>Fleet</title>"
        "<meta name='viewport' content='width=device-width'><style>body{font:14px/1.5 Inter,system-ui,sans-serif;"
        "max-width:1000px;margin:24px auto;padding:0 16px;background:#fff;color:#1B2330}</style></head>"
        f"<body>{card(fleet)}{''.join(drawn)}</body></html>"
    )
