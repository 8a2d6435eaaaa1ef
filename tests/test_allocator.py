"""Kept memory: in a process of its own, since it holds until that ends."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, resource, sys
import torch
from ghn_init.allocator import keep_freed_memory

done = keep_freed_memory() if sys.argv[1] == "keep" else None
torch.relu(torch.ones(16, 1024, 1024))
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.relu(torch.ones(16, 1024, 1024))
print(json.dumps({"done": done, "faults": resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before}))
"""


def run(how: str) -> dict:
    return json.loads(subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, check=True).stdout)


def test_memory_of_freed_tensors_is_used_again():
    kept = run("keep")
    if not kept["done"]:
        pytest.skip("no glibc")
    assert kept["faults"] * 20 < run("as it is")["faults"]


def test_other_c_libraries_are_left_alone(monkeypatch):
    from ghn_init import allocator

    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert not allocator.keep_freed_memory()
