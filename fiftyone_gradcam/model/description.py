"""Describe a network: its layers, the stages that `freeze` counts, its size and its cost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from .backbones import Backbone, get_backbone
from .blank import build_blank
from .stages import stages
from .weights import imagenet_weights_file

# Classes of modules that are shown by their children; any other module is one row.
_OPENED = {
    *("Sequential", "ModuleList", "ModuleDict"),
    *("AnyStage", "_DenseBlock", "MaxVitBlock", "Encoder"),
}


@dataclass(frozen=True)
class Layer:
    """A layer of a network, or a block of layers that is repeated.

    Attributes:
        name: name in the network
        kind: class name
        stage: number of its stage, from 1; None for the last layer and for layers without weights
        output: shape of the output for one image, without the batch dimension; for weights that are
            not a layer (such as a class token), the shape of the weights
        parameters: number of weights
        multiply_adds: number of multiply-adds for one image
    """

    name: str
    kind: str
    stage: int | None
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Stage:
    """A part of a network that `freeze` counts: `freeze=n` freezes the stages 1 to n.

    Attributes:
        number: number of the stage, from 1, starting at the image
        name: name in the network
        output: shape of the output for one image, without the batch dimension
        parameters: number of weights
    """

    number: int
    name: str
    output: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class Description:
    """Description of a backbone, made by `describe`; print it as a table.

    Shapes are (channels, height, width), or (height, width, channels) inside transformers that keep
    channels last.

    Attributes:
        backbone: name of the backbone
        num_classes: number of classes K
        image_size: side of the square input, in pixels
        mean, std: mean and standard deviation of the expected pixels in [0, 1], for red, green and
            blue
        imagenet_weights: "cached", "to be downloaded", or "none" if there are none
        layers: layers in the order from image to logits
        stages: stages that `freeze` counts
        last_layer: name of the layer that computes the logits, which is always trained
        target_layer: target layer of Grad-CAM
        target_shape: shape (C, h, w) of the target tensor
        batch_norm: whether the network has batch norm, whose statistics `freeze` also keeps
        parameters: total number of weights
        multiply_adds: number of multiply-adds for one image: half of the floating-point operations
            of its convolutions and matrix products
    """

    backbone: str
    num_classes: int
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    imagenet_weights: str
    layers: tuple[Layer, ...]
    stages: tuple[Stage, ...]
    last_layer: str
    target_layer: str
    target_shape: tuple[int, int, int]
    batch_norm: bool
    parameters: int
    multiply_adds: int

    def __str__(self) -> str:
        side, mean, std = self.image_size, _numbers(self.mean), _numbers(self.std)
        layers = [
            (
                str(layer.stage or ("new" if layer.name == self.last_layer else "")),
                layer.name,
                layer.kind,
                _shape(layer.output),
                f"{layer.parameters:,}" if layer.parameters else "",
                f"{layer.multiply_adds / 1e6:,.1f}" if layer.multiply_adds else "",
            )
            for layer in self.layers
        ]
        counted = [
            (str(stage.number), stage.name, _shape(stage.output), f"{stage.parameters:,}")
            for stage in self.stages
        ]
        return "\n".join(
            [
                f"{self.backbone}, for {self.num_classes} classes",
                f"  parameters        {self.parameters:,}",
                f"  multiply-adds     {self.multiply_adds / 1e6:,.1f} million for an image",
                f"  image             {side} x {side} pixels, mean {mean}, deviation {std}",
                f"  ImageNet weights  {self.imagenet_weights}",
                f"  batch norm        {'yes' if self.batch_norm else 'no'}",
                f"  Grad-CAM          {self.target_layer}, {_shape(self.target_shape)}",
                f"  last layer        {self.last_layer}, new unless a file has one",
                "",
                "Layers",
                *_table(
                    ("stage", "layer", "kind", "output", "parameters", "multiply-adds (million)"),
                    layers,
                ),
                "",
                "Stages: freeze=n freezes the first n",
                *_table(("stage", "name", "output", "parameters"), counted),
            ]
        )


def describe(backbone: str, num_classes: int = 1000, image_size: int | None = None) -> Description:
    """Describe a backbone without downloading weights or computing an image.

    Args:
        backbone: name of a backbone, such as "resnet18"
        num_classes: number of classes K
        image_size: side of the square input, in pixels; by default (None), that of the backbone

    Returns:
        the `Description`: layers, stages and numbers of parameters; print it as a table

    Raises:
        ValueError: if there is no such backbone, a number is out of range, or the image size is too
            small for the network
    """
    if not isinstance(num_classes, int) or isinstance(num_classes, bool) or num_classes < 1:
        raise ValueError(f"num_classes must be a whole number of at least 1, not {num_classes!r}")
    row = get_backbone(backbone)
    size = row.image_size if image_size is None else image_size
    row.check_image_size(size)
    model = build_blank(row, num_classes)
    weights = dict(model.named_parameters())
    found = stages(model, row.family.last_layer)
    try:
        outputs, costs, target, total = _trace(model, row, size, {*_parts(model), *found})
    except RuntimeError as error:
        raise ValueError(
            f"image_size={size} is too small for {backbone} ({error}). Pass a larger one; its own "
            f"is {row.image_size}"
        ) from None
    numbers = {key: n for n, keys in enumerate(found.values(), start=1) for key in keys}
    layers = []
    for name in _parts(model):
        if name in weights:
            own, output, kind = [name], tuple(weights[name].shape[1:]), "Parameter"
        else:
            module = model.get_submodule(name)
            own = [f"{name}.{key}" for key, _ in module.named_parameters()]
            output, kind = outputs[name], type(module).__name__
        stage = numbers.get(own[0]) if own else None
        count = sum(weights[key].numel() for key in own)
        layers.append(Layer(name, kind, stage, output, count, costs.get(name, 0)))
    return Description(
        backbone=backbone,
        num_classes=num_classes,
        image_size=size,
        mean=row.mean,
        std=row.std,
        imagenet_weights=_availability(backbone),
        layers=tuple(layers),
        stages=tuple(
            Stage(number, name, outputs[name], sum(weights[key].numel() for key in keys))
            for number, (name, keys) in enumerate(found.items(), start=1)
        ),
        last_layer=row.family.last_layer,
        target_layer=row.family.layer,
        target_shape=target,
        batch_norm=any(isinstance(module, _BatchNorm) for module in model.modules()),
        parameters=sum(weight.numel() for weight in weights.values()),
        multiply_adds=total,
    )


def _parts(model: nn.Module) -> list[str]:
    """Names of the layers in order, after names of weights that are not in any layer."""
    layers = list(_opened(model, ""))
    loose = [
        key
        for key, _ in model.named_parameters()
        if not any(key.startswith(f"{name}.") for name in layers)
    ]
    return loose + layers


def _opened(module: nn.Module, path: str) -> Iterator[str]:
    for name, child in module.named_children():
        if type(child).__name__ in _OPENED:
            yield from _opened(child, f"{path}{name}.")
        else:
            yield f"{path}{name}"


@torch.no_grad()
def _trace(
    model: nn.Module, backbone: Backbone, size: int, names: set[str]
) -> tuple[dict[str, tuple[int, ...]], dict[str, int], tuple[int, int, int], int]:
    """Run a network on the "meta" device with one image.

    Returns:
        output shapes by name, multiply-adds by name, shape of the target tensor, total
        multiply-adds
    """
    outputs: dict[str, tuple[int, ...]] = {}
    costs: dict[str, int] = {}
    counter = FlopCounterMode(display=False)

    def watch(name: str, module: nn.Module) -> None:
        def before(*_) -> None:
            costs[name] = costs.get(name, 0) - counter.get_total_flops() // 2

        def after(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
            costs[name] += counter.get_total_flops() // 2
            outputs[name] = tuple(output.shape[1:])

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)

    image = torch.zeros(1, 3, size, size, device="meta")
    target, _ = backbone.split(model, image)
    for name, module in model.named_modules():
        if name in names:
            watch(name, module)
    with counter:
        model(image)
    return outputs, costs, tuple(target.shape[1:]), counter.get_total_flops() // 2


def _availability(name: str) -> str:
    file = imagenet_weights_file(name)
    if file is None:
        return "none"
    return "cached" if os.path.isfile(file) else "to be downloaded"


def _shape(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Lines of a table, with names aligned left and numbers aligned right."""
    numbers = {"stage", "parameters", "multiply-adds (million)"}
    columns = []
    for name, *cells in zip(head, *rows, strict=True):
        width = max(map(len, (name, *cells)))
        side = ">" if name in numbers else "<"
        columns.append([f"{cell:{side}{width}}" for cell in (name, *cells)])
    return [f"  {'  '.join(line)}".rstrip() for line in zip(*columns, strict=True)]
