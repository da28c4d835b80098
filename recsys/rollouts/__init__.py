"""Episodes of policies in simulators: one loop, trajectories, buffers and loaders made of it."""
