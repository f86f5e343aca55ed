"""Sans-I/O: bytes + direction + time → events. The live client, the tap and the capture importer share this room."""

from chatkit.wire.reader import WireReader

__all__ = ["WireReader"]
