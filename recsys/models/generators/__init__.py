"""Networks that generate items code by code over a trie."""
