"""Compare policies in simulators."""
