"""One small implementation of the backend contract for each library, run as a process of its own."""
