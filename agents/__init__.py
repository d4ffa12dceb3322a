"""Search strategies that learn from preferences alone."""
