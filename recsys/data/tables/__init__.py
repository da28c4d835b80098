"""Canonical tables: their columns, how they are scanned, and how their rows are checked."""
