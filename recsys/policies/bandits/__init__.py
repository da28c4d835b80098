"""Policies that learn from the feedback to their slates."""
