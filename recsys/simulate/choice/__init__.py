"""How a user chooses from a slate: one protocol, one file a model."""
