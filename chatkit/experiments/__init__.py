"""Experiments as data: what is done to connections of ours, which of it tells most, and what its outcome proves."""
