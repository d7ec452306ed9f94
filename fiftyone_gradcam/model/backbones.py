"""The one table of backbones: how each is built, split for Grad-CAM, and given its weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torchvision
from torch import nn

from .small_cnn import SmallCNN

# Every torchvision classifier was trained with these; a network trained from scratch does not
# mind, so that one normalisation serves all.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Family:
    """Networks of one build.

    Attributes:
        features: (model, normalised images (N, 3, H, W)) -> target tensor of Grad-CAM
            (N, C, h, w): the last feature map, after its activation
        head: (model, target tensor) -> logits (N, K)
        layer: where the target tensor stands in the model, for people
        last_layer: name of the layer that makes the logits
        scratch_learning_rate: a safe AdamW learning rate without pretrained weights
        options: further arguments of the builder
    """

    features: Callable[[nn.Module, torch.Tensor], torch.Tensor]
    head: Callable[[nn.Module, torch.Tensor], torch.Tensor]
    layer: str
    last_layer: str
    scratch_learning_rate: float = 1e-3
    options: tuple[tuple[str, object], ...] = ()


def _named_features(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return model.features(images)


def _until_pooling(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Run the children in order up to `avgpool`: their order is the order of the forward."""
    for name, child in model.named_children():
        if name == "avgpool":
            return images
        images = child(images)
    raise AssertionError("no avgpool in the model")


