"""The steps below HTTP, each on its own: the name, a TCP connection, a TLS handshake."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from chatkit.client.opening import Address, Resolver, describe_tls, dial
from chatkit.preflight import judge
from chatkit.preflight.judge import Line, ms


class Place:
    """Where a base URL points to; its steps are taken in the order of the methods.

    Args:
        base: base URL with an HTTP scheme.
        resolver: looks the name up.
    """

    def __init__(self, base: str, resolver: Resolver) -> None:
        parts = urlsplit(base)
        self.secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.secure else 80)
        self._resolver = resolver
        self._addresses: Sequence[Address] = ()

    async def resolve(self) -> Line:
        """The name's addresses."""
        began = time.monotonic()
        self._addresses = await self._resolver(self.host, self.port)
        if not self._addresses:
            return Line(status="fail", summary=f"{self.host} has no address", remedy="check the name, VPN and DNS")
        shown = list(dict.fromkeys(str(address[0]) for _, address in self._addresses))
        summary = f"{self.host} is {', '.join(shown[:4])}, found in {ms(time.monotonic() - began)}"
        if shown == [self.host]:
            summary = f"{self.host} is an address already"
        return Line(status="pass", summary=summary, details={"addresses": shown[:16]})

    async def connect(self) -> Line:
        """A TCP connection, closed at once."""
        sock, address, seconds = await dial(self._addresses)
        sock.close()
        summary = f"connected to {address[0]} port {self.port} in {ms(seconds)}"
        return Line(status="pass", summary=summary, details={"address": str(address[0]), "port": self.port})

    async def shake_hands(self) -> Line:
        """A TLS handshake with the usual verification, cut at once."""
        sock, _, _ = await dial(self._addresses)
        began = time.monotonic()
        try:
            _, writer = await asyncio.open_connection(
                sock=sock, ssl=ssl.create_default_context(), server_hostname=self.host
            )
        except BaseException:
            sock.close()
            raise
        seconds = time.monotonic() - began
        found = describe_tls(writer.get_extra_info("ssl_object"))
        writer.transport.abort()
        return judge.certificate(found, seconds, time.time())
