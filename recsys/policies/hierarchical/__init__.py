"""Policies of two levels: an intent for each session, and slates that follow from it."""
