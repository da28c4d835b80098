"""Diagnostics of a log: overlap with the target policy, weights, and checks of propensities."""
