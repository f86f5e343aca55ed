"""Work that is done once at a time for each key: who comes meanwhile gets the same outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """What is being worked on, by key; it forgets each piece of work when that is over."""

    def __init__(self) -> None:
        self._pending: dict[Hashable, asyncio.Future[T]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Does the work, or waits for the one who does.

        What the work raises comes out at everybody. Cancelling one who waits ends his waiting only; when the one
        who works is cancelled, another takes over.
        """
        while (pending := self._pending.get(key)) is not None:
            # wait() tells the two apart: cancelling us raises here, a cancelled worker is just a result.
            await asyncio.wait([pending])
            if not pending.cancelled():
                return pending.result()
        return await self._work(key, work)

    async def _work(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        future = self._pending[key] = asyncio.get_running_loop().create_future()
        try:
            outcome = await work()
        except asyncio.CancelledError:
            future.cancel()
            raise
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # nobody need have waited: without this asyncio would complain
            raise
        else:
            future.set_result(outcome)
            return outcome
        finally:
            del self._pending[key]
