"""DisconnectBench: ``chatkit diagnose`` against incidents whose cause is known."""
