"""What a trace depends on, as a key: two modules with the same key have the same graph.

The key covers all that a module's code can read from the module: the tree of submodules, classes and what these
define, attributes of whatever kind, hooks, overridden methods, shapes, dtypes and devices of parameters and buffers,
which of them are one and the same, and the values of tensors that the code may look at. Not covered are values of
parameters and of the buffers of layers with a rule, `training` flags (traces set their own), and what code reads from
elsewhere: variables of its Python module, files, the time.

An object that cannot be described for certain (a lock, a generator, an object of a class written in C that does not
say what it consists of) leaves its module without a key.
"""

from __future__ import annotations

import dataclasses
import hashlib
import marshal
import operator
from typing import Any

import torch
from timm.layers import config as timm_config
from torch import nn
from torch.utils._pytree import tree_leaves

from ghn_init.graph import leaves
from ghn_init.graph.describe import ATOMS, END, Description, NoDescriptionError
from ghn_init.graph.rules import all_rules

#: Attributes of every module that have no part in its forward pass, or are described separately.
_APART = frozenset(
    {
        *("training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_is_full_backward_hook"),
        *("_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks", "_state_dict_pre_hooks"),
        *("_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"),
        *("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
        *("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"),
    }
)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_HOOK_FLAGS = ("_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs")
_TIMM_FLAGS = ("is_exportable", "is_scriptable", "is_no_jit", "use_fused_attn")


@dataclasses.dataclass(frozen=True, eq=False)
class Fingerprint:
    """A key: a digest of all that can be written down, and the classes and functions themselves."""

    digest: bytes
    objects: tuple[object, ...]

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Fingerprint)
            and self.digest == other.digest
            and len(self.objects) == len(other.objects)
            and all(map(operator.is_, self.objects, other.objects))
        )


def fingerprint(module: nn.Module, example_inputs: Any = None) -> Fingerprint | None:
    """The key of a module's trace with such inputs, or None where there is none for certain."""
    try:
        description = _ModuleDescription(module)
        description.without_values(tree_leaves(example_inputs))
        description.put(example_inputs)
        description.put(module)
        _put_surroundings(description)
        words = marshal.dumps(description.words, 0)
    except (NoDescriptionError, RecursionError):
        return None
    return Fingerprint(hashlib.blake2b(words, digest_size=32).digest(), tuple(description.objects))


def _put_surroundings(description: Description) -> None:
    """Settings and tables that traces read: torch's, timm's, and the rules."""
    description.put(torch.get_default_dtype())
    description.put(torch.get_default_device())
    description.put([torch.is_autocast_enabled(device) for device in ("cpu", "cuda")])
    description.put([bool(getattr(timm_config, name)()) for name in _TIMM_FLAGS if hasattr(timm_config, name)])
    description.objects += (*leaves.untraceable_modules(), *leaves.untraceable_functions())
    for target, rule in all_rules():
        description.put(target)
        description.objects.append(rule)


class _ModuleDescription(Description):
    def __init__(self, root: nn.Module) -> None:
        super().__init__()
        self._registered: set[int] = set()
        stack = [root]
        while stack:  # module.modules() is slow where they are deep inside each other
            module = stack.pop()
            if id(module) not in self._registered:
                self._registered.add(id(module))
                self.without_values(module._parameters.values())
                stack += [part for part in module._modules.values() if part is not None]

    def put_module(self, module: nn.Module) -> None:
        attributes, words = module.__dict__, self.words
        words.append(["module"])
        self.put_class(type(module))
        if id(module) not in self._registered:
            words.append(module.training)  # no trace sets it
        for name, value in attributes.items():
            if name not in _APART:
                words.append(name)
                if type(value) in ATOMS:  # most are
                    words.append(value)
                else:
                    self.put(value)
        for kind in _HOOKS:
            for number, hook in attributes[kind].items():
                words.append([kind, *(number in attributes[flags] for flags in _HOOK_FLAGS)])
                self.put(hook)
        words.append(["parameters"])
        for name, parameter in module._parameters.items():
            words.append(name)
            self.put(parameter)
        words.append(["buffers"])
        if module._buffers and leaves.is_leaf(module):
            self.without_values(module._buffers.values())
        for name, buffer in module._buffers.items():
            words.append(name)
            self.put(buffer)
        words.append(["modules"])
        for name, part in module._modules.items():
            words.append(name)
            self.put(part)
        words.append(END)
