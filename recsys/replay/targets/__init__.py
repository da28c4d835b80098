"""Target policies, whose value is estimated from a log."""
