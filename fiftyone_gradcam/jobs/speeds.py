"""The measured speeds of networks on a dataset's images, kept in the database for estimates."""

from __future__ import annotations

import socket
import time
from dataclasses import asdict

import fiftyone as fo
from fiftyone.operators.store import ExecutionStore

from ..training.duration import Speed

STORE = "gradcam_speeds"
AT = "measured_at"
FRESH_SECONDS = 3600.0  # the machine may be less busy after that


def keep_speed(dataset: fo.Dataset, backbone: str, image_size: int | None, speed: Speed) -> None:
    """Keep the speed of a network on this machine, until it is measured again.

    Args:
        dataset: the dataset whose images were used; their size matters too
        backbone: name of the network
        image_size: side of its input, in pixels; None for that of the backbone
        speed: measured
    """
    _store(dataset).set(_key(backbone, image_size), asdict(speed) | {AT: time.time()})


def kept_speed(
    dataset: fo.Dataset, backbone: str, image_size: int | None
) -> tuple[Speed | None, bool]:
    """Return the speed that was kept for a network on this machine, or None, and whether it was
    measured within an hour."""
    found = _store(dataset).get(_key(backbone, image_size))
    if not found:
        return None, False
    at = found.pop(AT)
    return Speed(**found), time.time() - at < FRESH_SECONDS


def _store(dataset: fo.Dataset) -> ExecutionStore:
    return ExecutionStore.create(STORE, dataset._doc.id)


def _key(backbone: str, image_size: int | None) -> str:
    # A dot or a dollar sign has a meaning in some names of MongoDB.
    host = socket.gethostname().replace(".", "-").replace("$", "-")
    return f"{host} {backbone} {image_size or 'own'}"
