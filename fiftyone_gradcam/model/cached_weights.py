"""Pretrained weights on this machine, and the network to use if none is chosen, without PyTorch."""

from __future__ import annotations

import glob
import os

DEFAULT = "resnet18"  # the backbone of all recipes that name no other
# Used instead if only their weights are on this machine, in this order.
OTHERS = ("resnet50", "mobilenet_v2", "squeezenet1_1")


def cached_weights(backbone: str) -> list[str]:
    """Return the files with ImageNet weights of a backbone in PyTorch's cache.

    Args:
        backbone: the name of a backbone, or "*" for all of them
    """
    cache = os.environ.get("XDG_CACHE_HOME", os.path.join("~", ".cache"))
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return glob.glob(
        os.path.join(os.path.expanduser(home), "hub", "checkpoints", f"{backbone}-*.pth")
    )


def default_backbone() -> str:
    """Return the backbone that forms and the tab "Steps" use if the user chooses none.

    It is the first of `DEFAULT` and `OTHERS` whose weights need no download, or else `DEFAULT`.
    """
    return next((name for name in (DEFAULT, *OTHERS) if cached_weights(name)), DEFAULT)
