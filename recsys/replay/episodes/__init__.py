"""Off-policy evaluation of episodes of several steps."""
