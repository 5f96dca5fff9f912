"""PyTorch's Adam without torch.compile, which its methods load: 2 of the 5 seconds of imports of a process that trains.

They do so to say that they are not to be compiled. None is compiled here.
"""

from inspect import unwrap

import torch


class Adam(torch.optim.Adam):
    """``torch.optim.Adam``: the same arguments, state and, to the bit, updates."""

    step = torch.no_grad()(unwrap(torch.optim.Adam.step))
    zero_grad = unwrap(torch.optim.Adam.zero_grad)
    add_param_group = unwrap(torch.optim.Adam.add_param_group)
    state_dict = unwrap(torch.optim.Adam.state_dict)
    load_state_dict = unwrap(torch.optim.Adam.load_state_dict)
