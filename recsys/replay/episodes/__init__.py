"""Off-policy evaluation of sequences of actions: one row an episode."""
