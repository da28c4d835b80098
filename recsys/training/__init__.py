"""Fit systems with Lightning: the trainer, its callbacks and the stages that train, evaluate and report."""
