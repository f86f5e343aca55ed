"""The same load from the workers of a Dask cluster that is there already; each takes a share."""

from __future__ import annotations

import asyncio
import threading
import uuid
from contextlib import suppress
from typing import Any

import msgspec

from chatkit.errors import InvalidInput, MissingDependency
from chatkit.fleet.load import Plan, begin, hold
from chatkit.fleet.load_result import Share

POLL = 0.2
"""Seconds between two looks of a worker at whether it is to stop."""
_ANSWER = 3.0
"""Seconds for the workers to hand over what they know after the end."""


def work(plan: Plan, stop: str) -> bytes:
    """What a worker does: holds its share until the time is over or the event called ``stop`` is set."""
    share = begin(plan)
    asyncio.run(_until_stopped(plan, share, stop))
    return msgspec.msgpack.encode(share)


async def _until_stopped(plan: Plan, share: Share, stop: str) -> None:
    from distributed import Event, get_client

    event, over = Event(stop, client=get_client()), threading.Event()
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def watch() -> None:
        while not over.wait(POLL):
            if event.is_set():
                with suppress(RuntimeError):  # the loop is over
                    loop.call_soon_threadsafe(done.set)
                return

    thread = threading.Thread(target=watch, name="chatkit load watches", daemon=True)
    thread.start()
    holding = loop.create_task(hold(plan, share), name="chatkit load")
    waiting = loop.create_task(done.wait(), name="chatkit load stop")
    try:
        await asyncio.wait({holding, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        over.set()
        for task in (holding, waiting):
            if not task.done():
                task.cancel()
        await asyncio.wait({holding, waiting})
    if not holding.cancelled():
        holding.result()


def split(plan: Plan, parts: int) -> list[Plan]:
    """Shares of a plan: connections and rate divided, each with a file of its own."""
    each, rest = divmod(plan.connections, parts)
    sizes = [each + (n < rest) for n in range(parts)]
    return [
        msgspec.structs.replace(
            plan,
            connections=size,
            rate=plan.rate * size / plan.connections,
            out=None if plan.out is None else plan.out.replace(".jsonl", f"-{n}.jsonl"),
        )
        for n, size in enumerate(sizes)
        if size
    ]


async def hold_on_cluster(plan: Plan, address: str, shares: list[Share]) -> None:
    """Splits the plan over the cluster's workers and waits for them.

    Args:
        plan: all of it.
        address: of the scheduler, ``tcp://host:port``.
        shares: gets what each worker did. Cancelling stops the workers and still collects what they know.

    Raises:
        MissingDependency: ``distributed`` is not installed.
        InvalidInput: no scheduler answers there, or it has no workers.
    """
    try:
        from distributed import Client, Event
    except ImportError:
        raise MissingDependency("load from a cluster", package="distributed", extra="fleet") from None
    client: Any = None
    try:
        client = Client(address, asynchronous=True, timeout=10)
        await client
    except (OSError, TimeoutError, ValueError) as error:
        if client is not None:
            await client.close()
        raise InvalidInput(
            "no scheduler answers", expected="tcp://host:port", got=str(error)[:200], where=f"--scheduler {address}"
        ) from None
    try:
        workers = sorted((await client.scheduler.identity())["workers"])
        if not workers:
            raise InvalidInput(
                "the cluster has no workers", where=f"--scheduler {address}", remedy="dask worker ADDRESS"
            )
        stop = f"chatkit-load-{uuid.uuid4().hex}"
        event = await Event(stop, client=client)
        parts = zip(split(plan, len(workers)), workers, strict=False)
        # A share that began must not begin again elsewhere: its connections would be counted twice.
        options: dict[str, Any] = {"pure": False, "retries": 0, "allow_other_workers": False}
        futures = [client.submit(work, part, stop, workers=[worker], **options) for part, worker in parts]
        try:
            await _collect(client, futures, shares)
        except asyncio.CancelledError:
            await event.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(_ANSWER):
                    await _collect(client, futures, shares)
            raise
    finally:
        await client.close()


async def _collect(client: Any, futures: list[Any], shares: list[Share]) -> None:
    shares += [msgspec.msgpack.decode(one, type=Share) for one in await client.gather(futures, errors="skip")]
