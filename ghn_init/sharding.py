"""Which tensor goes into which file, named and indexed as on the Hugging Face Hub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import split_state_dict_into_shards_factory

from ghn_init.tensorfile import Slot

INDEX = "model.safetensors.index.json"
#: File of an unsharded network; with "-00001-of-00003" in place of the braces, a shard's.
PATTERN = "model{suffix}.safetensors"
#: What files of weights look like, those of another number of shards too.
GLOB = PATTERN.format(suffix="*")
#: Bytes in a shard, unless a tensor alone has more: the Hub's default.
MAX_SHARD_SIZE = "5GB"


@dataclass(frozen=True, slots=True)
class Shards:
    """Tensors by file.

    Attributes:
        files: the tensors of each file, by its name.
        size: bytes of all tensors.
    """

    files: dict[str, list[Slot]]
    size: int

    def index(self) -> str | None:
        """The content of the index, None for a single file, which needs none."""
        if len(self.files) < 2:
            return None
        places = {slot.name: file for file, slots in self.files.items() for slot in slots}
        return (
            json.dumps({"metadata": {"total_size": self.size}, "weight_map": places}, indent=2, sort_keys=True) + "\n"
        )


def shards(slots: Sequence[Slot], max_shard_size: int | str = MAX_SHARD_SIZE) -> Shards:
    """Distributes tensors, in their order, over as few files as the size allows.

    Args:
        slots: the tensors.
        max_shard_size: bytes, or a text such as "500MB" or "5GB" (powers of 1000); a larger tensor gets a file of its
            own.

    Raises:
        ValueError: a size that is not positive, or cannot be read.
    """
    split = split_state_dict_into_shards_factory(
        {slot.name: slot for slot in slots},
        get_storage_size=lambda slot: slot.size,
        filename_pattern=PATTERN,
        max_shard_size=_positive(max_shard_size),
    )
    by_name = {slot.name: slot for slot in slots}
    files = {file: [by_name[name] for name in names] for file, names in split.filename_to_tensors.items()}
    return Shards(files or {PATTERN.format(suffix=""): []}, sum(slot.size for slot in slots))


def weights_in(folder: Path) -> list[Path]:
    """The files in a folder that hold a network, or a part of it."""
    return [path for path in sorted([*folder.glob(GLOB), folder / INDEX]) if path.is_file()]


def _positive(size: int | str) -> int | str:
    text = str(size).strip()
    if text.startswith("-") or not text.strip("0.GMKTBgmktb "):
        raise ValueError(f"the size of a shard must be positive, got {size!r}; write bytes or a text such as '5GB'")
    return size
