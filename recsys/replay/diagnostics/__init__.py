"""Whether a log can tell: overlap, weights and checks of propensities."""
