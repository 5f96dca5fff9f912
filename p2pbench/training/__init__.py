"""How a generator and a discriminator are trained: one step, how it is run, the loop, and its checkpoints."""
