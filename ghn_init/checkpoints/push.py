"""A checkpoint's folder to the Hugging Face Hub: what would be uploaded, and the upload."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from ghn_init.checkpoints import hub
from ghn_init.checkpoints.card import card
from ghn_init.checkpoints.fingerprint import fingerprint
from ghn_init.checkpoints.folder import digest, read_folder
from ghn_init.checkpoints.info import CARD_FILE, CONFIG_FILE, CheckpointInfo, read_info
from ghn_init.errors import CheckpointError

#: The file that `ghn-init eval` writes its results to.
RESULTS_FILE = "results.json"
_SHOWN = ("mean", "standard_error", "best", "worst")


@dataclasses.dataclass(frozen=True)
class Upload:
    """What goes into a repository.

    Attributes:
        folder: the checkpoint.
        repo_id: "user/name".
        private: whether the repository is made private if there is none yet.
        revision: the branch; None for the main one.
        info: the ``config.json``, with the results.
        texts: the files that are made from it, by name.
        weights: the file of weights in `folder`.
        left_out: what else is in the folder.
    """

    folder: Path
    repo_id: str
    private: bool
    revision: str | None
    info: CheckpointInfo
    texts: Mapping[str, str]
    weights: Path
    left_out: Sequence[str]

    @property
    def sizes(self) -> dict[str, int]:
        """The files' bytes, by name."""
        sizes = {name: len(text.encode()) for name, text in self.texts.items()}
        return {**sizes, self.weights.name: self.weights.stat().st_size}

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON types."""
        return {
            "folder": str(self.folder),
            "repository": self.repo_id,
            "visibility": "private" if self.private else "public",
            "revision": self.revision or "main",
            "files": self.sizes,
            "left_out": list(self.left_out),
            "card": self.texts[CARD_FILE],
        }


def prepare(
    folder: Path,
    repo_id: str,
    results: Sequence[Path] = (),
    *,
    private: bool = True,
    revision: str | None = None,
) -> Upload:
    """Finds out what would be uploaded; asks nobody, and writes nothing.

    The checkpoint is read as `ghn_init.load` reads it, and its weights are compared with the digest in its
    ``config.json``. Results come from what `ghn-init eval` wrote for this checkpoint; without any, those that the
    ``config.json`` has already remain.

    Args:
        folder: a checkpoint's folder.
        repo_id: "user/name".
        results: folders of evaluations, or their ``results.json``.
        private: whether to make the repository private if there is none yet.
        revision: the branch.

    Raises:
        CheckpointError: the folder is no checkpoint or damaged, the name is none, or the results are of another one.
    """
    try:
        validate_repo_id(repo_id)
    except ValueError as error:
        raise CheckpointError(f"{repo_id!r} is no name of a repository; those look like 'user/name'.") from error
    if "/" not in repo_id:
        raise CheckpointError(f"{repo_id!r} has no owner; write 'user/{repo_id}'.")
    ghn = read_folder(folder)
    info = read_info(folder / CONFIG_FILE)
    assert info.file is not None  # otherwise the folder could not be read
    weights = folder / info.file
    found = digest(weights)
    if info.sha256 not in (None, found):
        raise CheckpointError(f"{weights}: not the weights that {CONFIG_FILE} was written for: their digest differs.")
    info = dataclasses.replace(info, size=weights.stat().st_size, sha256=found)
    if results:
        info = dataclasses.replace(
            info, evaluation=measured([_results(path) for path in results], folder, fingerprint(ghn))
        )
    named = dataclasses.replace(info, name=repo_id)
    texts = {CONFIG_FILE: info.to_json(), CARD_FILE: card(named)}
    left_out = sorted(path.name for path in folder.iterdir() if path.name not in {*texts, weights.name})
    return Upload(folder, repo_id, private, revision, info, texts, weights, left_out)


def upload(plan: Upload, *, message: str | None = None, token: str | None = None) -> str:
    """Does it: makes the repository if there is none, and uploads the files in one commit.

    Args:
        plan: what `prepare` found.
        message: of the commit.
        token: access token; by default the one that is signed in with.

    Returns:
        The address of the commit.

    Raises:
        CheckpointError: the Hub does not take it; the message says why and what to do.
    """
    api = HfApi(token=token, library_name="ghn-init")
    try:
        with tempfile.TemporaryDirectory(prefix="ghn-init-push-") as temporary:
            staged = Path(temporary)
            for name, text in plan.texts.items():
                (staged / name).write_text(text, encoding="utf-8", newline="")
            _link(plan.weights, staged / plan.weights.name)
            api.create_repo(plan.repo_id, private=plan.private, exist_ok=True)
            done = api.upload_folder(
                repo_id=plan.repo_id,
                folder_path=staged,
                revision=plan.revision,
                commit_message=message or f"Upload {plan.info.name} with ghn-init",
            )
    except hub.ERRORS as error:
        raise CheckpointError(f"{plan.repo_id} on the Hugging Face Hub: not uploaded: {hub.advice(error)}") from error
    return str(done.commit_url)


def measured(results: Sequence[Mapping[str, Any]], folder: Path, weights: str) -> dict[str, Any]:
    """The ``evaluation`` of a ``config.json`` from what evaluations wrote.

    Args:
        results: the contents of their ``results.json``.
        folder: the checkpoint's folder.
        weights: the fingerprint of its GHN.

    Raises:
        CheckpointError: they are of another one, or of earlier weights.
    """
    evaluation: dict[str, Any] = {"task": "accuracy (top 1) with predicted weights and no training"}
    for result in results:
        if result["fingerprint"] != weights:
            raise CheckpointError(
                f"these results of {result['ghn']!r} are of other weights than those in {folder}: evaluate these with "
                f"'ghn-init eval --ghn {folder}'."
            )
        images = {} if result["images_each"] is None else {"test_images_each": result["images_each"]}
        for column, starts in result["columns"].items():
            found = starts.get("predicted")
            if found is None:
                continue
            key = f"{_public(result['data'])}: {column}"
            numbers = {shown: round(found[shown], 4) for shown in _SHOWN if found[shown] is not None}
            failed = {"failed": found["failed"]} if found["failed"] else {}
            if (found["networks"], found["failed"]) == (1, 0):
                numbers = {"top1": numbers["mean"]}
            else:
                numbers = {"networks": found["networks"], **numbers, **failed}
            evaluation[key] = {**numbers, **images}
    return evaluation


def _public(data: str) -> str:
    """What images are called where others read it: without the folders of this machine above them."""
    path = Path(data)
    return "/".join(path.parts[-2:]) if path.is_absolute() else data


def _results(path: Path) -> dict[str, Any]:
    path = path / RESULTS_FILE if path.is_dir() else path
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        for key in ("ghn", "fingerprint", "data", "columns", "images_each"):
            data[key]
        for column in data["columns"].values():
            for start in column.values():
                for key in ("networks", "failed", *_SHOWN):
                    start[key]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not the results of 'ghn-init eval': {error}.") from error
    return dict(data)


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where that cannot be."""
    try:
        target.symlink_to(source.resolve())
    except OSError:
        shutil.copyfile(source, target)
