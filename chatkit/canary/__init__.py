"""Canaries: a few connections to each of many backends, for days; what they see, and how to read it."""

from chatkit.canary.running import start_watch
from chatkit.canary.watched import watching

__all__ = ["start_watch", "watching"]
