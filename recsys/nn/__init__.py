"""Layers and blocks that the networks of `recsys.models` are built of."""
