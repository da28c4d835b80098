"""The nouns: what policies see and answer, what users did, and what objectives learn from."""
