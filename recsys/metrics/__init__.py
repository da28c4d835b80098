"""Metrics of recommendations and the intervals of their estimates."""
