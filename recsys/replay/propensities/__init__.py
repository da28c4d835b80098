"""Estimate propensities that were not logged, and check how they agree with the log."""
