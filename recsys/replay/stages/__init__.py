"""Stages of `recsys replay`."""
