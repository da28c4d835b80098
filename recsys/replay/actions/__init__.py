"""Off-policy evaluation of single actions."""
