"""Which similarity of labels agrees best with what people confuse; see ``python -m benchmarks.people --help``."""
