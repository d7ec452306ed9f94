"""The frozen network of a recipe, whose features say what images show."""

from __future__ import annotations

from ..model.backbones import get_backbone
from ..model.network import Network
from ..model.weights import create_model
from .recipe import Recipe


def frozen_network(recipe: Recipe, device: str | None) -> Network:
    """The pretrained backbone of a recipe; what it makes of its features is random.

    Raises:
        ValueError, FileNotFoundError, ConnectionError: as `create_model`
    """
    return Network.of_backbone(
        get_backbone(recipe.backbone),
        create_model(recipe.backbone, 2, recipe.weights),
        ("", ""),
        recipe.image_size,
        recipe.resize,
        device,
    )
