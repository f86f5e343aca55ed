"""Fixtures that every test may use."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("laptop", deadline=None, max_examples=50)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")
