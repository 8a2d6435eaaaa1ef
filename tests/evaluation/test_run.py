import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ghn_init.evaluation import EvaluationError, NamedNetwork, Setup, evaluate_networks
from ghn_init.evaluation.run import fingerprint
from ghn_init.images import Images

HERE = Path(__file__).parent
SUBJECTS = [NamedNetwork("tiny_networks:tiny", (("width", width),)) for width in (8, 16, 24)]

SLOW = """
import sys, torch
from pathlib import Path
sys.path.insert(0, {here!r})
from ghn_init.evaluation import NamedNetwork, Setup, evaluate_networks
from ghn_init.images import Images
from conftest import new_ghn

if __name__ == "__main__":
    pixels = torch.arange(8 * 3 * 16 * 16).remainder(256).to(torch.uint8).view(8, 3, 16, 16)
    setup = Setup(new_ghn(), Images(pixels, torch.arange(8) % 2), image_size=16)
    subjects = [NamedNetwork("tiny_networks:slow", (("index", index),)) for index in range({count})]
    evaluate_networks(setup, subjects, out=Path({out!r}), processes={processes})
"""


def slow(out, count=30, processes=1):
    text = SLOW.format(here=str(HERE), out=str(out), count=count, processes=processes)
    script = out.parent / "slow.py"
    script.write_text(text)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])}
    return subprocess.Popen([sys.executable, str(script)], env=environment, stderr=subprocess.PIPE)


def lines(out):
    path = out / "networks.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_several_processes_find_what_one_finds(setup, tmp_path):
    alone = evaluate_networks(setup, SUBJECTS, starts=("predicted", "own"))
    seen = []
    together = evaluate_networks(
        setup,
        SUBJECTS,
        starts=("predicted", "own"),
        processes=2,
        out=tmp_path,
        watch=lambda done, total, result: seen.append((done, total)),
    )
    assert [dataclasses.replace(result, seconds=0) for result in alone] == [
        dataclasses.replace(result, seconds=0) for result in together
    ]
    assert seen == [(number, 6) for number in range(1, 7)]
    assert {json.loads(line)["name"] for line in lines(tmp_path)} == {subject.name for subject in SUBJECTS}


def test_a_killed_evaluation_ends_its_processes_and_goes_on(tmp_path):
    out = tmp_path / "out"
    process = slow(out, 500, processes=2)
    wait_for(lambda: len(lines(out)) >= 2)
    children = children_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not any(runs(child) for child in children), 30)
    before = lines(out)
    assert 2 <= len(before) < 500
    with (out / "networks.jsonl").open("a") as file:
        file.write('{"name": "torn')  # as if killed while writing
    process = slow(out, len(before) + 1)
    process.communicate()
    assert process.returncode == 0
    after = lines(out)
    assert after[: len(before)] == before
    results = [json.loads(line) for line in after]
    assert {f"tiny_networks:slow[index={index}]" for index in range(len(before) + 1)} <= {r["name"] for r in results}
    assert len({result["name"] for result in results}) == len(results)
    assert all(result["status"] == "ok" for result in results)


def children_of(pid):
    """Processes that it started; none where there is no /proc to look in."""
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []


def runs(pid):
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_what_is_known_is_not_measured_again(setup, tmp_path):
    first = evaluate_networks(setup, SUBJECTS[:2], out=tmp_path)
    seen = []
    both = evaluate_networks(setup, SUBJECTS, out=tmp_path, watch=lambda done, total, result: seen.append(result.name))
    assert both[:2] == first
    assert seen == [SUBJECTS[2].name]


def test_what_failed_is_tried_again(setup, tmp_path):
    broken = [NamedNetwork("tiny_networks:wrong"), SUBJECTS[0]]
    seen = []
    for _ in range(2):
        evaluate_networks(setup, broken, out=tmp_path, watch=lambda done, total, result: seen.append(result.status))
    assert seen == ["failed", "ok", "failed"]


def test_other_settings_are_refused_and_named(setup, tmp_path, make_ghn):
    evaluate_networks(setup, SUBJECTS[:1], out=tmp_path)
    before = lines(tmp_path)
    pixels = setup.images.pixels.clone()
    pixels[0] = 0
    others = {
        "batch_size was 32 and is 16": dataclasses.replace(setup, batch_size=16),
        "images_each was None and is 8": dataclasses.replace(setup, images_each=8),
        "ghn was": dataclasses.replace(setup, ghn=make_ghn(seed=5)),
        "data was": dataclasses.replace(setup, images=Images(pixels, setup.images.labels)),
    }
    for words, other in others.items():
        with pytest.raises(EvaluationError, match=words):
            evaluate_networks(other, SUBJECTS, out=tmp_path)
    assert lines(tmp_path) == before


def test_a_process_that_dies_is_an_error_that_says_so(setup, tmp_path):
    subjects = [*SUBJECTS, NamedNetwork("tiny_networks:deadly")]
    with pytest.raises(EvaluationError, match="fewer processes"):
        evaluate_networks(setup, subjects, out=tmp_path, processes=2)


def test_a_ghn_for_other_classes_and_no_networks_are_refused(make_ghn, setup):
    images = Images(setup.images.pixels, torch.arange(96) % 3)
    with pytest.raises(EvaluationError, match="3 classes and the GHN predicts classifiers of 2"):
        evaluate_networks(Setup(make_ghn(), images, image_size=16), SUBJECTS)
    with pytest.raises(EvaluationError, match="no networks"):
        evaluate_networks(setup, [])


def test_fingerprints_tell_weights_apart(make_ghn):
    assert fingerprint(make_ghn()) == fingerprint(make_ghn())
    ghn = make_ghn()
    with torch.no_grad():
        next(ghn.parameters()).view(-1)[0] += 1e-6
    assert fingerprint(ghn) != fingerprint(make_ghn())
