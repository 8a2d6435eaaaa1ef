"""Which weights of a network have a scale that changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from torch import fx, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

#: Functions that take away the scale of their first argument.
_NORMS = (F.batch_norm, F.instance_norm)


def scale_free(module: nn.Module, traced: fx.Graph, parameters: Mapping[str, nn.Parameter]) -> frozenset[str]:
    """The weights of convolutions and linear layers that batch norm reads at once and nothing else does.

    With the statistics of batches, the network computes the same whatever their scale, but for the norm's epsilon:
    the norm takes away the layer's bias, too. Weights that are used in any other way as well, or have several names,
    are not among them.

    Args:
        module: the module.
        traced: its trace.
        parameters: all its parameters, under all their names.
    """
    modules = dict(module.named_modules(remove_duplicate=False))
    names = Counter(map(id, parameters.values()))
    free: dict[str, bool] = {}
    for node in traced.nodes:
        if node.op == "get_attr":
            free[str(node.target)] = False
        elif node.op == "call_module":
            name = f"{node.target}.weight"
            weight = parameters.get(name)
            alone = weight is not None and names[id(weight)] == 1 and _is_plain(modules[str(node.target)])
            free[name] = free.get(name, True) and alone and bool(node.users) and _normed(node, modules)
    return frozenset(name for name, yes in free.items() if yes)


def _is_plain(layer: nn.Module) -> bool:
    """Whether what a layer computes is torch's own product with its weight, and a bias that a norm takes away."""
    if isinstance(layer, nn.Linear):  # of sequences, its features lie elsewhere than the norm's
        return type(layer).forward is nn.Linear.forward and layer.bias is None
    return isinstance(layer, _ConvNd) and type(layer).forward.__module__ == _ConvNd.__module__


def _normed(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    return all(
        (isinstance(modules[str(user.target)], _NormBase) if user.op == "call_module" else user.target in _NORMS)
        and user.all_input_nodes.count(node) == 1
        and user.args[:1] == (node,)
        for user in node.users
    )
