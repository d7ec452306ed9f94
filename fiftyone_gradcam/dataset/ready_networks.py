"""Networks that stay in memory, so that one image after another is explained at once."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict

import fiftyone as fo

from ..model.network import Network
from .own_network import OwnRun
from .run import Run

MOST = 2  # networks: the run that is looked at, and one that it is compared with
_ready: OrderedDict[tuple, Network] = OrderedDict()
_lock = threading.Lock()


def ready_network(
    dataset: fo.Dataset, run: Run, layer: str | None = None, device: str | None = None
) -> Network:
    """The network of a run, loaded once; it is loaded again when the run is another.

    Args:
        dataset: that it is a run of
        run: any
        layer: where the target tensor is taken; None takes the backbone's
        device: such as "cpu" or "cuda"; None takes the best at hand

    Raises:
        FileNotFoundError, ValueError, ConnectionError: if it cannot be loaded
    """
    name = _name(dataset, run, layer, device)
    with _lock:  # who asks for the same meanwhile waits for it
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
    """Whether the network of a run is in memory."""
    return _name(dataset, run, layer, device) in _ready


def forget_networks() -> None:
    """Give the memory back."""
    with _lock:
        _ready.clear()


def _name(dataset: fo.Dataset, run: Run, layer: str | None, device: str | None) -> tuple:
    if isinstance(run, OwnRun):  # known by all that it computes
        return (run.version, tuple(run.classes), layer, device)
    changed = os.path.getmtime(run.checkpoint) if os.path.isfile(run.checkpoint) else None
    return (str(dataset._doc.id), run.key, run.version, run.checkpoint, changed, layer, device)
