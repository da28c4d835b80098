"""Compose configurations, check them against the signatures of their targets, and explain errors."""
