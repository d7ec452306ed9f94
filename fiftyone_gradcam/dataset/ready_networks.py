"""Keep networks in memory, so that single images are explained without loading them again."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict

import fiftyone as fo

from ..model.network import Network
from .own_network import OwnRun
from .run import Run

MOST = 2  # networks: the selected run, and the run that it is compared with
_ready: OrderedDict[tuple, Network] = OrderedDict()
_lock = threading.Lock()


def ready_network(
    dataset: fo.Dataset, run: Run, layer: str | None = None, device: str | None = None
) -> Network:
    """Return the network of a run; load it only if it is not in memory or the run has changed.

    Args:
        dataset: the dataset of the run
        run: any run
        layer: the layer that Grad-CAM uses; by default (None), that of the backbone
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one

    Raises:
        FileNotFoundError, ValueError, ConnectionError: if the network cannot be loaded
    """
    name = _name(dataset, run, layer, device)
    with _lock:  # another thread that needs the same network waits for it
        if name in _ready:
            _ready.move_to_end(name)
            return _ready[name]
        network = run.network(device, layer)
        network.module.requires_grad_(False)
        _ready[name] = network
        while len(_ready) > MOST:
            _ready.popitem(last=False)
        return network


def is_ready(
    dataset: fo.Dataset, run: Run, layer: str | None = None, device: str | None = None
) -> bool:
    """Return whether the network of a run is in memory."""
    return _name(dataset, run, layer, device) in _ready


def forget_networks() -> None:
    """Release all networks from memory."""
    with _lock:
        _ready.clear()


def _name(dataset: fo.Dataset, run: Run, layer: str | None, device: str | None) -> tuple:
    if isinstance(run, OwnRun):  # its version is a digest of the network
        return (run.version, tuple(run.classes), layer, device)
    changed = os.path.getmtime(run.checkpoint) if os.path.isfile(run.checkpoint) else None
    return (str(dataset._doc.id), run.key, run.version, run.checkpoint, changed, layer, device)
