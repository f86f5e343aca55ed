"""Incidents for DisconnectBench: real servers and proxies on loopback, misbehaving for real reasons."""
