from __future__ import annotations

from functools import cache

import pytest
from cases import CONFIGS, DATA, make

from ghn_init.checkpoints import read_published
from ghn_init.hypernet import GHN


@pytest.fixture(params=CONFIGS)
def ghn(request) -> GHN:
    return make(CONFIGS[request.param])


@pytest.fixture(scope="session")
def published():
    return cache(lambda name: read_published(DATA / f"{name}_random_hid16.pt"))
