"""Metrics. Each counts over rows and divides once, so that results of parts and processes add up."""
