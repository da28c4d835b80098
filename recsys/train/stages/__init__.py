"""The stages a run is made of, in the order they usually come: prepare, tokenize, training, evaluate, report."""
