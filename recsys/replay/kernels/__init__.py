"""The loops of replay that numba compiles; imported where they are first run, so that nothing else waits for numba."""
