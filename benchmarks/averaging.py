"""The mean of the weights of several GHNs: better than the last one where each was trained from the one before.

    python benchmarks/averaging.py runs/leg14/ghn runs/leg15/ghn --out runs/averaged

(Wortsman et al., 2022, Model soups; Izmailov et al., 2018, Averaging weights leads to wider optima and better
generalization.) The folder can be evaluated and exported like the run of the last one.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ghn_init.checkpoints import load, read_info, save


def mean(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each tensor over several state dicts of the same GHN, in its dtype; of integers the last.

    Raises:
        ValueError: the state dicts have other tensors, or tensors of other shapes.
    """
    last = states[-1]
    shapes = {name: tensor.shape for name, tensor in last.items()}
    for state in states:
        if {name: tensor.shape for name, tensor in state.items()} != shapes:
            raise ValueError("these GHNs are not of the same shape: only legs of one training can be averaged")
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in last.items()
    }


def main() -> None:
    """Read the command line, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ghn", type=Path, nargs="+", help="folders of GHNs, the last one last")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    ghn = load(str(args.ghn[-1]))
    ghn.load_state_dict(mean([load(str(folder)).state_dict() for folder in args.ghn]))
    info = read_info(args.ghn[-1] / "config.json")
    averaged = [folder.parent.name for folder in args.ghn]
    save(ghn, args.out, dataclasses.replace(info, training={**info.training, "averaged": averaged}))


if __name__ == "__main__":
    main()
