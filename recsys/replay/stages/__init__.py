"""The stages of `recsys replay`."""
