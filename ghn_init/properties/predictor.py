"""`PropertyPredictor`: what a network will be like, from its embedding."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ghn_init.hypernet import GHN
from ghn_init.properties.embedding import Network, embed, is_one
from ghn_init.properties.errors import PropertyError
from ghn_init.properties.features import size_features
from ghn_init.properties.files import Facts, read, write
from ghn_init.properties.function import KernelFunction
from ghn_init.properties.regression import fit
from ghn_init.properties.validation import CrossValidation, cross_validate
from ghn_init.rendering import Rendered, line
from ghn_init.sources import Source, find_ghn


class PropertyPredictor(Rendered):
    """Predicts a number of a network (its accuracy after training, its latency) from the embedding of its graph.

    As GHN-2's authors do (Knyazev et al., 2021, section 5.2): a regression on `ghn_init.embed`. It needs some networks
    of which the number is known, at least 10 and better a hundred; it is worth what `cross_validate` says.

    Args:
        ghn: whose embeddings, as for `ghn_init.apply`.
        target: what is predicted, for people.
        regressor: "ridge", "svr", "kernel_ridge", or "auto" for that of them with the least error in a
            cross-validation on the networks to learn from.
        image_size: side in pixels of the images that networks take: for `Subject`s, and for counting multiply-adds.
        seed: of the folds.

    Attributes:
        target: what is predicted.
        chosen: the regression and its hyperparameters, once fitted, and after that
        networks: how many networks it was fitted to.
    """

    def __init__(
        self,
        ghn: Source = None,
        *,
        target: str = "value",
        regressor: str = "auto",
        image_size: int = 32,
        seed: int = 0,
    ) -> None:
        name, self._ghn = find_ghn(ghn, torch.device("cpu"))
        self._checkpoint = None if isinstance(ghn, GHN) else name
        self.target, self.chosen, self.networks = target, "", 0
        self._regressor, self._image_size, self._seed = regressor, image_size, seed
        self._function: KernelFunction | None = None

    def fit(self, networks: Iterable[Network] | Tensor, values: Sequence[float] | Tensor) -> PropertyPredictor:
        """Learns from networks of which the value is known, and returns itself.

        Args:
            networks: as for `ghn_init.embed`, several; or their embeddings, (n, hid).
            values: a number each.

        Raises:
            PropertyError: fewer than 10 networks, not a value each, values that are not finite or all the same; or
                scikit-learn is missing.
            GHNInitError: as for `ghn_init.embed`.
        """
        x, y = self._embedded(networks), _numbers(values)
        self._function, self.chosen = fit(x, y, self._regressor, self._seed)
        self.networks = len(y)
        return self

    def predict(self, networks: Network | Iterable[Network] | Tensor) -> float | Tensor:
        """The value of a network, or the values of several: float64, (n,).

        Args:
            networks: as for `ghn_init.embed`; or embeddings, (hid,) or (n, hid).

        Raises:
            PropertyError: it was not fitted.
            GHNInitError: as for `ghn_init.embed`.
        """
        function = self._fitted()
        one = networks.dim() == 1 if isinstance(networks, Tensor) else is_one(networks)
        found = function(self._embedded([networks] if one and not isinstance(networks, Tensor) else networks))
        return float(found[0]) if one else found

    def cross_validate(
        self,
        networks: Iterable[Network] | Tensor,
        values: Sequence[float] | Tensor,
        *,
        folds: int = 5,
        repeats: int = 10,
        features: Mapping[str, Tensor] | None = None,
    ) -> CrossValidation:
        """How well values are predicted for networks that were not learnt from, beside simpler predictions.

        Args:
            networks: as for `fit`.
            values: a number each.
            folds: parts, each predicted from the others.
            repeats: random divisions into such parts.
            features: further features to learn from, (n, any number) by name. None for "sizes", the logarithms of
                parameters and FLOPs and the number of nodes, and "embedding and sizes"; not for embeddings, whose
                sizes are not known.

        Returns:
            R2 and rank correlations of "embedding", `features`, and "mean".

        Raises:
            PropertyError: as for `fit`, with the networks of all folds but one; or a network's FLOPs cannot be counted.
        """
        networks = networks if isinstance(networks, Tensor) else list(networks)
        x = self._embedded(networks)
        if features is None and not isinstance(networks, Tensor):
            classes = self._ghn.config.num_classes
            sizes = size_features(networks, num_classes=classes, image_size=self._image_size)
            features = {"sizes": sizes, "embedding and sizes": torch.cat([x, sizes], dim=1)}
        return cross_validate(
            {"embedding": x, **(features or {})},
            _numbers(values),
            target=self.target,
            folds=folds,
            repeats=repeats,
            regressor=self._regressor,
            seed=self._seed,
        )

    def save(self, path: str | Path) -> Path:
        """Writes a safetensors file: the regression's numbers, with the GHN's name and fingerprint in the header.

        No pickle, no code. The GHN itself is not in it.

        Raises:
            PropertyError: it was not fitted.
            OSError: the place cannot be written to.
        """
        facts = Facts(
            self.target, self.chosen, self.networks, self._checkpoint, fingerprint(self._ghn), self._image_size
        )
        write(Path(path), self._fitted(), facts)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, ghn: Source = None) -> PropertyPredictor:
        """Reads a file that `save` wrote; scikit-learn is not needed.

        Args:
            path: the file.
            ghn: the GHN that it was fitted with; None for the one of the name in the file.

        Raises:
            PropertyError: the file is no predictor or damaged, or the GHN is another one.
            CheckpointError: the checkpoint cannot be had.
            OSError: the file cannot be read.
        """
        function, facts = read(Path(path))
        if ghn is None and facts.checkpoint is None:
            raise PropertyError(f"{path} was fitted with a GHN without a name: give it as ghn")
        predictor = cls(facts.checkpoint if ghn is None else ghn, target=facts.target, image_size=facts.image_size)
        if fingerprint(predictor._ghn) != facts.fingerprint:
            raise PropertyError(f"{path} was fitted with another GHN ({facts.checkpoint or 'without a name'})")
        if len(function.centre) != predictor._ghn.config.hid:
            raise PropertyError(f"{path} takes {len(function.centre)} features, not {predictor._ghn.config.hid}")
        predictor._function, predictor.chosen, predictor.networks = function, facts.chosen, facts.networks
        return predictor

    def _fitted(self) -> KernelFunction:
        if self._function is None:
            raise PropertyError("this predictor has learnt nothing yet: call fit first")
        return self._function

    def _embedded(self, networks: Any) -> Tensor:
        if isinstance(networks, Tensor):
            hid = self._ghn.config.hid
            if networks.dim() not in (1, 2) or networks.shape[-1] != hid:
                raise PropertyError(f"embeddings must be (n, {hid}), not {tuple(networks.shape)}")
            return networks.detach().double().cpu().reshape(-1, hid)
        if is_one(networks):
            raise PropertyError(f"give several networks, not one {type(networks).__name__}")
        return embed(networks, self._ghn, image_size=self._image_size).double().cpu()

    def __rich_console__(self, console: Any, options: Any) -> Any:
        learnt = f"{self.chosen} fitted to {self.networks} networks" if self._function else "not fitted"
        yield line((self.target, "bold"), " from embeddings of ", (self._checkpoint or "a GHN", "bold"), f": {learnt}")


def fingerprint(ghn: GHN) -> str:
    """16 hexadecimal digits that stand for the weights which make a GHN's embeddings."""
    digest = hashlib.blake2b(repr(ghn.config).encode(), digest_size=8)
    for part in (ghn.encoder, ghn.gnn, ghn.norm):
        for name, value in part.state_dict().items():
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _numbers(values: Sequence[float] | Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64).detach().cpu()
