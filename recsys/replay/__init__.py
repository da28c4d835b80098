"""Off-policy evaluation: what would another policy have earned on this log?"""
