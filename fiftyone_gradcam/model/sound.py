"""Checks whether a user's module can be used as a classifier, with a message for each problem."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch
from torch import nn

from .nodes import Tokens

LEAST_SIZE = 8  # pixels


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the module inside wrappers of torch.compile and of parallel training."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while isinstance(module, nn.Module):
        if isinstance(module, wrappers):
            module = module.module
        elif isinstance(inner := module._modules.get("_orig_mod"), nn.Module):
            module = inner
        else:
            break
    return module


def check_module(module: object) -> None:
    """Check that an object is a module whose weights can be used.

    Raises:
        ValueError: if it is not; the message names the weight and the remedy
    """
    if not isinstance(module, nn.Module):
        raise ValueError(f"A network must be a torch.nn.Module, not {type(module).__name__}")
    devices: dict[str, str] = {}
    for name, weights in (*module.named_parameters(), *module.named_buffers()):
        devices.setdefault(str(weights.device), name)
        if isinstance(weights, nn.UninitializedParameter | nn.UninitializedBuffer):
            raise ValueError(f"{name!r} of the module has no shape yet. Run it on an image first")
        if weights.is_meta:
            raise ValueError(
                f"{name!r} of the module has no values, only a shape (device 'meta'). Load its "
                f"weights first"
            )
        if weights.is_floating_point() and weights.dtype != torch.float32:
            raise ValueError(
                f"{name!r} of the module is {weights.dtype}, but images are float32. Pass "
                f"module.float()"
            )
        if weights.is_quantized or weights.is_complex():
            raise ValueError(f"{name!r} of the module is {weights.dtype}, which has no gradients")
        if weights.is_floating_point() and not torch.isfinite(weights).all():
            raise ValueError(f"{name!r} of the module contains NaN or infinity. Load valid weights")
    if len(devices) > 1:
        places = " and ".join(f"{name!r} on {device!r}" for device, name in devices.items())
        raise ValueError(f"The module is on more than one device: {places}. Pass module.to('cpu')")


def check_pixels(image_size: object, mean: Sequence[float], std: Sequence[float]) -> None:
    """Check the size and normalization of images.

    Raises:
        ValueError: naming the argument and its value
    """
    whole = isinstance(image_size, int) and not isinstance(image_size, bool)
    if not whole or image_size < LEAST_SIZE:
        raise ValueError(
            f"image_size must be a whole number of at least {LEAST_SIZE}, not {image_size!r}"
        )
    for name, values in (("mean", mean), ("std", std)):
        good = isinstance(values, Sequence) and len(values) == 3
        good = good and all(isinstance(x, int | float) and math.isfinite(x) for x in values)
        if not good or (name == "std" and min(values) <= 0):
            above = " above 0" if name == "std" else ""
            raise ValueError(
                f"{name} must be three numbers{above}, for red, green and blue in [0, 1], not "
                f"{values!r:.80}"
            )


def check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Return names of two or more classes, all different, as a tuple.

    Raises:
        ValueError: if they are invalid; the message says why
    """
    if isinstance(classes, str) or not isinstance(classes, Sequence):
        raise ValueError(f"classes must be a list of names, not {classes!r:.80}")
    if odd := [name for name in classes if not isinstance(name, str) or not name]:
        raise ValueError(f"The name of a class must be text, not {odd[0]!r:.80}")
    if len(classes) < 2:
        raise ValueError(f"A classifier needs at least two classes, not {list(classes)!r:.80}")
    if twice := [name for name, count in Counter(classes).items() if count > 1]:
        raise ValueError(f"Two classes have the name {twice[0]!r}")
    return tuple(classes)


def check_tokens(tokens: int | Sequence[int] | None) -> Tokens | None:
    """Return the number of tokens before the patches, and their grid if given, as a tuple.

    Raises:
        ValueError: if it is neither one whole number nor three
    """
    if tokens is None:
        return None
    found = (tokens,) if isinstance(tokens, int) else tokens
    good = isinstance(found, Sequence) and len(found) in (1, 3)
    good = good and all(isinstance(x, int) and not isinstance(x, bool) for x in found)
    if not good or found[0] < 0 or min(found[1:], default=1) < 1:
        raise ValueError(
            f"tokens must be the number of tokens before the patches, such as 1, or this number "
            f"and the patches' rows and columns, such as (1, 14, 14), not {tokens!r:.80}"
        )
    return tuple(found)


@torch.no_grad()
def check_logits(module: nn.Module, inputs: torch.Tensor, count: int, size: int) -> torch.Tensor:
    """Return the logits of some images after checking them.

    Args:
        module: a network
        inputs: (N, 3, size, size)
        count: number of its classes
        size: size of the images

    Raises:
        ValueError: if it cannot process images, or does not return logits (N, count)
    """
    try:
        logits = module(inputs)
    except Exception as error:
        why = str(error).strip().splitlines() or [""]
        raise ValueError(
            f"The module cannot process images {tuple(inputs.shape)} ({type(error).__name__}: "
            f"{why[0]:.200}). Pass the image_size= that it was trained with (it is {size} now), "
            f"and a module that accepts RGB images as one tensor"
        ) from error
    if not isinstance(logits, torch.Tensor):
        raise ValueError(
            f"The module returns {type(logits).__name__} instead of logits (N, classes). Wrap it "
            f"in a module whose forward returns only the logits"
        )
    if logits.shape[0] != len(inputs) or logits.dim() != 2:
        raise ValueError(
            f"The module returns {tuple(logits.shape)} for {len(inputs)} images instead of logits "
            f"({len(inputs)}, {count})"
        )
    if logits.shape[1] != count:
        raise ValueError(
            f"The module returns {logits.shape[1]} logits, but classes= has {count} names. Pass "
            f"one name for each logit, in their order"
        )
    if not torch.isfinite(logits).all():
        raise ValueError("The logits of the module are NaN or infinite. Load valid weights")
    ones = torch.ones(len(logits), device=logits.device)
    if (logits >= 0).all() and torch.allclose(logits.sum(1), ones, atol=1e-4):
        raise ValueError(
            "The module returns probabilities, which sum to 1. Pass it without its softmax: "
            "Grad-CAM explains logits"
        )
    return logits
