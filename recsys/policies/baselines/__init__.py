"""Baselines: popularity, Markov chains, nearest neighbours, and the oracle of a simulator."""
