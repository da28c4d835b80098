"""Data sets to train and evaluate on: cleaning, splits, views and loaders."""
