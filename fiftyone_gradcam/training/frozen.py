"""The frozen backbone of a recipe, which provides features of images."""

from __future__ import annotations

from functools import cached_property

from ..model.backbones import get_backbone
from ..model.device import pick_device
from ..model.digests import known_digest, note_digest
from ..model.network import Network
from ..model.weights import create_model
from .recipe import Recipe


def frozen_network(recipe: Recipe, device: str | None) -> Network:
    """Return a network with the recipe's pretrained backbone and a randomly initialized last layer.

    Raises:
        ValueError, FileNotFoundError, ConnectionError: see `create_model`
    """
    network = Network.of_backbone(
        get_backbone(recipe.backbone),
        create_model(recipe.backbone, 2, recipe.weights),
        ("", ""),
        recipe.image_size,
        recipe.resize,
        device,
    )
    note_digest(network, recipe.backbone, recipe.weights)
    return network


class FrozenLater:
    """The frozen network of a recipe, loaded on first use.

    Cached features are found by its digest, which is known without loading the network if this
    process has loaded it before.

    Args:
        recipe, device: see `frozen_network`

    Raises:
        ValueError: if the device does not exist
    """

    def __init__(self, recipe: Recipe, device: str | None):
        self._recipe, self._device = recipe, pick_device(device)

    @cached_property
    def network(self) -> Network:
        """The network; see `frozen_network` for the errors it may raise."""
        return frozen_network(self._recipe, self._device)

    @property
    def digest(self) -> str:
        """See `Network.digest`."""
        recipe = self._recipe
        known = known_digest(recipe.backbone, recipe.weights, recipe.image_size, recipe.resize)
        return known or self.network.digest

    def __str__(self) -> str:
        return f"{self._recipe.backbone}, {self._recipe.resize}"
