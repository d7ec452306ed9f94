"""Wrap the user's own network as a run of a dataset, for prediction only."""

from __future__ import annotations

from dataclasses import dataclass

import fiftyone as fo
from torch import nn

from ..model.network import Network
from .run import Pretrained


@dataclass(frozen=True)
class OwnRun(Pretrained):
    """The user's own network, used as it is; its backbone need not be one of this plugin's.

    Attributes:
        own: the network
    """

    own: Network | None = None

    @property
    def version(self) -> str:
        """The digest of the network, which distinguishes it from others with the same name."""
        return self.own.digest

    @property
    def layer(self) -> str:
        """The name of the layer that Grad-CAM uses by default."""
        return self.own.layer

    def network(self, device: str | None = None, layer: str | None = None) -> Network:
        """See `Run.network`."""
        return self.own.on(device, layer)

    def load_model(self) -> nn.Module:
        """Return the torch module, in eval mode."""
        return self.own.module

    def __str__(self) -> str:
        return str(self.own)


def own_run(dataset: fo.Dataset, network: Network) -> OwnRun:
    """Return a network as a run of a dataset."""
    return OwnRun(
        key=f"{network.name}/network",
        dataset_name=dataset.name,
        classes=list(network.classes),
        recipe={
            "backbone": network.name,
            "weights": "own",
            "image_size": network.image_size,
            "resize": network.resize,
        },
        history=[],
        best_epoch=0,
        label_field="ground_truth",
        checkpoint="",
        own=network,
    )
