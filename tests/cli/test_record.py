"""``chatkit record`` as a process."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import time

import pytest

from chatkit.formats import load

from .conftest import PATIENCE, command, environment


def test_a_quiet_life(chatkit, lab, tmp_path) -> None:
    """One line for the connection, one for the file; the file is private, complete and without secrets."""
    house, path = lab(), tmp_path / "f.jsonl"
    done = chatkit(
        "record", house.url, "--bot", "echo", "--for", "0.5", "--out", str(path), "--token-env", "T", T=house.token
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("connection 1: closed by us: 1000")
    assert second.endswith(str(path))
    trace = load(path)
    assert trace.warnings == ()
    assert (len(trace.connections), trace.connections[0].established_at is not None) == (1, True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"eyJ" not in path.read_bytes()


def test_connections_that_die_are_evidence(chatkit, lab, tmp_path) -> None:
    """Exit code 0, one document."""
    house, path = lab("max-lifetime:age=0.1,how=rst"), tmp_path / "f.jsonl"
    done = chatkit(
        *("record", house.url, "--bot", "echo", "--for", "1", "--out", str(path), "--json"),
        *("--user", "ada", "--password-env", "PASSWORD_OF_ADA"),
        PASSWORD_OF_ADA=house.password,
    )
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert (document["schema"], document["file"]) == ("chatkit.recording/1", str(path))
    assert document["events"] == len(load(path))
    assert document["connections"][0]["ending"].startswith("RST by server")
    assert document["connections"][0]["state"] == "ended"


def test_refused_and_nothing_more_to_try(chatkit, lab, tmp_path) -> None:
    """It ends early with exit code 2, says why, and keeps the evidence of the attempt."""
    house, path = lab(), tmp_path / "f.jsonl"
    done = chatkit(
        *("record", house.url, "--bot", "nope", "--for", "600", "--out", str(path), "--json", "--token-env", "T"),
        T=house.token,
    )
    assert done.returncode == 2
    assert json.loads(done.stdout)["connections"][0]["http_status"] == 403
    assert "there is no such bot" in done.stderr
    assert load(path).warnings == ()


def test_a_refused_login(chatkit, lab, tmp_path) -> None:
    """The login's own message."""
    house = lab()
    done = chatkit(
        *("record", house.url, "--bot", "echo", "--for", "1", "--out", str(tmp_path / "f.jsonl")),
        *("--user", "ada", "--password-env", "PW"),
        PW="wrong-password",
    )
    assert done.returncode == 2
    assert "the login was refused" in done.stderr


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c(lab, tmp_path, as_json) -> None:
    """Prints what is known, 130, the file is complete."""
    house, path = lab(), tmp_path / "f.jsonl"
    with subprocess.Popen(
        command(
            *("record", house.url, "--bot", "echo", "--for", "600", "--out", str(path), "--token-env", "T"),
            *(["--json"] if as_json else []),
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(T=house.token),
    ) as process:
        while not house.stats.peers:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, "")
    assert "closed by us: 1000" in out or "cancelled by us" in out
    assert not as_json or json.loads(out)["events"] == len(load(path))
    assert load(path).warnings == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--for", "0"], "no duration"),
        (["--for", "nan"], "no duration"),
        (["--for", "inf"], "no duration"),
        (["--for", "soon"], "invalid float"),
        (["--for", "1", "--out", "/nowhere/f.jsonl"], "cannot be written: No such file"),
        (["--for", "1", "--out", "/etc"], "exists already"),
        (["--for", "1", "--out", "/etc", "--overwrite"], "cannot be written"),
    ],
)
def test_what_cannot_work(chatkit, tmp_path, arguments, words) -> None:
    """Exit code 2 and its own message."""
    done = chatkit("record", "http://127.0.0.1:1", "--bot", "b", "--out", str(tmp_path / "f.jsonl"), *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_overwrite(chatkit, lab, tmp_path) -> None:
    """Only when it is asked for."""
    house, path = lab(), tmp_path / "f.jsonl"
    path.write_text("evidence")
    record = ("record", house.url, "--bot", "echo", "--for", "0.2", "--out", str(path), "--token-env", "T")
    assert chatkit(*record, T=house.token).returncode == 2
    assert path.read_text() == "evidence"
    assert chatkit(*record, "--overwrite", T=house.token).returncode == 0
    assert load(path).warnings == ()
