"""A watch in the background of a notebook."""

from __future__ import annotations

import pytest

from chatkit.canary import start_watch
from chatkit.errors import InvalidInput
from chatkit.lab import LabServer
from conftest import until_sync


def test_it_runs_until_it_is_closed(tmp_path) -> None:
    """What it has seen can be asked for meanwhile."""
    with LabServer() as lab:
        plan = {"targets": {"lab": {"url": lab.url, "bot": "echo", "connections": 1}}}
        with start_watch(plan, tmp_path / "c", tokens={"lab": lab.token}) as watch:
            until_sync(lambda: len(watch.seen.targets["lab"].open) == 1)
            assert "watching lab into" in str(watch)
            assert watch.metrics_url is None
        watch.close()
        assert watch.seen.targets["lab"].left == 1


def test_a_token_for_nobody(tmp_path) -> None:
    """A slip of the pen."""
    with pytest.raises(InvalidInput, match="a token for no target"):
        start_watch({"targets": {"a": {"url": "http://h", "bot": "b"}}}, tmp_path, tokens={"b": "x"})
