"""Compose configurations, check them against the signatures of what they configure, and explain what is wrong."""
