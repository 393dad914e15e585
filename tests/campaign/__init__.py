"""A long campaign of faults and bad input, beside the tests: ``make campaign``."""
