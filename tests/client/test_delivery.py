"""A message on its way, to watch or to await."""

from __future__ import annotations

import asyncio

import pytest

from chatkit.client.delivery import Delivery, Reply
from chatkit.policy.delivery import DeliveryState
from chatkit.policy.ledger import Ledger


def underway() -> tuple[Delivery, Ledger, asyncio.Future[Reply]]:
    ledger = Ledger()
    done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    return Delivery(ledger.sent("hello", 0.0, None).key, ledger, done), ledger, done


async def test_it_shows_what_the_ledger_knows() -> None:
    """State and message change under it."""
    delivery, ledger, _ = underway()
    assert (delivery.state, delivery.message.text) == (DeliveryState.WRITTEN, "hello")
    ledger.failed(delivery.key, DeliveryState.REJECTED, "HTTP 429")
    assert delivery.state is DeliveryState.REJECTED
    assert repr(delivery) == f"<Delivery {delivery.key}: rejected, HTTP 429>"


async def test_awaiting_it_any_number_of_times() -> None:
    """The same reply; a wait that is cancelled leaves the others alone."""
    delivery, _, done = underway()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_wait(delivery), 0)
    assert not done.cancelled()
    done.set_result(Reply(text="hi", via="http"))
    assert [await delivery, await delivery] == [Reply(text="hi", via="http")] * 2


async def _wait(delivery: Delivery) -> Reply:
    return await delivery
