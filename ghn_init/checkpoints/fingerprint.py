"""What stands for a GHN in results, so that they are not taken for those of another."""

from __future__ import annotations

import hashlib

import torch

from ghn_init.hypernet import GHN


def fingerprint(ghn: GHN) -> str:
    """32 hexadecimal digits that stand for a GHN's configuration and weights."""
    digest = hashlib.blake2b(repr(sorted(ghn.config.to_dict().items())).encode(), digest_size=16)
    for name, value in sorted(ghn.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
