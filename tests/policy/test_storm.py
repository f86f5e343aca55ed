"""The policy simulator: nobody gives up who follows chatkit's own policy, and the host is not overrun."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import chatkit.policy
from chatkit import display
from chatkit.behaviour import Client, Row, Signal
from chatkit.errors import InvalidInput
from chatkit.events import CloseReceived
from chatkit.policy import crowd
from chatkit.policy.presets import PRESETS
from chatkit.policy.reconnect import Loss
from chatkit.policy.storm import Storm, busiest, quantile, simulate

RULES = Client()
LAST = RULES.suspend_probe * (1 + RULES.suspend_jitter) + RULES.retry_base
"""Seconds after the host's return by which everybody is back: the longest look at its health, and the pause after."""


def close(code: int) -> CloseReceived:
    """The server's close frame."""
    return CloseReceived(id="1", at=0.0, connection="1", code=code)


def times(storm: Storm) -> list[float]:
    """Seconds to recovery of everybody, in order; all of them came back."""
    back = sorted(seconds for seconds in storm.recovery if seconds is not None)
    assert len(back) == storm.clients
    return back


# Chatkit's own policy


@given(st.floats(0, 7200), st.integers(0, 2**32))
@example(20.0, 0)
@example(45.0, 0)
@example(300.0, 0)
def test_nobody_gives_up(outage: float, seed: int) -> None:
    """Whatever the outage: everybody recovers, within one look at the host's health."""
    storm = simulate(outage, 20, seed=seed)
    assert (storm.gave_up, storm.waiting) == (0, 0)
    back = times(storm)
    assert 0 <= back[0] <= back[-1] <= LAST
    assert (storm.recovery_median, storm.recovery_p90, storm.recovery_max) == (back[9], back[17], back[19])


@given(st.floats(0, 2000), st.integers(0, 2**32), st.sampled_from([Signal.NO_CLOSE_FRAME, close(1012), close(1013)]))
def test_attempts_keep_their_distance(outage: float, seed: int, loss: Any) -> None:
    """One client's are a second apart at least, and few."""
    storm = simulate(outage, loss=loss, seed=seed)
    gaps = [later - earlier for earlier, later in itertools.pairwise(storm.attempts)]
    assert min(gaps, default=1.0) >= RULES.retry_floor - 1e-9
    assert len(storm.attempts) <= RULES.retry_attempts + outage / RULES.suspend_attempt + 2


def test_a_suspended_client_probes() -> None:
    """Every 24 to 36 s after the fast retries; and one attempt every five minutes, whatever the probes say."""
    storm = simulate(3000, 10)
    assert all(1 + 3000 / 336 - 2 <= each - RULES.retry_attempts <= 3000 / 300 + 2 for each in storm.attempts_each)
    assert 10 * (3000 - 62) / 36 - 10 <= storm.probes <= 10 * (3000 / 24)


def test_a_restart_is_spread() -> None:
    """A 1012 that is over at once: over nine seconds instead of one."""
    restart, cut = (simulate(0, 1000, loss=loss) for loss in (close(1012), Signal.NO_CLOSE_FRAME))
    assert cut.peak_after_s == 1000
    assert restart.peak_after_s < 200
    assert 1 <= min(restart.attempts)
    assert times(restart)[-1] <= 10


def test_a_host_that_accepts_few_gets_everybody_back() -> None:
    """Whoever is refused with 503 comes again; never more per second than it accepts are connected."""
    storm = simulate(45, 500, accept_rate=20)
    assert (storm.gave_up, storm.waiting) == (0, 0)
    assert times(storm)[-1] >= (500 - 20) / 20
    assert busiest(times(storm), 1.0) <= 40


# Others


def test_textbook_gives_up() -> None:
    """Full jitter and five attempts: three of four clients are gone after 20 s, all of them after 31 s."""
    share = [simulate(20, 1000, policy="textbook", seed=seed).gave_up for seed in range(5)]
    assert all(0.72 < each < 0.83 for each in share)
    assert simulate(31, 1000, policy="textbook").gave_up == 1
    assert simulate(31, 1000, policy="textbook").recovery_max is None


