"""``chatkit check`` as a process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess

import pytest

from chatkit.preflight.report import TITLES

from .conftest import PATIENCE, command, environment


def test_healthy(chatkit, lab) -> None:
    """One line per step in the fixed order, no colour without a terminal, exit code 0."""
    house = lab()
    done = chatkit("check", house.url, "--bot", "echo", "--token-env", "T", T=house.token)
    assert (done.returncode, done.stderr) == (0, "")
    places = [done.stdout.index(title) for id, title in TITLES.items() if id not in ("tls", "login")]
    assert places == sorted(places)
    assert "\x1b" not in done.stdout
    assert "try: monitor with GET" in done.stdout


def test_a_failure_is_1(chatkit, lab) -> None:
    """With the meaning of 403 in words."""
    house = lab()
    done = chatkit("check", house.url, "--bot", "nope", "--token-env", "T", T=house.token)
    assert done.returncode == 1
    assert "fail" in done.stdout


@pytest.mark.parametrize(("bot", "code"), [("echo", 0), ("nope", 1)])
def test_json(chatkit, lab, bot, code) -> None:
    """Exactly one document."""
    house = lab()
    done = chatkit("check", house.url, "--bot", bot, "--token-env", "T", "--json", T=house.token)
    assert (done.returncode, done.stderr) == (code, "")
    document = json.loads(done.stdout)
    assert document["schema"] == "chatkit.check/1"
    assert any(line["status"] == "fail" for line in document["checks"]) == bool(code)


def test_with_login_and_pings(chatkit, lab, tmp_path) -> None:
    """The policy that pings at once needs no patience."""
    house = lab()
    arguments = ["--user", "ada", "--password-env", "PW", "--pings", "--policy", "incident-before", "--json"]
    done = subprocess.run(
        command("check", house.url, "--bot", "echo", *arguments),
        env=environment(PW=house.password),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    states = {line["id"]: line["status"] for line in json.loads(done.stdout)["checks"]}
    assert (states["login"], states["ping-application"], states["ping-protocol"]) == ("pass", "pass", "pass")
    # That policy's monitor uses HEAD, so 405 is a failure here.
    assert (done.returncode, states["health-head"]) == (1, "fail")


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c(lab, as_json) -> None:
    """130; what is known is printed first."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        arguments = ["--json"] if as_json else []
        with subprocess.Popen(
            command("check", url, "--bot", "b", *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        ) as process:
            silent.settimeout(PATIENCE)
            first, _ = silent.accept()
            second, _ = silent.accept()  # the TCP line is done: this one waits for an answer
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE)
            first.close()
            second.close()
    assert (process.returncode, err) == (130, "")
    if as_json:
        assert [line["id"] for line in json.loads(out)["checks"]][:3] == ["url", "dns", "tcp"]
    else:
        assert "connected to 127.0.0.1" in out


def test_a_reader_that_goes_away(lab) -> None:
    """``chatkit check … | head -1`` ends quietly."""
    house = lab()
    with subprocess.Popen(
        command("check", house.url, "--bot", "echo", "--token-env", "T"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(T=house.token),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(PATIENCE) == 0


def test_usage() -> None:
    """2."""
    done = subprocess.run(command("check", "http://x"), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert "--bot" in done.stderr
