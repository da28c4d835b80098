"""Policies to be judged on a log."""
