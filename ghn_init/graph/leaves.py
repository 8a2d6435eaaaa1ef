"""Which modules and functions a trace keeps whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from timm.layers import get_notrace_functions, get_notrace_modules
from torch import nn

from ghn_init.graph import default_rules  # noqa: F401  (fills the table)
from ghn_init.graph.rules import has_rule, rule_for_module


def is_leaf(module: nn.Module) -> bool:
    """Whether a rule turns the module into nodes, or it is a layer of torch itself without parts of its own.

    A layer whose parameters are not those of its rule is none: hooks may make the weights from them, as the older
    `torch.nn.utils.weight_norm` does, and the trace shows how.
    """
    if rule_for_module(module) is not None:
        return True
    if has_rule(type(module)):
        return False
    return type(module).__module__.startswith("torch.nn") and not module._modules and not _is_container(module)


def _is_container(module: nn.Module) -> bool:
    """Whether the module only holds others."""
    return isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict))


def untraceable_modules() -> tuple[type[nn.Module], ...]:
    """Module classes that timm keeps out of symbolic traces."""
    return tuple(get_notrace_modules())


def untraceable_functions() -> tuple[Callable[..., Any], ...]:
    """Functions that timm keeps out of symbolic traces (torchvision and timm mark further ones by `torch.fx.wrap`)."""
    return tuple(get_notrace_functions())
