"""Estimate propensities that were not logged, and check how well they agree with the log."""