def _googlenet_features(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return _until_pooling(model, model._transform_input(images))


def _pooled_fc(model: nn.Module, features: torch.Tensor) -> torch.Tensor:
    return model.fc(features.mean((2, 3)))


def _pooled_dropout_fc(model: nn.Module, features: torch.Tensor) -> torch.Tensor:
    return model.fc(model.dropout(features.mean((2, 3))))


def _pooled_classifier(model: nn.Module, features: torch.Tensor) -> torch.Tensor:
    return model.classifier(features.mean((2, 3)))


def _flat_classifier(model: nn.Module, features: torch.Tensor) -> torch.Tensor:
    return model.classifier(model.avgpool(features).flatten(1))


def _convolutional_classifier(model: nn.Module, features: torch.Tensor) -> torch.Tensor:
    return model.classifier(features).flatten(1)


FAMILIES = {
    "resnet": Family(_until_pooling, _pooled_fc, "layer4", "fc"),
    "googlenet": Family(
        _googlenet_features,
        _pooled_dropout_fc,
        "inception5b",
        "fc",
        options=(("aux_logits", False), ("transform_input", True), ("init_weights", True)),
    ),
    "mobilenet_v2": Family(_named_features, _pooled_classifier, "features", "classifier.1"),
    "squeezenet": Family(
        _named_features, _convolutional_classifier, "features", "classifier.1", 3e-4
    ),
    "vgg": Family(_named_features, _flat_classifier, "features", "classifier.6", 1e-4),
    "alexnet": Family(_named_features, _flat_classifier, "features", "classifier.6", 1e-4),
    "small_cnn": Family(_named_features, _pooled_classifier, "features.stage3", "classifier.1"),
}


@dataclass(frozen=True)
class Backbone:
    """A row of the table: a network's name, its family, and the image size it expects."""

    name: str
    family_name: str
    image_size: int = 224

    @property
    def family(self) -> Family:
        """How networks of this kind are built and split."""
        return FAMILIES[self.family_name]

    @property
    def has_imagenet_weights(self) -> bool:
        """Whether torchvision offers pretrained weights."""
        return self.name != "small_cnn"

    def build(self, num_classes: int) -> nn.Module:
        """The network with random weights and a last layer for `num_classes` classes."""
        if self.name == "small_cnn":
            return SmallCNN(num_classes)
        options = dict(self.family.options)
        return torchvision.models.get_model(
            self.name, weights=None, num_classes=num_classes, **options
        )

    def features(self, model: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """The target tensor (N, C, h, w) of normalised images (N, 3, H, W)."""
        return self.family.features(model, images)

    def head(self, model: nn.Module, features: torch.Tensor) -> torch.Tensor:
        """Logits (N, K) of a target tensor (N, C, h, w)."""
        return self.family.head(model, features)


BACKBONES = {
    row.name: row
    for row in (
        *(Backbone(f"resnet{depth}", "resnet") for depth in (18, 34, 50, 101, 152)),
        *(Backbone(f"resnext{kind}", "resnet") for kind in ("50_32x4d", "101_32x8d", "101_64x4d")),
        *(Backbone(f"wide_resnet{depth}_2", "resnet") for depth in (50, 101)),
        *(Backbone(f"squeezenet{version}", "squeezenet") for version in ("1_0", "1_1")),
        Backbone("mobilenet_v2", "mobilenet_v2"),
        Backbone("googlenet", "googlenet"),
        *(Backbone(f"vgg{n}{bn}", "vgg") for n in (11, 13, 16, 19) for bn in ("", "_bn")),
        Backbone("alexnet", "alexnet"),
        Backbone("small_cnn", "small_cnn", image_size=32),
    )
}


def get_backbone(name: str) -> Backbone:
    """Look a backbone up.

    Raises:
        ValueError: if the table has no such backbone; the message lists those it has
    """
    try:
        return BACKBONES[name]
    except KeyError:
        known = ", ".join(BACKBONES)
        raise ValueError(f"Unknown backbone {name!r}. Choose one of: {known}") from None


def normalize(images: torch.Tensor) -> torch.Tensor:
    """Turn uint8 images (N, 3, H, W) into the normalised float32 input of every backbone."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1) * 255
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1) * 255
    return images.float().sub_(mean).div_(std)


def imagenet_weights_file(name: str) -> str | None:
    """Where torchvision keeps the downloaded ImageNet weights of a backbone (None: has none)."""
    if not get_backbone(name).has_imagenet_weights:
        return None
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    return os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(url))


def create_model(name: str, num_classes: int, weights: str = "imagenet") -> nn.Module:
    """Build a backbone for `num_classes` classes.

    Args:
        name: a row of the table, such as "resnet18"
        num_classes: number of classes K
        weights: "imagenet" (downloaded by torchvision once, then cached), "none" (random), or
            the path of a file with a state dict of this backbone. The last layer is new unless
            the file has one for the same number of classes.

    Raises:
        ValueError: if the backbone is unknown or has no ImageNet weights, or if the file does
            not hold weights of this backbone
        FileNotFoundError: if there is no such file
        ConnectionError: if ImageNet weights are neither cached nor to be downloaded
    """
    backbone = get_backbone(name)
    if weights == "none":
        return backbone.build(num_classes)
    state = load_weights(name, weights)
    model = backbone.build(num_classes)
    own = model.state_dict()
    last_layer = backbone.family.last_layer + "."
    # Auxiliary classifiers of GoogLeNet serve training from scratch only.
    state = {k: v for k, v in state.items() if not k.startswith("aux")}
    for key in [k for k in state if k.startswith(last_layer)]:
        if key in own and state[key].shape != own[key].shape:
            del state[key]
    wrong = [k for k, v in state.items() if k in own and v.shape != own[k].shape]
    missing = [k for k in own if k not in state and not k.startswith(last_layer)]
    unknown = [k for k in state if k not in own]
    if wrong or missing or unknown:
        example = (wrong or missing or unknown)[0]
        raise ValueError(
            f"The weights in {weights!r} are not those of {name!r}: {len(missing)} tensors "
            f"missing, {len(unknown)} unknown, {len(wrong)} of another shape (as {example!r}). "
            f"Choose the backbone that the file was saved from"
        )
    model.load_state_dict(state, strict=False)
    return model


def load_weights(name: str, weights: str) -> dict[str, torch.Tensor]:
    """The state dict of "imagenet" weights or of a weights file (see `create_model`)."""
    backbone = get_backbone(name)
    if weights == "imagenet":
        if not backbone.has_imagenet_weights:
            raise ValueError(f"{name!r} has no ImageNet weights. Pass weights='none'")
        try:
            entry = torchvision.models.get_model_weights(name).DEFAULT
            return dict(entry.get_state_dict(progress=False, check_hash=True))
        except OSError as error:  # URLError and every network failure are kinds of OSError
            raise ConnectionError(
                f"Could not download the ImageNet weights of {name!r} ({error}). Connect to the "
                f"internet, put the file at {imagenet_weights_file(name)}, pass the path of a "
                f"weights file, or train from scratch with weights='none'"
            ) from error
    path = os.path.expanduser(weights)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"No weights file at {path!r}. Pass weights='imagenet', 'none', or the path of a file"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path!r} is not a file of weights that torch can load safely "
            f"({type(error).__name__}). Save it with torch.save(model.state_dict(), path)"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ValueError(
            f"{path!r} holds no state dict. Save it with torch.save(model.state_dict(), path)"
        )
    return {k.removeprefix("module."): v for k, v in state.items()}
