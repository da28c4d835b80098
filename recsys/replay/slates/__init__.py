"""Off-policy evaluation of policies that answer with slates."""
