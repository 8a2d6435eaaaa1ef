"""How much memory a piece of work takes in one tensor."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class LargestStorage(TorchDispatchMode):
    """A context that notes the largest storage, in bytes, that an operation returns, other than that of `place`."""

    def __init__(self, place):
        super().__init__()
        self.place = place
        self.nbytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.untyped_storage().data_ptr() != self.place.data_ptr():
            self.nbytes = max(self.nbytes, result.untyped_storage().nbytes())
        return result
