"""How a generator and a discriminator are trained.

``losses.py`` holds the losses (add one there), ``step.py`` one update of D and G, ``loop.py`` the training from start
to end. The other files are about how steps run (``engine``, ``cuda_graph``, ``distributed``) and how a training is
saved (``checkpoint``).
"""
