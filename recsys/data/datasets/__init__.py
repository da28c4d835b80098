"""Data sets for training and evaluation: cleaning, splits, and loaders."""
