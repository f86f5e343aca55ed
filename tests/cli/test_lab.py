"""``chatkit lab`` as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from websockets.sync.client import connect

from chatkit import cli
from chatkit.faults import CATALOGUE
from chatkit.lab import LabServer


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    """A lab process and its ready line; killed if the test leaves it running."""
    command = [sys.executable, "-W", "error", "-m", "chatkit", "lab", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def test_the_ready_line_is_enough_to_chat() -> None:
    """URL, bots and token as promised; Ctrl-C ends it with 130, an open socket or not."""
    with running("--bot", "echo", "--bot", "<b>Mine</b>", "--fault", "stuck-typing", "--seed", "3") as (
        lab,
        ready,
    ):
        assert ready["ready"] is True
        assert ready["bots"] == [{"id": "echo", "name": "Echo"}, {"id": "b-mine-b", "name": "<b>Mine</b>"}]
        assert ready["faults"] == ["stuck-typing"]
        headers = {"Authorization": f"Bearer {ready['token']}"}
        assert httpx.get(f"{ready['url']}/api/bots/echo", headers=headers, trust_env=False).status_code == 200
        login = {"username": ready["user"], "password": ready["password"]}
        assert httpx.post(f"{ready['url']}/api/auth/login", json=login, trust_env=False).status_code == 200
        with connect(f"{ready['ws_url']}/api/ws/chat/echo?token={ready['token']}", proxy=None) as ws:
            assert json.loads(ws.recv())["type"] == "connection_established"
            lab.send_signal(signal.SIGINT)
            out, err = lab.communicate(timeout=10)
    assert (lab.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert "eyJ" not in err


def test_sigterm_is_an_orderly_end() -> None:
    """Exit code 0."""
    with running() as (lab, ready):
        assert [bot["id"] for bot in ready["bots"]] == ["echo", "storyteller", "slow"]
        lab.terminate()
        _, err = lab.communicate(timeout=10)
    assert lab.returncode == 0
    assert "Traceback" not in err


def test_capabilities_are_chosen_and_a_lab_that_stalls_hears_ctrl_c() -> None:
    """The ready line has them; the stall is only over with the process."""
    arguments = ("--capability", "resume", "--capability", "idempotency", "--fault", "stall:after=0.2,duration=3600")
    with running(*arguments) as (lab, ready):
        assert ready["capabilities"] == ["idempotency", "resume"]
        time.sleep(0.3)
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{ready['url']}/health", trust_env=False, timeout=0.3)
        lab.send_signal(signal.SIGINT)
        _, err = lab.communicate(timeout=10)
    assert lab.returncode == 130
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["--fault", "idle-timeut:timeout=1"], "did you mean 'idle-timeout'"),
        (["--fault", "idle-timeout"], "needs the key 'timeout'"),
        (["--host", "0.0.0.0"], "--i-know"),
        (["--port", "70000"], "no port"),
        (["--port", "-1"], "no port"),
        (["--capability", "telepathy"], "no such capability"),
    ],
)
def test_what_cannot_work(arguments, fragment, capsys) -> None:
    """Exit code 2 and the remedy on stderr, nothing on stdout."""
    assert cli.main(["lab", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert fragment in shown.err


def test_a_taken_port(capsys) -> None:
    """Named in the message."""
    with LabServer() as lab:
        port = lab.url.rsplit(":", 1)[1]
        assert cli.main(["lab", "--port", port]) == 2
    assert f"port {port} is taken" in capsys.readouterr().err


def test_list_faults(capsys) -> None:
    """Every id with its keys, for people."""
    assert cli.main(["lab", "--list-faults"]) == 0
    shown = capsys.readouterr().out
    assert all(kind.signature() in shown and kind.summary in shown for kind in CATALOGUE.values())
    assert "acts on the path" in shown


def test_a_fault_of_the_path() -> None:
    """The ready line names the hop, and the backend behind it."""
    with running("--fault", "upgrade-stripped") as (_, ready):
        assert ready["url"] != ready["direct_url"]
        headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        path = f"/api/ws/chat/echo?token={ready['token']}"
        key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        assert httpx.get(f"{ready['url']}{path}", headers=headers | key, trust_env=False).status_code == 404
        with connect(f"{str(ready['direct_url']).replace('http', 'ws')}{path}", proxy=None) as ws:
            assert json.loads(ws.recv())["type"] == "connection_established"


def test_list_faults_as_json(capsys) -> None:
    """One document, for machines."""
    assert cli.main(["lab", "--list-faults", "--json"]) == 0
    faults = json.loads(capsys.readouterr().out)
    assert [fault["id"] for fault in faults] == list(CATALOGUE)
    idle = next(fault for fault in faults if fault["id"] == "idle-timeout")
    assert idle["parameters"][0]["required"] is True
    assert {fault["acts"] for fault in faults} == {"server", "path"}
    assert "protocol-ping" in idle["parameters"][1]["allowed"]
