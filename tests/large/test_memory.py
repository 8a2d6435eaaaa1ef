"""Peak memory, each measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux only")

# Layers of 1024 x 4096 in float32, 16 MiB each; what comes first loads all code and the GHN.
CODE = """
import json, resource, sys
import torch
from torch import nn
import ghn_init
from ghn_init import tensorfile

torch.set_num_threads(1)
tensorfile.PIECE = 2**24

def network(layers):
    pairs = [layer for _ in range(layers) for layer in (nn.Linear(1024, 4096, bias=False), nn.Linear(4096, 1024))]
    return nn.Sequential(*pairs, nn.Linear(1024, 10))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

def growth(call):
    before = peak()
    call()
    return peak() - before

ghn_init.predict(ghn_init.apply(network(1))).save("small.safetensors")
with torch.device("meta"):
    skeleton = network(12)
found = {"save a skeleton": growth(lambda: ghn_init.predict(skeleton).save("skeleton.safetensors"))}
model = network(12)
found["held"] = sum(parameter.nbytes for parameter in model.parameters()) / 2**20
found["apply"] = growth(lambda: ghn_init.apply(model))
found["save"] = growth(lambda: ghn_init.predict(model).save("folder", max_shard_size="100MB"))
print(json.dumps(found))
"""


def test_no_second_copy_of_a_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:Sequential is far from", "-c", CODE],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    for path in tmp_path.rglob("*.safetensors"):
        path.unlink()
    assert done.returncode == 0, done.stderr
    growth = json.loads(done.stdout)
    held = growth.pop("held")
    assert held > 300
    # Pieces of 16 MiB, two at a time, and the small memory of a prediction.
    assert growth == {call: pytest.approx(0, abs=0.2 * held) for call in ("save a skeleton", "apply", "save")}
