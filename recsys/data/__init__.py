"""Data: sources, canonical tables, logs of feedback, and prepared data sets with their loaders."""
