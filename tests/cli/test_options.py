"""The shared options: where secrets come from, and what is said when they do not."""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from chatkit import cli
from chatkit.cli.options import add_target, read_target
from chatkit.errors import ChatkitError, InvalidInput, ProfileError

TOKEN = "abc.DEF-123_456"


def read(*arguments: str):
    """The target of a command line."""
    parser = argparse.ArgumentParser()
    add_target(parser)
    return read_target(parser.parse_args(["http://127.0.0.1:1", "--bot", "b", *arguments]))


def test_a_token_from_each_place(tmp_path, monkeypatch) -> None:
    """Environment, file, argument; line ends around it do not count."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    monkeypatch.setenv("A_TOKEN", f" {TOKEN}\n")
    places = (["--token-env", "A_TOKEN"], ["--token-file", str(path)], ["--token", TOKEN])
    assert [read(*place).token for place in places] == [TOKEN] * 3
    assert TOKEN not in repr(read("--token", TOKEN))


def test_nothing_given() -> None:
    """No token, the built-in profile, proxies as the environment says."""
    target = read()
    assert (target.token, target.user, target.password, target.proxy, target.profile.name) == (
        None,
        None,
        None,
        True,
        "default",
    )


def test_login_profile_policy_proxy(tmp_path, monkeypatch) -> None:
    """All of them arrive."""
    path = tmp_path / "p.toml"
    path.write_text('name = "ours"\n[client]\nping_interval = 7\n')
    monkeypatch.setenv("PW", " a password ")
    target = read(
        "--user", "ada", "--password-env", "PW", "--profile", str(path), "--policy", "incident-before", "--no-proxy"
    )
    assert (target.user, target.password, target.proxy) == ("ada", " a password ", False)
    assert (target.profile.name, target.profile.client.ping_interval, target.profile.client.stabilise) == ("ours", 7, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--token-env", "NOT_THERE"], "NOT_THERE is not set"),
        (["--token-env", "EMPTY"], "EMPTY is empty"),
        (["--token-file", "/nowhere/token"], "cannot be read: No such file"),
        (["--token-file", "/"], "cannot be read"),
        (["--token-file", "/dev/zero"], "too big"),
        (["--token-file", "/dev/null"], "the token is empty"),
        (["--token", "two words"], "no token"),
        (["--token", "line\nbreak"], "no token"),
        (["--token", "ümlaut"], "no token"),
        (["--user", "ada"], "both user and password"),
        (["--password-env", "EMPTY"], "both user and password"),
        (["--user", "ada", "--password-env", "NOT_THERE"], "NOT_THERE is not set"),
        (["--policy", "wild"], "incident, incident-before"),
        (["--bot", ""], "no bot"),
    ],
)
def test_what_cannot_work(arguments, words, monkeypatch) -> None:
    """Says what, where, and never the secret."""
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("NOT_THERE", raising=False)
    with pytest.raises(InvalidInput) as caught:
        read(*arguments)
    assert words in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("two words", "line\nbreak", "ümlaut"))


def test_a_malformed_profile(tmp_path) -> None:
    """Key and line."""
    path = tmp_path / "p.toml"
    path.write_text('name = "x"\n[client]\nping_interval = "often"\n')
    with pytest.raises(ProfileError) as caught:
        read("--profile", str(path))
    assert (caught.value.line, caught.value.key) == (3, "client.ping_interval")


def test_two_tokens_are_a_usage_error(capsys) -> None:
    """Neither is repeated."""
    with pytest.raises(SystemExit) as ended:
        read("--token", TOKEN, "--token-env", "X")
    assert ended.value.code == 2
    assert TOKEN not in capsys.readouterr().err


def test_errors_are_errors_of_chatkit() -> None:
    """So that the dispatch shows them as text."""
    assert issubclass(InvalidInput, ChatkitError)


# What every verb says of a target that cannot be used


@pytest.fixture
def chatkit(capsys, monkeypatch):
    """As the process of the other tests, but in this one: a start costs half a second, and here are many."""

    def run(*arguments: str, **variables: str) -> SimpleNamespace:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        try:
            code = cli.main(arguments)
        except SystemExit as ended:
            code = ended.code
        shown = capsys.readouterr()
        assert not [secret for secret in (*variables.values(), "eyJ") if secret in shown.out + shown.err]
        return SimpleNamespace(returncode=code, stdout=shown.out, stderr=shown.err)

    return run


VERBS = [["check"], ["chat", "--once", "x"], ["record", "--for", "1", "--out", "OUT"]]


@pytest.fixture(params=VERBS, ids=lambda verb: verb[0])
def verb(request, tmp_path) -> list[str]:
    """Each verb with what it needs."""
    return [str(tmp_path / "f.jsonl") if word == "OUT" else word for word in request.param]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:80", "http://[::1", "http://h/?token=opaque-secret"])
def test_wrong_urls(chatkit, verb, url, tmp_path) -> None:
    """Their own message; no file is left behind."""
    done = chatkit(*verb, url, "--bot", "b")
    assert done.returncode == (1 if verb[0] == "check" else 2)
    assert "URL" in done.stdout + done.stderr
    assert "opaque-secret" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_host_down(chatkit, verb) -> None:
    """Nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        done = chatkit(*verb, url, "--bot", "b")
    assert done.returncode == (1 if verb[0] == "check" else 2)
    assert "nobody listens there" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("user", "ttl", "bot", "words"),
    [
        ("ada", None, "nope", "there is no such bot"),
        ("mallory", None, "echo", "it is the permission"),
        ("ada", -240, "echo", "it is the token (expired 4 min ago"),
        ("nobody", None, "echo", "the HTTP API refuses it too"),
        (None, None, "echo", "--token-env NAME, --token-file FILE or --token TOKEN"),
    ],
)
def test_refusals(chatkit, verb, lab, user, ttl, bot, words) -> None:
    """403 five times, told apart five times."""
    house = lab()
    token = {"TOKEN": house.token_for(user, ttl)} if user else {}
    arguments = ["--token-env", "TOKEN"] if user else []
    done = chatkit(*verb, house.url, "--bot", bot, *arguments, **token)
    assert done.returncode == (1 if verb[0] == "check" else 2)
    assert words in done.stdout + done.stderr


