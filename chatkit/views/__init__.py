"""What values look like: values in, values out. Loading this room registers the faces; plotly waits for its use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from chatkit import display
from chatkit.saving import Saving
from chatkit.trace import Trace
from chatkit.traffic import Traffic

if TYPE_CHECKING:
    from chatkit.canary.watched import SeenDeath, Watched
    from chatkit.diagnosis.result import Diagnosis
    from chatkit.diagnosis.survival import Curve
    from chatkit.experiments.proof import Proof
    from chatkit.experiments.result import Investigation
    from chatkit.fleet.result import Fleet
    from chatkit.lessons.endings import TwoSides
    from chatkit.policy.storm import Storm
    from chatkit.runbooks.guide import Guide


def _timeline(trace: Trace, **options: Any) -> Any:
    from chatkit.views.plot import timeline

    return timeline(trace, **options)


def _survival(trace: Trace, by: Any = None, **options: Any) -> Any:
    from chatkit.diagnosis.lives import lives
    from chatkit.diagnosis.survival import curves
    from chatkit.views.survival import plot

    return plot(curves(lives(trace, by=by)), **options)


def _html(trace: Trace) -> str:
    from chatkit.views.summary import summary

    return summary(trace)


def _storm_plot(storm: Storm, other: Storm | None = None, **options: Any) -> Any:
    from chatkit.views.storm import plot

    return plot(storm, other, **options)


def _storm_html(storm: Storm) -> str:
    from chatkit.views.storm import paragraph

    return paragraph(storm)


def _proof_plot(proof: Proof, **options: Any) -> Any:
    from chatkit.views.proof import plot

    return plot(proof, **options)


def _proof_html(proof: Proof) -> str:
    from chatkit.views.proof import paragraph

    return paragraph(proof)


def _glance(*told: Any) -> str:
    from chatkit.views.glance import glance

    return glance(*told)


def _connection(value: Any) -> str:
    from chatkit.views.glance import connection

    return connection(value)


def _ending(value: Any) -> str:
    from chatkit.views.glance import ending

    return ending(value)


def _traffic(traffic: Traffic) -> str:
    from chatkit.views.traffic import traffic_table

    return traffic_table(traffic)


def _saving(saving: Saving) -> str:
    from chatkit.views.traffic import saving_table

    return saving_table(saving)


def _two_sides(name: str) -> Callable[[TwoSides], str]:
    def render(two: TwoSides) -> str:
        from chatkit.views import two_sides

        words: str = getattr(two_sides, name)(two)
        return words

    return render


def _verdict(name: str) -> Callable[[Diagnosis], str]:
    def render(diagnosis: Diagnosis) -> str:
        from chatkit.views import verdict

        words: str = getattr(verdict, name)(diagnosis)
        return words

    return render


def _investigation(name: str) -> Callable[[Investigation], str]:
    def render(found: Investigation) -> str:
        from chatkit.views import investigation

        words: str = getattr(investigation, name)(found)
        return words

    return render


def _guide(guide: Guide) -> str:
    from chatkit.views.guide import page

    return page(guide)


def _fleet(name: str) -> Callable[[Fleet], str]:
    def render(fleet: Fleet) -> str:
        from chatkit.views import fleet as words

        told: str = getattr(words, name)(fleet)
        return told

    return render


def _fleet_plot(name: str) -> Callable[..., Any]:
    def render(value: Any, **options: Any) -> Any:
        from chatkit.views import fleet_plots

        return getattr(fleet_plots, name)(value, **options)

    return render


def _fleet_survival(curves: Mapping[str, Curve], **options: Any) -> Any:
    from chatkit.views.survival import plot

    return plot(curves, **options)


display.register("fleet", "html", _fleet("card"))
display.register("fleet", "text", _fleet("text"))
display.register("fleet", "survival", _fleet_survival)
display.register("fleet", "hazard", _fleet_plot("hazard_plot"))
display.register("fleet", "cohorts", _fleet_plot("cohort_plot"))
display.register("fleet", "moments", _fleet_plot("moments_plot"))


def _watched(seen: Watched) -> str:
    from chatkit.views.canary import card

    return card(seen)


def _seen_death(seen: SeenDeath) -> str:
    from chatkit.views.canary import death

    return death(seen)


def _watched_survival(seen: Watched, by: str = "target", **options: Any) -> Any:
    from chatkit.views.canary import plot_survival

    return plot_survival(seen, by, **options)


def _watched_latency(seen: Watched, **options: Any) -> Any:
    from chatkit.views.canary import plot_latency

    return plot_latency(seen, **options)


display.register("guide", "html", _guide)
display.register("watched", "html", _watched)
display.register("watched", "survival", _watched_survival)
display.register("watched", "latency", _watched_latency)
display.register("seen-death", "html", _seen_death)
display.register("diagnosis", "html", _verdict("card"))
display.register("diagnosis", "text", _verdict("text"))
display.register("diagnosis", "ticket", _verdict("ticket"))
display.register("investigation", "html", _investigation("card"))
display.register("investigation", "text", _investigation("text"))
display.register("investigation", "ticket", _investigation("ticket_text"))
display.register("trace", "timeline", _timeline)
display.register("trace", "survival", _survival)
display.register("trace", "html", _html)
display.register("connection", "html", _connection)
display.register("ending", "html", _ending)
display.register("glance", "html", _glance)
display.register("storm", "plot", _storm_plot)
display.register("storm", "html", _storm_html)
display.register("proof", "plot", _proof_plot)
display.register("proof", "html", _proof_html)
display.register("traffic", "html", _traffic)
display.register("saving", "html", _saving)
display.register("two-sides", "html", _two_sides("card"))
display.register("two-sides", "text", _two_sides("text"))
