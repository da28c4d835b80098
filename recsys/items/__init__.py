"""Items as tokens: vectors, quantizers, semantic IDs with an exact inverse, and the trie they make."""
