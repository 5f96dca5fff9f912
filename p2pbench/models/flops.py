"""How many operations run: two for each multiply-add of convolutions and matrix products, by PyTorch's formulas."""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class Flops(TorchDispatchMode):
    """Adds the operations that run in its block up in ``total``.

    PyTorch's own ``FlopCounterMode`` loads torch.compile, as does its "meta" device: 2 of the 5 seconds of imports of
    each process that trains. It also tells modules apart, by hooks that fail where a module's input is a leaf, as G's
    output is for a perceptual loss.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        if (formula := flop_registry.get(operation.overloadpacket)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result
