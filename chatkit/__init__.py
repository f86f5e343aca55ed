"""chatkit: why does this chat WebSocket drop, and what makes it stop?"""

__version__ = "0.1.0"
