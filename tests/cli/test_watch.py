"""``chatkit watch`` as a process: its ends, and what survives them."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chatkit.canary.watched import watching
from conftest import until_sync

from .conftest import PATIENCE, command, environment

QUICK = "[client]\nstabilise = 0.1\nping_interval = 0.2\nping_jitter = 0.0\nretry_base = 0.05\nretry_floor = 0.02\n"


def targets(folder: Path, house, watch: str = "", target: str = "") -> str:
    """A file of one target, with quick pings."""
    (folder / "quick.toml").write_text(QUICK)
    path = folder / "t.toml"
    path.write_text(
        f'[watch]\nout = "c"\n{watch}\n[targets.t]\nurl = "{house.url}"\nbot = "echo"\ntoken_env = "T"\n'
        f'profile = "quick.toml"\n{target}\n'
    )
    return str(path)


def running(*arguments: str, house, **options: object) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command("watch", *arguments), env=environment(T=house.token), **pipes, **options)


def seen_open(folder: Path, n: int) -> bool:
    if not (folder / "c" / "journal.jsonl").exists():
        return False
    told = watching(folder / "c").targets
    return "t" in told and len(told["t"].open) == n


def test_for_a_while(chatkit, lab, tmp_path) -> None:
    """Ready, status, the end, a document a line; nothing else, and no token."""
    house = lab()
    done = chatkit("watch", targets(tmp_path, house), "--for", "2", "--every", "0.7", "--json", T=house.token)
    assert (done.returncode, done.stderr) == (0, "")
    first, *middle, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["schema"] for one in (first, *middle, last)} == {"chatkit.watch/1"}
    assert (first["kind"], first["targets"]["t"]["connections"], last["kind"]) == ("ready", 2, "ended")
    assert {one["kind"] for one in middle} == {"status"}
    assert (last["targets"]["t"]["opened"], last["targets"]["t"]["open"]) == (2, 0)
    assert (tmp_path / "c" / "rows" / "rows-000001.parquet").exists()


def test_in_words(chatkit, lab, tmp_path) -> None:
    """A line each for people."""
    house = lab("max-lifetime:age=0.3,how=rst")
    done = chatkit("watch", targets(tmp_path, house, "metrics_port = 0"), "--for", "2", T=house.token)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("2 connections to t; evidence in ")
    assert lines[1].startswith("Prometheus: http://127.0.0.1:")
    assert "t/1-1 died: RST by server, age 0.3 s" in done.stdout
    assert lines[-1].startswith("at the end: t: 0 open,")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_signals(lab, tmp_path, number, code) -> None:
    """All says goodbye, and everything is on the disk."""
    house = lab()
    with running(targets(tmp_path, house), "--json", house=house) as process:
        until_sync(lambda: seen_open(tmp_path, 2), PATIENCE)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (code, "")
    assert json.loads(out.splitlines()[-1])["kind"] == "ended"
    seen = watching(tmp_path / "c")
    assert (seen.targets["t"].left, len(seen.rows)) == (2, 2)
    assert not list((tmp_path / "c").rglob("*.part"))


def test_kill_9_and_again(lab, tmp_path) -> None:
    """Less than a second is lost; the next run knows the counters, the lives that were open, and the death."""
    house = lab()
    arguments = (targets(tmp_path, house, "aftermath = 30"), "--json")
    with running(*arguments, house=house) as process:
        until_sync(lambda: seen_open(tmp_path, 2), PATIENCE)
        house.cut("rst")
        until_sync(lambda: watching(tmp_path / "c").targets["t"].died == 2 and seen_open(tmp_path, 2), PATIENCE)
        time.sleep(0.6)
        process.kill()
        killed = time.time()
        process.communicate()
    seen = watching(tmp_path / "c")
    assert killed - seen.at <= 1.0
    assert all(death.trace.warnings == () for death in seen.deaths)  # frozen at once, not after the aftermath
    lived = seen.targets["t"].lived
    with (tmp_path / "c" / "journal.jsonl").open("ab") as file:
        file.write(b'{"at":17')  # as if it had been killed while it wrote
    with running(*arguments, house=house) as process:
        until_sync(lambda: watching(tmp_path / "c")._state.run == 2 and seen_open(tmp_path, 2), PATIENCE)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    seen = watching(tmp_path / "c")
    target = seen.targets["t"]
    assert (target.opened, target.died, target.cut_short, target.left) == (6, 2, 2, 2)
    assert target.lived >= lived
    assert [(row.state, row.ended) for row in seen.rows].count(("open", False)) == 2
    assert len(target.deaths.incidents) >= 1
    assert all(death.death.verdict is not None for death in seen.deaths), "the next run diagnoses what waited"
    assert any("was torn" in problem for problem in seen.problems)
    assert '"notice": {"notice": "line-torn"' in out


def test_a_file_may_not_grow(lab, tmp_path) -> None:
    """RLIMIT_FSIZE: it says so once, goes on watching, and ends in order."""
    house = lab()

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

    with running(targets(tmp_path, house), "--json", house=house, preexec_fn=small) as process:
        lines = []
        while True:
            line = json.loads(process.stdout.readline())
            lines.append(line)
            if line["kind"] == "notice":
                break
        assert "cannot be written, all goes on in memory" in line["text"]
        house.cut("rst")
        while json.loads(process.stdout.readline())["kind"] != "death":
            pass
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")


def test_two_into_one_folder(chatkit, lab, tmp_path) -> None:
    """The second is told, and ends with 2."""
    house = lab()
    path = targets(tmp_path, house)
    with running(path, house=house) as process:
        until_sync(lambda: seen_open(tmp_path, 2), PATIENCE)
        done = chatkit("watch", path, "--for", "1", T=house.token)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (2, "")
    assert "another process watches into this folder" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.toml"], "cannot be read: No such file"),
        (["{t}", "--for", "0"], "no duration"),
        (["{t}", "--every", "nan"], "no duration"),
        (["{t}", "--out", "/proc/nowhere"], "cannot be made"),
    ],
)
def test_what_cannot_work(chatkit, lab, tmp_path, arguments, words) -> None:
    """Exit code 2 and its own message."""
    house = lab()
    path = targets(tmp_path, house)
    done = chatkit("watch", *(one.format(t=path) for one in arguments), T=house.token)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_token_that_is_not_set(chatkit, lab, tmp_path) -> None:
    """Before anything is tried."""
    done = chatkit("watch", targets(tmp_path, lab()))
    assert done.returncode == 2
    assert "the environment variable T is not set" in done.stderr
    assert "targets.t" in done.stderr
    assert "export T=" in done.stderr


def test_help_imports_nothing_heavy() -> None:
    """argparse only."""
    code = (
        "import contextlib, sys, chatkit.cli\n"
        "with contextlib.suppress(SystemExit): chatkit.cli.main(['watch', '--help'])\n"
        "assert not {'numpy', 'websockets', 'pyarrow', 'httpx', 'msgspec'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, env=environment())
