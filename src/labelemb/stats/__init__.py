"""Statistics over seeds: paired intervals and tests."""
