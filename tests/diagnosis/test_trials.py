"""What an investigation's arms say together: the true cause explains them best, and its parameters are measured."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from chatkit.diagnosis.facts import ACTIVITY, Facts
from chatkit.diagnosis.taxonomy import causes
from chatkit.diagnosis.trials import Trials, counted, measured, observation, sentence, survivors, trials, untried
from chatkit.experiments.treatments import (
    GARBAGE_TOKEN,
    SILENT,
    Treatment,
    control,
    every,
    fed,
    first_ping,
    first_round,
    growing,
)
from tests.builders import EPOCH
from tests.diagnosis import rounds
from tests.diagnosis.rounds import ROUND, course, played, tried
from tests.diagnosis.stories.telling import URL, Tale

PINGS = ("app-ping", "protocol-ping")
LATER = (*(first_ping(2.0, what) for what in PINGS), *(first_ping(4.0, what) for what in PINGS))  # type: ignore[arg-type]
OF_LIVES = [cause for cause in causes().values() if "life" in cause.cases]


def best(found: Trials) -> set[str]:
    """The causes that explain the courses best, and those that do as well."""
    lifts = {cause.id: found.lift(cause) for cause in OF_LIVES}
    return {id for id, lift in lifts.items() if lift > max(lifts.values()) - 1e-6}


def values(found: Trials, id: str) -> dict[str, object]:
    """What was measured, by the mechanism with which the cause explains the courses best."""
    return measured(found, found.fit(causes()[id]))


# The true cause wins


@pytest.mark.parametrize("counts", ACTIVITY)
def test_an_idle_time_out(counts) -> None:
    """Whatever it counts; the answers of a chat arm part what goes out from what comes in."""
    arms = ROUND if counts in ("any", "inbound", "data-frames") else (*ROUND, fed(2.0))
    found = tried(played(rounds.idle(6.0, counts), arms, watched=20.0))
    assert best(found) == {"idle-timeout"}
    assert values(found, "idle-timeout") == {"timeout_s": pytest.approx(6.0, abs=0.01), "counts": counts}
    shares = counted(found.fits["idle"])
    assert sum(shares.values()) == pytest.approx(1.0)
    assert max(shares, key=shares.__getitem__) == counts


def test_what_is_counted_is_not_guessed() -> None:
    """Silent arms alone do not part the kinds: the likeliest are named."""
    found = tried(played(rounds.idle(6.0), (SILENT, SILENT, first_ping(1.0)), watched=20.0))
    told = values(found, "idle-timeout")
    assert told["timeout_s"] == pytest.approx(6.0, abs=0.01)
    assert told["counts"] == "any"
    assert {"any", "data-frames"} <= set(told["counts_perhaps"])


def test_a_backend_that_sweeps_gives_an_interval() -> None:
    """It looks every 2 s for what was quiet for 6 s."""

    def swept(one):
        return math.ceil((rounds.idle(6.0)(one) + one.opened) / 2.0) * 2.0 - one.opened

    told = values(tried(played(swept, watched=20.0, apart=0.37)), "idle-timeout")
    assert 6.0 <= told["timeout_min_s"] < told["timeout_s"] < told["timeout_max_s"] <= 8.0


def test_a_greatest_age() -> None:
    """Busy arms end as the silent ones do."""
    found = tried(played(rounds.age(8.0)))
    assert best(found) == {"max-lifetime"}
    assert values(found, "max-lifetime") == {"age_s": pytest.approx(8.0)}


@pytest.mark.parametrize(
    ("kinds", "ping"), [(PINGS[:1], "application"), (PINGS[1:], "protocol"), (PINGS, "both")], ids=str
)
def test_early_pings(kinds, ping) -> None:
    """The window lies between the latest that was fatal and the earliest that was not."""
    found = tried(played(rounds.early(2.5, kinds, after=0.2), (*ROUND, *LATER)))
    assert best(found) == {"early-ping-abort"}
    assert values(found, "early-ping-abort") == {
        "ping": ping, "window_min_s": 2.0, "window_s": 3.0, "window_max_s": 4.0, "after_s": 0.2,
    }  # fmt: skip


def test_a_window_without_a_later_ping_has_no_upper_end() -> None:
    """What was not tried is not said."""
    told = values(tried(played(rounds.early(20.0, PINGS), ROUND[:5])), "early-ping-abort")
    assert (told["window_s"], told["window_min_s"]) == (1.0, 1.0)
    assert "window_max_s" not in told


@pytest.mark.parametrize(("act", "word"), [("typing", "typing"), ("chat", "message")])
def test_a_message_that_the_backend_cannot_stand(act, word) -> None:
    """A chat message kills all that are open, again and again."""
    found = tried(played(rounds.trigger(act), (*ROUND, fed(2.0, 3))))
    assert best(found) == {"server-error"}
    assert values(found, "server-error") == {"trigger": word, "after_s": 0.01}


def test_a_message_above_a_size() -> None:
    """What the fatal arm sent before was small enough."""

    def too_big(one):
        return next((act.age + 0.01 for act in one.acts if act.size > 2000), math.inf)

    found = tried(played(too_big, (*ROUND, growing((500, 1000, 1900, 3000, 4000)))))
    assert best(found) == {"message-too-big"}
    told = values(found, "message-too-big")
    assert (told["limit_min_bytes"], told["limit_bytes"], told["limit_max_bytes"]) == (1900, 2048, 3000)
    assert told["direction"] == "outbound"


def test_a_size_without_a_message_is_not_measured() -> None:
    """Ends of silent arms tell of none."""
    found = tried(played(rounds.age(8.0), (SILENT, SILENT)))
    assert measured(found, found.fits["size"]) == {}


def test_everybody_at_one_moment() -> None:
    """A restart and a crash look alike in time; how it ended parts them."""
    found = tried(played(rounds.moment(9.0)))
    assert best(found) == {"server-restart", "server-crash"}
    assert values(found, "server-restart") == {"count": 9}


def test_the_connections_of_one_worker() -> None:
    """Some at one moment, while others live on."""
    found = tried(played(rounds.moment(9.0, spared=("2", "4", "6", "8"))))
    assert best(found) == {"worker-timeout"}
    assert values(found, "worker-timeout") == {"count": 5}


def test_a_newer_connection_ends_the_older() -> None:
    """All but the last one."""
    found = tried(played(rounds.rival))
    assert best(found) == {"replaced-by-new-session"}
    assert values(found, "replaced-by-new-session") == {"rivals": 8}


def test_a_greatest_number_of_connections() -> None:
    """Four are let live, the others end at once."""
    found = tried(played(lambda one: 0.05 if one.beside >= 4 else math.inf))
    assert best(found) == {"connection-limit"}
    assert values(found, "connection-limit") == {"limit_connections": 4}


def test_a_token_that_expires() -> None:
    """All with one token, a moment after ``exp``."""
    url = URL.replace("***", f"[jwt exp={EPOCH + 30:.0f}]")
    found = tried(played(lambda one: 30.4 - one.opened, watched=40.0, url=url))
    assert best(found) == {"token-expired"}


@pytest.mark.parametrize("seed", range(6))
def test_resets_at_random_follow_nothing(seed) -> None:
    """No rule is found in them; the mean life is told."""
    found = tried(played(rounds.chance(8.0, seed), watched=20.0))
    assert "network-reset" in best(found)
    assert max(found.lift(cause) for cause in OF_LIVES) == 0.0
    assert 3.0 < values(found, "network-reset")["mean_s"] < 20.0


# Weighing


def test_what_speaks_for_a_cause_course_by_course() -> None:
    """That a pinged arm outlived the time is what parts idle from age; silent arms say little."""
    found = tried(played(rounds.idle(6.0), watched=20.0))
    weights: dict[str, list[float]] = {}
    for weight, one in found.between(causes()["idle-timeout"], causes()["max-lifetime"]):
        weights.setdefault(one.arm, []).append(weight)
    assert min(weights["ping-every-1s"]) > 2
    assert max(abs(weight) for weight in weights["silent"]) < 1
    against_chance = {one.arm: weight for weight, one in found.between(causes()["idle-timeout"], None)}
    assert against_chance["silent"] > 2


def test_no_fault_is_a_bad_reason_for_many_ends() -> None:
    """Whatever ended had a reason of its own: less likely with every end that a rule explains."""
    few, many = (tried(played(rounds.idle(6.0), (SILENT,) * count, watched=20.0)) for count in (2, 6))
    for found in (few, many):
        assert found.unharmed() < found.lift(causes()["idle-timeout"]) - 3
    assert many.unharmed() < few.unharmed() < 0


def test_nothing_ended_nothing_to_explain() -> None:
    """What is left is how probable it is that a cause would have shown by now."""
    facts = Facts(played(rounds.never))
    assert trials(facts, ()) is None
    found = survivors(facts)
    assert found is not None
    assert len(found.courses) == 9
    longer = survivors(Facts(played(rounds.never, watched=200.0)))
    assert longer is not None
    early, idle, age = (causes()[id] for id in ("early-ping-abort", "idle-timeout", "max-lifetime"))
    assert math.exp(found.survival(early)) < 0.05
    for cause in (idle, age):
        assert 0.4 < math.exp(found.survival(cause)) < 1
        assert longer.survival(cause) < found.survival(cause) - 0.3
    assert survivors(Facts(Tale().trace())) is None


# Words


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (course(arm="silent", until=12.04), "arm silent lived for 12.0 s without a word from us"),
        (course(until=6.0, died=True), "connection 1 was silent and ended at an age of 6.0 s"),
        (
            course((0.1, "app-ping"), arm="ping-at-0s", until=0.3, died=True),
            "arm ping-at-0s ended at an age of 0.3 s, 0.2 s after our ping",
        ),
        (
            course((2.0, "typing"), (4.0, "protocol-ping"), until=4.5, died=True),
            "connection 1 ended at an age of 4.5 s, 0.5 s after our ping (RFC 6455)",
        ),
        (course((2.0, "message"), until=4.0, died=True), "connection 1 ended at an age of 4.0 s, 2.0 s after our message"),
        (
            course((1.0, "typing"), (2.0, "chat"), (3.0, "typing"), until=9.0),
            "connection 1 lived for 9.0 s with 3 × typing message, chat message",
        ),
    ],
)  # fmt: skip
def test_a_course_in_a_sentence(what, words) -> None:
    """What became of it, and what we had done."""
    assert sentence(what) == words


def test_a_sentence_has_its_events() -> None:
    """Those that show the end."""
    trace = played(rounds.idle(6.0), watched=20.0)
    for one in tried(trace).courses:
        seen = observation(one)
        assert (seen.of, seen.value, seen.finding) == ("arm", one.arm, sentence(one))
        assert "transport" in str(trace[trace.index(seen.events[-1])])


# What is missing


def missing(arms: tuple[Treatment, ...], **options: object) -> tuple[str, ...]:
    return untried(Facts(played(rounds.never, arms, **options)))  # type: ignore[arg-type]


def test_a_whole_round_leaves_nothing_untried() -> None:
    """And beside it, chat and altered openings are no harm."""
    assert missing(ROUND) == ()
    assert missing(first_round(stabilise=5.0, interval=30.0)) == ()
    assert missing((*ROUND, fed(2.0), GARBAGE_TOKEN)) == ()


ALIKE = {
    "silent": "no silent connection was watched for as long as the others",
    "ping-at-0s": "no connection sent an application ping right after opening",
    "ping-rfc6455-at-0s": "no connection sent an RFC 6455 ping right after opening",
    "ping-every-1s": "no connection kept sending an application ping",
    "ping-rfc6455-every-1s": "no connection kept sending an RFC 6455 ping",
    "typing-every-1s": "no typing message was sent",
}


@pytest.mark.parametrize("arm", ALIKE)
def test_each_missing_arm_is_named(arm) -> None:
    """By what it would have told, and only that."""
    assert missing(tuple(one for one in ROUND if one.id != arm), alone=False) == (ALIKE[arm],)


def test_a_short_look_is_none() -> None:
    """A silent arm of two seconds beside others of twelve."""
    tale = Tale()
    arms = (SILENT, *ROUND[1:-1])
    for name, plan in enumerate(rounds.planned(arms, 12.0, 0.2, alone=False)):
        arm = arms[name]
        until = 3.0 if arm is SILENT else plan.until
        rounds.tell(tale, replace(plan, until=until), arm, math.inf, rounds.cut)
    assert untried(Facts(tale.trace())) == (ALIKE["silent"],)
    assert untried(Facts(Tale().trace())) == ("no connection opened",)


def test_a_chat_message_does_not_break_a_silence() -> None:
    """It goes out over HTTP, on another connection."""
    assert missing((fed(2.0), *ROUND[1:-1]), alone=False) == ()
    assert ALIKE["silent"] in missing((control(5.0, 30.0), every(1.0, "typing")), alone=False)
