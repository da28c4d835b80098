"""Confidence intervals of estimates: for one log size, by bootstrap, and valid at every log size."""