def test_textbook_without_jitter_comes_back_as_one() -> None:
    """1 + 2 + 4 + 8 + 16 s: all of them in the second in which the host is back, or never."""
    storm = simulate(20, 1000, policy="textbook-no-jitter")
    assert sorted(set(storm.attempts)) == [1, 3, 7, 15, 31]
    assert storm.peak_after_s == storm.peak_after_100ms == 1000
    assert storm.recovery_median == storm.recovery_max == 11
    assert simulate(31.5, policy="textbook-no-jitter").gave_up == 1


def test_the_incidents_front_end() -> None:
    """2, 2, 4, 8, 16 s after a cut, in step; then it fails."""
    # The first wait is the cut's own; the failed attempts after it know 2, 4, 8, 16 s.
    assert list(simulate(100, policy="incident").attempts) == [2, 4, 8, 16, 32]
    assert simulate(100, policy="incident").gave_up == 1


def test_values_of_ones_own() -> None:
    """A profile's behaviour, called so."""
    patient = msgspec.structs.replace(RULES, suspend=False, retry_attempts=50)
    assert simulate(120, 10, policy=patient).gave_up == 0
    assert simulate(120, 10, policy=patient).policy == "own"
    assert simulate(3600, 10, policy=msgspec.structs.replace(RULES, give_up_after=600.0)).gave_up == 1


# Decisions other than waiting


@pytest.mark.parametrize(
    ("loss", "outage", "each", "gave_up"),
    [
        # our own goodbye, and the server's: do not come back
        (Signal.LOCAL_CLOSE, 0, 0, 1),
        (close(4500), 0, 0, 1),
        # another token is fetched at once where the host answers, and later where it does not
        (close(4401), 0, 1, 0),
        (close(4401), 3, 3, 0),
        # the API accepts token and bot, so nothing helps; while it does not answer nobody knows
        (403, 0, 0, 1),
        (403, 3, 3, 0),
    ],
    ids=str,
)
def test_other_ways_out(loss: Any, outage: float, each: int, gave_up: float) -> None:
    """Stop, fail, refresh, ask."""
    storm = simulate(outage, 10, loss=loss)
    assert storm.gave_up == gave_up
    assert max(storm.attempts_each) <= each


def test_once_within_a_minute() -> None:
    """A row that allows one repetition ends a client at the second failure of its kind."""
    once = msgspec.structs.replace(RULES, rows=(Row(error="OSError", action="reconnect", once=True),))
    assert simulate(30, policy=once).gave_up == 1
    assert simulate(30, policy=once).attempts_each == (2,)


def test_the_horizon_ends_it() -> None:
    """Who is neither back nor gone waits; time that nobody looked at is not counted."""
    storm = simulate(20, 100, horizon_s=10)
    assert (storm.waiting, storm.gave_up, storm.recovery_max) == (100, 0, None)
    assert max(storm.attempts) <= 10


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"outage_s": -1}, "no such outage"),
        ({"outage_s": math.nan}, "no such outage"),
        ({"outage_s": math.inf}, "no such outage"),
        ({"clients": 0}, "nobody to follow"),
        ({"horizon_s": -1.0}, "no such horizon"),
        ({"accept_rate": 0.0}, "no such rate"),
        ({"policy": "best"}, "no such policy"),
        ({"loss": Signal.BAD_MESSAGE}, "ends no connection"),
    ],
    ids=str,
)
def test_what_cannot_be_simulated(arguments: dict[str, Any], words: str) -> None:
    """Is refused, and says why."""
    with pytest.raises(InvalidInput, match=words):
        simulate(**({"outage_s": 20} | arguments))


