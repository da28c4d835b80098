"""Search, sampling and scoring over a trie."""
