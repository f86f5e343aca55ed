"""Hands of a chat client: one recorded connection, HTTP beside it, and the conversation that lives over many."""

from chatkit.client.background import BackgroundChat, connect
from chatkit.client.chat import ChatClient
from chatkit.client.opening import open_connection
from chatkit.client.pool import BotPool

__all__ = ["BackgroundChat", "BotPool", "ChatClient", "connect", "open_connection"]
