"""``chatkit fleet connect`` as a process."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import time

import pytest

from .conftest import PATIENCE, command, environment

CONNECT = ("fleet", "connect")


def words(house, connections: int, seconds: float, *more: str) -> tuple[str, ...]:
    return (
        *CONNECT,
        house.url,
        "--bot",
        "echo",
        "--connections",
        str(connections),
        "--for",
        str(seconds),
        "--token-env",
        "T",
        *more,
    )


def test_text_and_recording(chatkit, lab, tmp_path) -> None:
    """What opened, how fast, how long it lived, what it took; the recording has them all."""
    house = lab()
    done = chatkit(*words(house, 10, 1, "--rate", "100", "--out", str(tmp_path / "d")), T=house.token)
    assert (done.returncode, done.stderr) == (0, "")
    for said in ("10 of 10 attempts", "100.0 % alive", "KiB a connection", "none was met"):
        assert said in done.stdout
    assert (tmp_path / "d" / "load.jsonl").exists()


def test_the_limit_of_the_backend(chatkit, lab) -> None:
    """One document names it, and how many were open."""
    house = lab("connection-limit:limit=8,status=503")
    done = chatkit(*words(house, 40, 1.5, "--rate", "100", "--json"), T=house.token)
    assert (done.returncode, done.stderr) == (0, "")
    facts = json.loads(done.stdout)
    assert (facts["schema"], facts["connections"]["most_open"]) == ("chatkit.load/1", 8)
    assert [(one["whose"], one["connections"]) for one in facts["limits"]] == [("backend", 8)]


def test_the_limit_of_this_machine(lab) -> None:
    """A process with few descriptors meets its own limit, says so, and stops at once."""
    house = lab()
    few = 40
    done = subprocess.run(
        command(*words(house, 200, 2, "--rate", "200", "--json")),
        env=environment(T=house.token), capture_output=True, text=True, timeout=PATIENCE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (few, few)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    (limit,) = facts["limits"]
    assert limit["whose"] == "machine"
    assert f"({few})" in limit["because"]
    assert 5 < limit["connections"] < few
    assert facts["connections"]["attempted"] < 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_closes_all_and_tells_what_is_known(lab, number) -> None:
    """Exit code 130, one document, nobody left at the backend."""
    house = lab()
    process = subprocess.Popen(
        command(*words(house, 30, 600, "--rate", "200", "--json")),
        env=environment(T=house.token), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + PATIENCE
    while len(house.stats.peers) < 30 and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, "")
    facts = json.loads(out)
    assert facts["interrupted"] is True
    assert (facts["connections"]["opened"], facts["connections"]["died"]) == (30, 0)


def test_refused_from_the_start(chatkit, lab) -> None:
    """Nothing opened: exit code 2, and still what is known."""
    house = lab()
    done = chatkit(*CONNECT, house.url, "--bot", "nope", "--connections", "5", "--for", "1", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["connections"]["opened"] == 0
    assert "no connection came about" in done.stderr


def test_load_on_others_is_refused(chatkit) -> None:
    """Before anything is looked up or sent."""
    done = chatkit(*CONNECT, "https://chat.example", "--bot", "b", "--connections", "51", "--for", "1")
    assert done.returncode == 2
    assert "--i-own-this" in done.stderr
