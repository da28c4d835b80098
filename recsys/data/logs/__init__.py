"""Logged feedback for off-policy evaluation: actions, slates, episodes, and tables of target probabilities."""
