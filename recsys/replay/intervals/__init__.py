"""Intervals of estimates: of fixed samples, by bootstrap, and valid at any time."""
