"""Stages, callbacks, checkpoints and run folders."""
