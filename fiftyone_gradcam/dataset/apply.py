"""A network as a model of FiftyOne's, for `dataset.apply_model` and `compute_embeddings`."""

from __future__ import annotations

import os
from collections.abc import Sequence

import fiftyone as fo
import fiftyone.core.models as fom
import numpy as np
import torch
from fiftyone.utils.torch import GetItem
from PIL import Image

from ..images.decode import DEFAULT, DecodeOptions, ImageError, decode, to_rgb
from ..images.geometry import smallest_side, to_square
from ..model.network import Network
from ..review.scores import softmax

Picture = str | os.PathLike | Image.Image | np.ndarray


class ToSquare:
    """Makes an image what a network sees of it, in the same way as `predict`.

    Args:
        size: side of the square, in pixels
        resize: how an image becomes square (see `fiftyone_gradcam.images.geometry.seen_box`)
        options: which unusual files are decoded
    """

    def __init__(self, size: int, resize: str, options: DecodeOptions = DEFAULT):
        self.size, self.resize, self.options = size, resize, options

    def __call__(self, image: Picture) -> torch.Tensor:
        """A uint8 tensor (3, size, size).

        Args:
            image: the path of a file (turned upright by its EXIF data), a Pillow image, or a uint8
                array (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA

        Raises:
            ImageError: if the file cannot be decoded
            ValueError: if the array is of another kind
            TypeError: if it is neither
        """
        if isinstance(image, str | os.PathLike):
            least = smallest_side(self.resize, self.size)
            found = decode(image, least, self.options).image
        elif isinstance(image, Image.Image):
            found = to_rgb(image)
        elif isinstance(image, np.ndarray):
            found = to_rgb(_from_array(image))
        else:
            raise TypeError(
                f"An image is the path of a file, a Pillow image or a NumPy array, not "
                f"{type(image).__name__}"
            )
        pixels = np.array(to_square(found, self.size, self.resize))  # torch wants it writable
        return torch.from_numpy(pixels).permute(2, 0, 1)


def _from_array(array: np.ndarray) -> Image.Image:
    channels = 1 if array.ndim == 2 else array.shape[-1]
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise ValueError(
            f"An image is a uint8 array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), not "
            f"{array.dtype} {array.shape}"
        )
    return Image.fromarray(array[..., 0] if array.ndim == 3 and channels == 1 else array)


class _FromPath(GetItem):
    """What a worker reads of a sample: the path of its file, made what the network sees."""

    def __init__(self, to_square: ToSquare, field_mapping: dict[str, str] | None = None):
        super().__init__(field_mapping=field_mapping)
        self.to_square = to_square

    @property
    def required_keys(self) -> list[str]:
        return ["filepath"]

    def __call__(self, values: dict[str, str]) -> torch.Tensor:
        try:
            return self.to_square(values["filepath"])
        except ImageError as error:  # which has two arguments, and does not travel from a worker
            raise ValueError(str(error)) from None


class RunModel(
    fom.LogitsMixin, fom.EmbeddingsMixin, fom.TorchModelMixin, fom.SupportsGetItem, fom.Model
):
    """A network for `dataset.apply_model(model, label_field=..., batch_size=16, num_workers=2)` and
    `dataset.compute_embeddings(model, embeddings_field=...)`.

    Its labels and confidences are those of `predict`. With `store_logits=True` the logits are
    stored too; below `confidence_thresh` FiftyOne stores a classification without a label. A file
    that cannot be decoded takes its batch with it (FiftyOne warns, or raises with
    `skip_failures=False`); `predict` leaves out the file alone.

    Its embeddings are those of `fiftyone_gradcam.compute_embeddings`, which keeps them: the means
    over the cells of the target tensor, without the rounding to float16.

    Args:
        network: what predicts, on its device
        options: which unusual files are decoded
    """

    media_type = "image"
    has_logits = True
    has_embeddings = True
    ragged_batches = False
    preprocess = True  # FiftyOne turns it off where its workers have done it
    config = None  # FiftyOne asks it for options of a model's own

    def __init__(self, network: Network, options: DecodeOptions = DEFAULT):
        super().__init__()
        self._network = network
        self._to_square = ToSquare(network.image_size, network.resize, options)
        self._embeddings: np.ndarray | None = None

    @property
    def device(self) -> torch.device:
        """What it runs on."""
        return self._network.device

    @property
    def transforms(self) -> ToSquare:
        """What is done to each image before prediction."""
        return self._to_square

    @property
    def _using_gpu(self) -> bool:
        """Whether memory is worth pinning, which FiftyOne asks for `pin_memory=True`."""
        return self.device.type == "cuda"

    def build_get_item(self, field_mapping: dict[str, str] | None = None) -> GetItem:
        """What FiftyOne's workers read of a sample."""
        return _FromPath(self._to_square, field_mapping)

    def predict(self, arg: Picture | torch.Tensor) -> fo.Classification:
        """The label of one image (see `predict_all`)."""
        return self.predict_all([arg])[0]

    def predict_all(
        self, args: Sequence[Picture] | Sequence[torch.Tensor] | torch.Tensor | np.ndarray
    ) -> list[fo.Classification]:
        """The labels of some images.

        Args:
            args: images as in `ToSquare`, or, while `preprocess` is False, what `transforms` makes
                of them: uint8 tensors (3, S, S), also stacked
        """
        logits, _ = self._see(args)
        labels = []
        for row, shares in zip(logits, softmax(logits), strict=True):
            best = int(row.argmax())
            name = self._network.classes[best]
            label = fo.Classification(label=name, confidence=float(shares[best]))
            if self.store_logits:
                label.logits = row.copy()
            labels.append(label)
        return labels

    def embed(self, arg: Picture | torch.Tensor) -> np.ndarray:
        """The embedding (C,) of one image (see `embed_all`)."""
        return self.embed_all([arg])[0]

    def embed_all(
        self, args: Sequence[Picture] | Sequence[torch.Tensor] | torch.Tensor | np.ndarray
    ) -> np.ndarray:
        """The embeddings (n, C) of some images, which are given as to `predict_all`."""
        return self._see(args)[1]

    def get_embeddings(self) -> np.ndarray:
        """The embeddings (n, C) of the images that were predicted or embedded last.

        Raises:
            ValueError: if there were none
        """
        if self._embeddings is None:
            raise ValueError("No image was predicted or embedded yet. Call embed() first")
        return self._embeddings

    def _see(self, args: Sequence | torch.Tensor | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, K) and embeddings (n, C) of some images, from one forward pass."""
        images = [self.transforms(arg) for arg in args] if self.preprocess else args
        if not len(images):
            return np.empty((0, len(self._network.classes))), np.empty((0, 0))
        if not isinstance(images, torch.Tensor):
            images = torch.stack(list(images))
        with torch.no_grad():
            target, head = self._network.split(self._network.normalize(images))
            logits = head(target).float().cpu().numpy()
        self._embeddings = target.mean((2, 3)).float().cpu().numpy()
        return logits, self._embeddings
