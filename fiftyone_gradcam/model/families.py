"""Families of networks, and how each is split for Grad-CAM into target tensor and head.

A family's `split` runs a network up to its target tensor, the last feature map (N, C, h, w) after
its activation, and returns it with the rest of the forward pass as a function: head(target) returns
the logits. Other values that the head needs are kept inside this function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.functional import relu

Head = Callable[[torch.Tensor], torch.Tensor]
Split = Callable[[nn.Module, torch.Tensor], tuple[torch.Tensor, Head]]
Gradient = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]
MeanGradient = Callable[
    [nn.Module, torch.Tensor], tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]
]


@dataclass(frozen=True)
class Family:
    """A family of networks with the same structure.

    Attributes:
        split: (model, normalized images (N, 3, H, W)) -> (target tensor (N, C, h, w), head), where
            head(target tensor) returns the logits (N, K)
        averages: whether the head only reads the averages of the target tensor over the cells, so
            that a gradient is the same at every cell, and head(averages (N, C, 1, 1)) also returns
            the logits
        gradient: closed form of the gradient, if there is one that saves a backward pass:
            (model, target tensor, classes (N,)) -> d logit of the class / d target tensor
        mean_gradient: the mean of the gradient over the cells, if it is cheaper than the gradient
            itself: (model, target tensor) -> logits, and a function from classes (N,) to means
            (N, C, 1, 1)
        tokens_last: whether tensors within the network are (N, h, w, C) instead of (N, C, h, w)
        layer: name of the target layer, for people
        last_layer: name of the layer that computes the logits
        after: names of modules between it and the logits
        scratch_learning_rate: a safe AdamW learning rate without pretrained weights
        options: additional arguments of the builder
        size_option: the builder's argument for the image size, if a network is built for a single
            size
    """

    split: Split
    layer: str
    last_layer: str
    after: tuple[str, ...] = ()
    scratch_learning_rate: float = 1e-3
    averages: bool = True
    gradient: Gradient | None = None
    mean_gradient: MeanGradient | None = None
    tokens_last: bool = False
    options: tuple[tuple[str, object], ...] = ()
    size_option: str | None = None


def _until(model: nn.Module, end: str, images: torch.Tensor) -> torch.Tensor:
    """Run the children in order up to `end`; their order is that of the forward pass."""
    for name, child in model.named_children():
        if name == end:
            return images
        images = child(images)
    raise AssertionError(f"no {end} in the model")


def _resnet(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Head]:
    return _until(model, "avgpool", images), lambda target: model.fc(target.mean((2, 3)))


def _inception(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Head]:
    target = _until(model, "avgpool", model._transform_input(images))
    return target, lambda target: model.fc(model.dropout(target.mean((2, 3))))


def _shufflenet(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Head]:
    return _until(model, "fc", images), lambda target: model.fc(target.mean((2, 3)))


def _pooled_classifier(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Head]:
    return model.features(images), lambda target: model.classifier(target.mean((2, 3)))


def _mnasnet(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Head]:
    return model.layers(images), lambda target: model.classifier(target.mean((2, 3)))


def _densenet(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Head]:
    # The activation is a function call in the forward pass, not a module; the map differs before
    # it.
    target = relu(model.features(images))
    return target, lambda target: model.classifier(target.mean((2, 3)))


def _convnext(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Head]:
    return model.features(images), lambda target: model.classifier(model.avgpool(target))


def _squeezenet(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Head]:
    return model.features(images), lambda target: model.classifier(target).flatten(1)


def _squeezenet_gradient(
    model: nn.Module, target: torch.Tensor, classes: torch.Tensor
) -> torch.Tensor:
    """Return the gradient, for which only the class's own row of W is needed.

    A logit is the mean of ReLU(z), z = W . A + b at each cell: its gradient is W / cells where z is
    positive, and zero elsewhere.
    """
    convolution = model.classifier[1]
    weights = convolution.weight[classes]  # (N, C, 1, 1)
    z = torch.bmm(weights.flatten(1)[:, None], target.flatten(2)) + convolution.bias[classes].view(
        -1, 1, 1
    )
    positive = (z > 0).unflatten(2, target.shape[2:]).to(target.dtype)
    return weights * (positive / z.shape[2])


def _vgg(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Head]:
    return (
        model.features(images),
        lambda target: model.classifier(model.avgpool(target).flatten(1)),
    )


def _vgg_mean_gradient(
    model: nn.Module, target: torch.Tensor
) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
    """Return the logits, and a function for the mean gradient.

    The first linear layer, by far the largest, has separate weights for each cell of the pooled
    target tensor. The mean of the gradient only needs their sum over the cells, because pooling
    averages: the weights of the target tensor's cells sum to 1 for each pooled cell.
    """
    head = model.classifier
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    first = next(i for i, layer in enumerate(layers) if isinstance(layer, nn.Linear))
    with torch.no_grad():
        hidden = nn.Sequential(*layers[: first + 1])(model.avgpool(target).flatten(1))
    leaf = hidden.requires_grad_()
    with torch.enable_grad():
        logits = nn.Sequential(*layers[first + 1 :])(leaf.clone())  # later layers work in place
    channels, cells = target.shape[1], target.shape[2] * target.shape[3]

    def mean_gradient(classes: torch.Tensor) -> torch.Tensor:
        one_hot = torch.zeros_like(logits).scatter_(1, classes[:, None], 1.0)
        (found,) = torch.autograd.grad(logits, leaf, one_hot, retain_graph=True)
        return (found @ _over_cells(layers[first], channels) / cells)[:, :, None, None]

    return logits, mean_gradient


# By linear layer: an identifier of the weights that were summed, and the sums.
_sums: WeakKeyDictionary[nn.Linear, tuple[tuple, torch.Tensor]] = WeakKeyDictionary()


def _over_cells(layer: nn.Linear, channels: int) -> torch.Tensor:
    """Return the weights (outputs, channels x cells) of a layer summed over the cells."""
    weight = layer.weight
    own = (weight.data_ptr(), weight._version, weight.device, weight.dtype, channels)
    found = _sums.get(layer)
    if found is None or found[0] != own:
        with torch.no_grad():
            found = own, weight.unflatten(1, (channels, -1)).sum(2)
        _sums[layer] = found
    return found[1]


def _swin(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Head]:
    target = model.permute(model.norm(model.features(images)))
    return target, lambda target: model.head(target.mean((2, 3)))


def _maxvit(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Head]:
    target = model.stem(images)
    for block in model.blocks:
        target = block(target)
    return target, model.classifier


def _vit(model: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Head]:
    """Split a ViT. The target tensor is the patches after the first norm of the last block.

    At the block's output, the gradient of the patches is zero, because the head only reads the
    class token.
    """
    encoder = model.encoder
    tokens = model._process_input(images)
    tokens = torch.cat([model.class_token.expand(len(tokens), -1, -1), tokens], 1)
    tokens = encoder.dropout(tokens + encoder.pos_embedding)
    *blocks, last = encoder.layers
    for block in blocks:
        tokens = block(tokens)
    normed = last.ln_1(tokens)
    grid = [side // model.patch_size for side in images.shape[2:]]

    def head(target: torch.Tensor) -> torch.Tensor:
        # Only the class token of the last block is used, so nothing else is computed.
        keys = torch.cat([normed[:, :1], target.flatten(2).transpose(1, 2)], 1)
        token, _ = last.self_attention(keys[:, :1], keys, keys, need_weights=False)
        token = last.dropout(token) + tokens[:, :1]
        token = token + last.mlp(last.ln_2(token))
        return model.heads(encoder.ln(token)[:, 0])

    return normed[:, 1:].transpose(1, 2).unflatten(2, grid), head


_INCEPTION_OPTIONS = (("aux_logits", False), ("transform_input", True), ("init_weights", True))

FAMILIES = {
    "resnet": Family(_resnet, "layer4", "fc"),
    "regnet": Family(_resnet, "trunk_output", "fc"),
    "googlenet": Family(_inception, "inception5b", "fc", options=_INCEPTION_OPTIONS),
    "inception_v3": Family(_inception, "Mixed_7c", "fc", options=_INCEPTION_OPTIONS),
    "shufflenet_v2": Family(_shufflenet, "conv5", "fc"),
    "mobilenet_v2": Family(_pooled_classifier, "features", "classifier.1"),
    "mobilenet_v3": Family(_pooled_classifier, "features", "classifier.3"),
    "efficientnet": Family(_pooled_classifier, "features", "classifier.1"),
    "mnasnet": Family(_mnasnet, "layers", "classifier.1"),
    "densenet": Family(_densenet, "relu(features)", "classifier"),
    "convnext": Family(_convnext, "features", "classifier.2", scratch_learning_rate=1e-4),
    "squeezenet": Family(
        _squeezenet,
        "features",
        "classifier.1",
        after=("classifier.2", "classifier.3"),
        scratch_learning_rate=3e-4,
        averages=False,
        gradient=_squeezenet_gradient,
    ),
    **dict.fromkeys(
        ("vgg", "alexnet"),
        Family(
            _vgg,
            "features",
            "classifier.6",
            scratch_learning_rate=1e-4,
            averages=False,
            mean_gradient=_vgg_mean_gradient,
        ),
    ),
    "swin": Family(_swin, "permute", "head", scratch_learning_rate=1e-4, tokens_last=True),
    "maxvit": Family(
        _maxvit, "blocks.3", "classifier.5", scratch_learning_rate=1e-4, size_option="input_size"
    ),
    "vit": Family(
        _vit,
        "encoder.layers[-1].ln_1",
        "heads.head",
        scratch_learning_rate=1e-4,
        averages=False,
        size_option="image_size",
    ),
    "small_cnn": Family(_pooled_classifier, "features.stage3", "classifier.1"),
}
