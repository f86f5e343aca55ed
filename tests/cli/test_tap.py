"""``chatkit tap`` as a process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

import chatkit
from chatkit import cli
from tests.cli.conftest import PATIENCE, command, environment


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    """A tap and its ready line; killed if the test leaves it running."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment()}
    with subprocess.Popen(command("tap", *arguments), **options) as process:  # type: ignore[call-overload]
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def test_ctrl_c_leaves_a_complete_recording(lab, tmp_path) -> None:
    """Exit code 130 with an open socket; a second line of JSON says what was recorded; no token anywhere."""
    behind, out = lab(), tmp_path / "r.jsonl"
    arguments = ["--to", behind.url, "--out", str(out), "--listen", "127.0.0.1:0", "--json"]
    with running(*arguments, "--fault", "frame-duplicate:share=0", "--seed", "3") as (tap, ready):
        assert ready | {"url": 0, "ws_url": 0} == {
            "ready": True, "url": 0, "ws_url": 0, "to": behind.url, "out": str(out),
            "faults": ["frame-duplicate:share=0"], "ca": None,
        }  # fmt: skip
        with connect(f"{ready['ws_url']}/api/ws/chat/echo?token={behind.token}", proxy=None) as websocket:
            assert json.loads(websocket.recv())["type"] == "connection_established"
            tap.send_signal(signal.SIGINT)
            shown, told = tap.communicate(timeout=PATIENCE)
    assert tap.returncode == 130
    document = json.loads(shown)
    assert (document["schema"], document["file"]) == ("chatkit.recording/1", str(out))
    assert [one["state"] for one in document["connections"]] == ["ended"]
    assert "Traceback" not in told
    assert "eyJ" not in shown + told + out.read_text()
    assert chatkit.load(out).warnings == ()


def test_sigterm_is_an_orderly_end_and_the_ca_is_beside_the_recording(lab, tmp_path) -> None:
    """Exit code 0, text for people."""
    with running("--to", lab().url, "--out", str(tmp_path / "r.jsonl"), "--tls") as (tap, ready):
        assert ready["ca"] == str(tmp_path / "r.ca.pem")
        import ssl

        trusting = ssl.create_default_context(cafile=str(ready["ca"]))
        assert httpx.get(f"{ready['url']}/health", verify=trusting, trust_env=False).status_code == 200
        tap.terminate()
        shown, _ = tap.communicate(timeout=PATIENCE)
    assert tap.returncode == 0
    assert "2 events of" in shown


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["--to", "http://127.0.0.1:1/path"], "no path"),
        (["--listen", "nowhere"], "host:port"),
        (["--fault", "frame-dorp"], "did you mean 'frame-drop'"),
        (["--ca", "nowhere.pem"], "authorities cannot be read"),
        (["--out", "/nowhere/at/all.jsonl"], "cannot be written"),
    ],
)
def test_what_cannot_work(arguments, fragment, capsys, tmp_path) -> None:
    """Exit code 2 and the remedy on stderr, nothing on stdout."""
    base = ["--to", "http://127.0.0.1:1", "--out", str(tmp_path / "r.jsonl")]
    assert cli.main(["tap", *base, *arguments]) == 2
    shown = capsys.readouterr()
    assert (shown.out, fragment in shown.err) == ("", True)


def test_a_port_in_use(capsys, tmp_path) -> None:
    """Named; no file is left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert cli.main(["tap", "--to", "http://h", "--listen", port, "--out", str(tmp_path / "r.jsonl")]) == 2
    assert f"127.0.0.1:{port}: Address already in use" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_told_and_is_the_exit_code(lab) -> None:
    """The path goes on; the recording is not complete."""
    with running("--to", lab().url, "--out", "/dev/full", "--overwrite") as (tap, ready):
        assert httpx.get(f"{ready['url']}/health", trust_env=False).status_code == 200
        tap.send_signal(signal.SIGINT)
        _, told = tap.communicate(timeout=PATIENCE)
    assert tap.returncode == 2
    assert "No space left on device" in told
    assert "the recording is not complete" in told


def test_help_names_every_option(capsys) -> None:
    """And ends with 0."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["tap", "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--listen", "--to", "--out", "--tls", "--ca", "--rename", "--fault"))
