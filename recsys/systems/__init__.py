"""LightningModules, one a way of learning; each wires parts together and holds none of their logic."""
