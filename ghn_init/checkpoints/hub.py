"""Files from the Hugging Face Hub, by its own client: cache, tokens, proxies, offline mode and progress are its."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import cached_assets_path, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ghn_init.errors import CheckpointError

#: What went wrong, most special first (the classes inherit from each other), and what to do.
_ADVICE: tuple[tuple[type[Exception], str], ...] = (
    (
        LocalEntryNotFoundError,
        "it is not in the local cache and the Hub cannot be reached (no network, or HF_HUB_OFFLINE is set). Connect "
        "once, or use the embedded checkpoint 'default', or a folder or file on this machine.",
    ),
    (GatedRepoError, "access to the repository is restricted: ask for it on its page, then run 'hf auth login'."),
    (
        RepositoryNotFoundError,
        "there is no such repository, or it is private: check its name, or run 'hf auth login'.",
    ),
    (RevisionNotFoundError, "the repository has no such revision."),
    (
        EntryNotFoundError,
        "the repository has no such file; a checkpoint's holds config.json and its weights.",
    ),
    (HFValidationError, "this is no name of a repository; those look like 'user/name'."),
    (HfHubHTTPError, "the Hub answered with an error; try again later."),
    (OSError, "the download failed; is the disk full, and the cache folder writable?"),
)


def fetch(repo_id: str, file: str, revision: str | None = None) -> Path:
    """A file of a repository, downloaded once.

    Args:
        repo_id: "user/name".
        file: its name in the repository.
        revision: branch, tag or commit; None for the newest.

    Raises:
        CheckpointError: it cannot be had; the message says why and what to do.
    """
    try:
        return Path(hf_hub_download(repo_id, file, revision=revision, library_name="ghn-init"))
    except tuple(kind for kind, _ in _ADVICE) as error:
        advice = next(text for kind, text in _ADVICE if isinstance(error, kind))
        where = f"{repo_id}@{revision}" if revision else repo_id
        raise CheckpointError(f"{file} of {where} on the Hugging Face Hub: {advice}") from error


def is_cached(repo_id: str, file: str, revision: str | None = None) -> bool:
    """Whether `fetch` would need no download; asks nobody."""
    return isinstance(try_to_load_from_cache(repo_id, file, revision=revision), str)


def converted_folder(repo_id: str, fetched: Path) -> Path:
    """Where the conversion of a fetched file is kept: a folder for each file and commit, in the Hub's asset cache."""
    subfolder = f"{fetched.parent.name}-{fetched.stem}"
    return Path(cached_assets_path("ghn_init", namespace=repo_id, subfolder=subfolder))
