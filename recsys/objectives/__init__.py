"""Losses as pure functions of a group of scored candidates."""
