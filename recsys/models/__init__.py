"""Networks: what turns histories into scores."""
