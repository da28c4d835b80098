"""Reward models: what users would feel about slates."""
