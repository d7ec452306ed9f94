"""Wrap a network as a FiftyOne model, for `dataset.apply_model` and `compute_embeddings`."""

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
    """Resize an image to the input of a network, in the same way as `predict`.

    Args:
        size: side of the square in pixels
        resize: how images are resized to a square (see
            `fiftyone_gradcam.images.geometry.seen_box`)
        options: which unusual files are decoded
    """

    def __init__(self, size: int, resize: str, options: DecodeOptions = DEFAULT):
        self.size, self.resize, self.options = size, resize, options

    def __call__(self, image: Picture) -> torch.Tensor:
        """Return the image as a uint8 tensor (3, size, size).

        Args:
            image: the path of a file (rotated according to its EXIF data), a Pillow image, or a
                uint8 array (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA

        Raises:
            ImageError: if the file cannot be decoded
            ValueError: if the array has another shape or type
            TypeError: if the image is none of these
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
        pixels = np.array(to_square(found, self.size, self.resize))  # torch needs a writable copy
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
    """Read the image of a sample in a worker, and resize it to the input of the network."""

    def __init__(self, to_square: ToSquare, field_mapping: dict[str, str] | None = None):
        super().__init__(field_mapping=field_mapping)
        self.to_square = to_square

    @property
    def required_keys(self) -> list[str]:
        return ["filepath"]

    def __call__(self, values: dict[str, str]) -> torch.Tensor:
        try:
            return self.to_square(values["filepath"])
        except ImageError as error:  # has two arguments, and cannot be pickled by a worker
            raise ValueError(str(error)) from None


class RunModel(
    fom.LogitsMixin, fom.EmbeddingsMixin, fom.TorchModelMixin, fom.SupportsGetItem, fom.Model
):
    """A network as a FiftyOne model.

    Use it with `dataset.apply_model(model, label_field=..., batch_size=16, num_workers=2)` and
    `dataset.compute_embeddings(model, embeddings_field=...)`.

    Labels and confidences are the same as those of `predict`. With `store_logits=True`, logits are
    stored too; below `confidence_thresh`, FiftyOne stores a classification without a label. If a
    file cannot be decoded, FiftyOne skips its whole batch with a warning, or raises an error with
    `skip_failures=False`; `predict` leaves out only the file itself.

    Embeddings are the same as those of `fiftyone_gradcam.compute_embeddings`, except that they are
    not rounded to float16: the means over the cells of the target tensor.

    Args:
        network: the network, on its device
        options: which unusual files are decoded
    """

    media_type = "image"
    has_logits = True
    has_embeddings = True
    ragged_batches = False
    preprocess = True  # FiftyOne sets it to False if its workers preprocess
    config = None  # required by FiftyOne, for options of the model

    def __init__(self, network: Network, options: DecodeOptions = DEFAULT):
        super().__init__()
        self._network = network
        self._to_square = ToSquare(network.image_size, network.resize, options)
        self._embeddings: np.ndarray | None = None

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return self._network.device

    @property
    def transforms(self) -> ToSquare:
        """The preprocessing of images."""
        return self._to_square

    @property
    def _using_gpu(self) -> bool:
        """Whether to pin memory; FiftyOne uses this for `pin_memory`."""
        return self.device.type == "cuda"

    def build_get_item(self, field_mapping: dict[str, str] | None = None) -> GetItem:
        """Return the object by which FiftyOne's workers read a sample."""
        return _FromPath(self._to_square, field_mapping)

    def predict(self, arg: Picture | torch.Tensor) -> fo.Classification:
        """Return the label of one image (see `predict_all`)."""
        return self.predict_all([arg])[0]

    def predict_all(
        self, args: Sequence[Picture] | Sequence[torch.Tensor] | torch.Tensor | np.ndarray
    ) -> list[fo.Classification]:
        """Return the labels of some images.

        Args:
            args: images as accepted by `ToSquare`; or, if `preprocess` is False, the results of
                `transforms`: uint8 tensors (3, S, S), which may be stacked
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
        """Return the embedding (C,) of one image (see `embed_all`)."""
        return self.embed_all([arg])[0]

    def embed_all(
        self, args: Sequence[Picture] | Sequence[torch.Tensor] | torch.Tensor | np.ndarray
    ) -> np.ndarray:
        """Return the embeddings (n, C) of some images, which are passed as to `predict_all`."""
        return self._see(args)[1]

    def get_embeddings(self) -> np.ndarray:
        """Return the embeddings (n, C) of the last images that were predicted or embedded.

        Raises:
            ValueError: if no image was predicted or embedded yet
        """
        if self._embeddings is None:
            raise ValueError("No image was predicted or embedded yet. Call embed() first")
        return self._embeddings

    def _see(self, args: Sequence | torch.Tensor | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return logits (n, K) and embeddings (n, C) of some images, from one forward pass."""
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
