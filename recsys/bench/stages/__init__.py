"""The stages of `recsys bench`."""
