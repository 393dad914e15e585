"""Figures of merit: they count first and divide at the end, so that parts and processes add up."""
