"""The commands of ``chatkit fleet``."""

from __future__ import annotations

import importlib

import pytest

from chatkit import cli
from chatkit.cli import fleet


def test_help_lists_every_command(capsys) -> None:
    """With its summary."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["fleet", "--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in fleet.COMMANDS:
        assert name in shown
        assert importlib.import_module(f"chatkit.cli.fleet_{name}").SUMMARY in shown


@pytest.mark.parametrize("arguments", [[], ["analyze"], ["analyse"]])
def test_usage(arguments, capsys) -> None:
    """No command, an unknown one, no file."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["fleet", *arguments])
    assert ended.value.code == 2
    assert "usage: chatkit fleet" in capsys.readouterr().err