def test_a_policy_that_never_waits_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would try without end before the clock moves."""
    monkeypatch.setattr(crowd, "MOST", 1000)
    rows = (Row(action="reconnect", wait=(0, 0), every=True),)
    hammer = msgspec.structs.replace(RULES, retry_floor=0.0, retry_attempts=10**9, rows=rows, retry_base=0.0)
    with pytest.raises(InvalidInput, match="tries without end"):
        simulate(20, policy=hammer)


# The value


@given(st.integers(0, 2**32), st.sampled_from(list(PRESETS)))
@settings(max_examples=20)
def test_the_same_seed_gives_the_same_storm(seed: int, policy: str) -> None:
    """And nothing else is random."""
    assert simulate(20, 50, policy=policy, seed=seed) == simulate(20, 50, policy=policy, seed=seed)


def test_another_seed_gives_another_storm() -> None:
    """Unless nothing is drawn."""
    assert simulate(20, 50, seed=1).attempts != simulate(20, 50, seed=2).attempts
    steady = [simulate(20, 50, policy="incident", seed=seed).attempts for seed in (1, 2)]
    assert steady[0] == steady[1]


@pytest.mark.parametrize("policy", PRESETS)
def test_the_figures_agree(policy: str) -> None:
    """Attempts are counted once, in order; peaks are parts of wholes."""
    storm = simulate(25, 200, policy=policy)
    assert sum(storm.attempts_each) == len(storm.attempts)
    assert list(storm.attempts) == sorted(storm.attempts)
    assert storm.peak_after_100ms <= storm.peak_after_s <= storm.peak_per_s <= len(storm.attempts)
    back = sum(seconds is not None for seconds in storm.recovery)
    assert back + storm.given_up + storm.waiting == storm.clients


@given(st.lists(st.floats(0, 20), max_size=30).map(sorted), st.floats(0.1, 5))
def test_busiest(times: list[float], window: float) -> None:
    """As counted from every moment at which a window can begin."""
    most = max((sum(1 for at in times if 0 <= at - first < window) for first in times), default=0)
    assert busiest(times, window) == most


def test_quantile() -> None:
    """By the nearest rank."""
    assert quantile([], 0.5) is None
    assert [quantile([3.0, 1.0, 2.0, 4.0], share) for share in (0.0, 0.25, 0.5, 0.51, 0.9, 1.0)] == [1, 1, 2, 3, 4, 4]


# Faces


def test_one_client_in_words() -> None:
    """A sentence about one, with units."""
    said = str(simulate(45, seed=3))
    assert said.startswith("Policy default: 1 client loses its connection, the host is down for 45 s. Attempts: 6, ")
    assert "1 health probe. It is connected again " in said
    assert said.endswith(" s after the host is back.")


def test_many_clients_in_words() -> None:
    """Those who are gone first."""
    storm = simulate(20, 1000, policy="textbook")
    assert f"{100 * storm.gave_up:.3g} % give up for good. Of the others half come back within" in str(storm)
    assert str(simulate(60, 5, policy="textbook")).endswith("0 once the host is back. 100 % give up for good.")
    assert "100 % still wait at the end." in str(simulate(60, 5, horizon_s=30))
    assert "All come back, half of them within" in repr(simulate(60, 5))


def test_faces_are_the_views_business(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without views there is text; with them, what they register."""
    storm = simulate(1)
    monkeypatch.setattr(display, "_faces", {})
    monkeypatch.setattr(display, "_loader", None)
    assert storm._repr_html_() is None
    with pytest.raises(InvalidInput, match="import chatkit"):
        storm.plot()
    display.register("storm", "html", lambda storm: f"<b>{storm.clients}</b>")
    display.register("storm", "plot", lambda storm, other, **options: (other, options))
    assert storm._repr_html_() == "<b>1</b>"
    assert storm.plot(storm, labels=["a", "b"]) == (storm, {"labels": ["a", "b"], "theme": "both"})


def test_the_room_loads_it_on_first_use() -> None:
    """``chatkit.policy.simulate`` is there; a decision alone brings neither it nor numpy."""
    assert chatkit.policy.simulate is simulate
    with pytest.raises(AttributeError, match="has no attribute 'stimulate'"):
        chatkit.policy.stimulate  # noqa: B018
    code = "import sys, chatkit.policy.reconnect; assert 'chatkit.policy.storm' not in sys.modules; "
    code += "import chatkit.policy.storm; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_loss_of_any_shape() -> None:
    """An exception, a status, a loss: as ``classify`` takes them."""
    for what in (ConnectionResetError(), 502, Loss(code=1006)):
        assert isinstance(simulate(1, loss=what), Storm)
