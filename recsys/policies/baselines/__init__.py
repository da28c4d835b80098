"""Policies that count: popularity, Markov chains and nearest neighbours."""
