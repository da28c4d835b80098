"""Policies in simulated worlds, side by side."""
