"""Trainers of other libraries. Each module is imported by its users alone and needs the extra of its name."""
