"""One Lightning module a paper; it wires parts and holds none of their logic."""