def test_wrong_path(chatkit, verb, lab, tmp_path_factory) -> None:
    """A good token and a good bot leave the path."""
    house, profile = lab(), tmp_path_factory.mktemp("profile") / "p.toml"
    profile.write_text('[paths]\nchat_socket = "/ws/{bot_id}"\n')
    done = chatkit(*verb, house.url, "--bot", "echo", "--token-env", "T", "--profile", str(profile), T=house.token)
    assert done.returncode == (1 if verb[0] == "check" else 2)
    assert "paths.chat_socket" in done.stdout + done.stderr


def test_a_token_as_an_argument_is_nowhere(chatkit, verb, lab) -> None:
    """Nor in the complaint about a mistyped option."""
    house = lab()
    token = house.token
    for arguments in (["--token", token], ["--tokn", token], ["--token-env", "T", "--token", token]):
        done = chatkit(*verb, house.url, "--bot", "echo", *arguments)
        assert token not in done.stdout + done.stderr


def test_a_broken_profile(chatkit, verb, tmp_path_factory) -> None:
    """Key and line on stderr, exit code 2."""
    profile = tmp_path_factory.mktemp("profile") / "p.toml"
    profile.write_text("[client]\nstabilize = 3\n")
    done = chatkit(*verb, "http://127.0.0.1:1", "--bot", "b", "--profile", str(profile))
    assert (done.returncode, done.stdout) == (2, "")
    assert "line 1" not in done.stderr
    assert "line 2, key client.stabilize" in done.stderr
    assert "'stabilise'?" in done.stderr


@pytest.mark.parametrize("verb_name", ["check", "chat", "record"])
def test_help_imports_nothing_heavy(verb_name) -> None:
    """That is what keeps it quick."""
    code = (
        "import sys, atexit\n"
        "heavy = ['fastapi', 'uvicorn', 'pydantic', 'jwt', 'websockets', 'numpy', 'httpx']\n"
        "atexit.register(lambda: print([m for m in heavy if m in sys.modules], file=sys.stderr))\n"
        f"from chatkit.cli import main; sys.exit(main([{verb_name!r}, '--help']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "[]\n")
