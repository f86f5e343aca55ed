"""The file of targets: what it means, and what its errors say."""

from __future__ import annotations

import pytest

from chatkit.canary.targets import Plan, Settings, load, of, read
from chatkit.errors import InvalidInput

GOOD = """
[watch]
out = "evidence"
metrics_port = 9464

[targets.eu]
url = "https://eu.example.com"
bot = "echo"
token_env = "EU_TOKEN"
region = "eu"

[targets.lab]
url = "http://127.0.0.1:8000"
bot = "echo"
connections = 200
"""


def test_a_file(tmp_path) -> None:
    """Two connections each, unless it says otherwise."""
    path = tmp_path / "t.toml"
    path.write_text(GOOD)
    plan = load(path)
    assert (plan.watch.out, plan.watch.metrics_host) == ("evidence", "127.0.0.1")
    assert (plan.targets["eu"].connections, plan.targets["eu"].region) == (2, "eu")
    assert plan.targets["lab"].connections == 200


def test_the_same_as_a_mapping() -> None:
    """For a notebook."""
    assert of({"targets": {"a": {"url": "http://h", "bot": "b"}}}).targets["a"].bot == "b"
    assert Plan().watch == Settings()


def one(**keys: object) -> str:
    told = {"url": '"http://h"', "bot": '"b"'} | keys
    return "[targets.a]\n" + "".join(f"{key} = {value}\n" for key, value in told.items() if value is not None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["nothing to watch", "(t.toml)", "[targets.NAME]"]),
        ("x", ["not TOML", "(t.toml)"]),
        (
            one(ur='"x"'),
            ["nobody reads the key 'ur'", "t.toml, line 4, key targets.a.ur", "'url'?", "correct the spelling"],
        ),
        ("[watch]\nrings = 3\n" + one(), ["nobody reads the key 'rings'", "line 2, key watch.rings", "'ring'?"]),
        ("[extra]\n" + one(), ["nobody reads the key 'extra'", "key extra"]),
        (one(bot=None), ["the key 'bot' is missing", "key targets.a"]),
        (one(bot='""'), ["no bot is named", "line 3, key targets.a.bot"]),
        (one(bot="7"), ["a value does not fit", "line 3, key targets.a.bot", "Expected: str", "Got: int"]),
        (one(url='"ftp://h"'), ["no URL of a backend", "line 2, key targets.a.url", "http://host:port", "'ftp'"]),
        (one(url='"http://h?token=x"'), ["more than a base", "key targets.a.url"]),
        (one(connections="0"), ["no such number", "line 4, key targets.a.connections", "1 to 12", "Got: 0"]),
        (one(connections="13"), ["no such number", "1 to 12", "Got: 13"]),
        (one(policy='"fast"'), ["no such policy", "key targets.a.policy", "incident"]),
        (one(token_env='"A"', token_file='"B"'), ["two places for one token", "not both"]),
        (one(token='"secret-word"'), ["a secret stands", "line 4, key targets.a.token", "token_env", "revoke"]),
        ("[watch]\nring = 2\n" + one(), ["out of range", "line 2, key watch.ring", "20 to 100000", "Got: 2"]),
        ("[watch]\ndisk_mb = nan\n" + one(), ["out of range", "watch.disk_mb"]),
        ('[watch]\notlp_endpoint = "collector:4318"\n' + one(), ["no OTLP endpoint", "http://host:4318"]),
        ('[targets."a b"]\nurl = "http://h"\nbot = "b"\n', ["name does not fit", "letters, digits"]),
        (
            one(connections="7") + one(connections="6").replace("targets.a", "targets.b"),
            ["too many connections to h", "key targets.b.connections", "at most 12", "Got: 13", "fleet connect"],
        ),
    ],
)
def test_what_cannot_work(text, words) -> None:
    """Names the file, the line, the key, what was expected and what came; never a secret."""
    with pytest.raises(InvalidInput) as caught:
        read(text, "t.toml")
    told = str(caught.value)
    assert all(word in told for word in words), told
    assert "secret-word" not in told


def test_a_file_that_is_not_there(tmp_path) -> None:
    """And one that is no text."""
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        load(tmp_path / "t.toml")
    (tmp_path / "t.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="no UTF-8"):
        load(tmp_path / "t.toml")
