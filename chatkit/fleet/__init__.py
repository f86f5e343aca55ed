"""Many connections."""
