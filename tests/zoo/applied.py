"""What `apply` did to a network, told from the network alone."""

from __future__ import annotations

from torch import nn

import ghn_init


def share_changed_by_apply(model: nn.Module) -> float:
    """Applies the embedded default, head included, and returns the share of the parameters that changed.

    Checks that all else is as it was: buffers, modes, the identity of parameters.
    """
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    modes = [module.training for module in model.modules()]
    identities = {name: id(parameter) for name, parameter in model.named_parameters()}

    assert ghn_init.apply(model, head=True) is model

    assert {name: id(parameter) for name, parameter in model.named_parameters()} == identities
    assert [module.training for module in model.modules()] == modes
    assert not any(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])
    for name, buffer in model.named_buffers():
        assert buffer.equal(buffers[name]), name
    changed = sum(int((parameter != before[name]).sum()) for name, parameter in model.named_parameters())
    return changed / sum(tensor.numel() for tensor in before.values())


def use_batch_statistics(model: nn.Module) -> nn.Module:
    """Batch norms have not seen data yet: let them normalise with the batch's own statistics."""
    for module in model.eval().modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.train()
    return model
