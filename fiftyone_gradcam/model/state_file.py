"""Read weights files of various formats as one dictionary of tensors."""

from __future__ import annotations

import os
import pickle
import reprlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .facts import PREFIXES

State = OrderedDict[str, torch.Tensor]


# Names of the dictionary with the network's weights in a file, the most common first.
_NAMES = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
_DEPTH = 4  # maximum depth of nested dictionaries; states of optimizers are deeper
_LONGEST = 300  # maximum length of a name in a network
SAVE = "Save it with torch.save(model.state_dict(), path)"


class WeightsError(ValueError):
    """Weights that cannot be used; `reason` says why, and `remedy` what to do."""

    def __init__(self, reason: str, remedy: str):
        super().__init__(f"{reason}. {remedy}")
        self.reason, self.remedy = reason, remedy

    def __reduce__(self):
        return type(self), (self.reason, self.remedy)


@dataclass(frozen=True)
class WeightsFile:
    """Content of a weights file.

    Attributes:
        state: tensors by their names in the network, with torch's `_metadata` of versions
        original: maps these names to the names in the file
    """

    state: State
    original: dict[str, str]

    @property
    def beside(self) -> set[str]:
        """Names without a prefix if other names have one: they do not belong to the network."""
        bare = {name for name, full in self.original.items() if name == full}
        return bare if len(bare) < len(self.original) else set()


def read_weights_file(path: str) -> WeightsFile:
    """Read the dictionary of tensors in a file, without executing code.

    It may be nested in other dictionaries, as in Lightning checkpoints, and prefixes of its names
    that are in `PREFIXES` are removed.

    Args:
        path: an existing file

    Raises:
        WeightsError: if torch cannot read the file safely, if it contains no such dictionary or
            more than one, a key that is not a name, or a value that is not a tensor
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _unreadable(path, error) from None
    where, found = _choose(path, content)
    _check_entries(path if not where else f"{path} ({_short(where)})", found)
    return _bare(path, found)


def _unreadable(path: str, error: Exception) -> WeightsError:
    if isinstance(error, PermissionError):
        return WeightsError(f"{path!r} cannot be read: permission denied", "Let your user read it")
    why = "it is damaged, or was not written by torch.save"
    if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):
        why = "it contains objects other than tensors and plain values, such as a whole model"
    return WeightsError(
        f"{path!r} is not a file of weights that torch can load safely "
        f"({type(error).__name__}): {why}",
        SAVE,
    )


def _choose(path: str, content: object) -> tuple[str, dict]:
    """Return where the network's tensors are in a file ("" for all of it), and the dictionary."""
    found = dict(_dictionaries(content))
    if not found:
        raise WeightsError(f"{path!r} contains no state dict, a dictionary of tensors", SAVE)
    if len(found) == 1:
        ((place, own),) = found.items()
        return ".".join(place), own
    ranks = {
        place: [_NAMES.index(name) if name in _NAMES else len(_NAMES) for name in place]
        for place in found
    }
    best = min(ranks, key=ranks.get)
    if min(ranks[best]) == len(_NAMES) or list(ranks.values()).count(ranks[best]) > 1:
        names = [".".join(place) for place in found]
        places = ", ".join(repr(_short(name)) for name in names[:10])
        places += f" and {len(names) - 10} more" * (len(names) > 10)
        raise WeightsError(
            f"{path!r} contains more than one dictionary of tensors: {places}",
            "Save only the network's: torch.save(torch.load(path)[...], another_path)",
        )
    return ".".join(best), found[best]


def _dictionaries(content: object) -> Iterator[tuple[tuple[str, ...], dict]]:
    """Yield the outermost dictionaries that contain tensors, and their places.

    Each dictionary is visited once: a small file can contain one under an enormous number of names.
    """
    level, seen = [((), content)], set()
    for _ in range(_DEPTH):
        inner = []
        for place, value in level:
            if not isinstance(value, dict) or id(value) in seen:
                continue
            seen.add(id(value))
            if any(isinstance(item, torch.Tensor) for item in value.values()):
                yield place, value
            else:
                inner += [((*place, n), v) for n, v in value.items() if isinstance(n, str)]
        level = inner


def _short(name: str) -> str:
    """Shorten a name for a message."""
    return name if len(name) <= 80 else f"{name[:80]}…"


def _check_entries(where: str, content: dict) -> None:
    for key, value in content.items():
        if not isinstance(key, str):
            raise WeightsError(
                f"{where!r} contains the key {reprlib.repr(key)}, which is not a name in a "
                f"network, such as 'conv1.weight'",
                SAVE,
            )
        if len(key) > _LONGEST:
            raise WeightsError(
                f"{where!r} contains a name of {len(key)} characters, {_short(key)!r}, which no "
                f"network has",
                SAVE,
            )
        if not isinstance(value, torch.Tensor):
            raise WeightsError(
                f"{where!r} contains {key!r}, a value of type {type(value).__name__}, among its "
                f"tensors",
                SAVE,
            )


def _bare(path: str, content: dict) -> WeightsFile:
    """Remove the prefixes of names in the network."""
    original: dict[str, str] = {}
    state: State = OrderedDict()
    for key, value in content.items():
        name = key[len(_prefix_of(key)) :]
        if name in original:
            raise WeightsError(
                f"{path!r} contains two tensors for {name!r}: {original[name]!r} and {key!r}",
                "Save the state dict of a single network",
            )
        original[name], state[name] = key, value
    versions = getattr(content, "_metadata", None)
    if isinstance(versions, dict):
        state._metadata = OrderedDict(_bare_versions(versions))
    return WeightsFile(state, original)


def _bare_versions(versions: dict) -> Iterator[tuple[str, dict]]:
    """Yield the versions of modules by their names without a prefix.

    That of a module that contains the network comes first, so that the network's own replaces it.
    """
    named = {k: own for k, own in versions.items() if isinstance(k, str) and isinstance(own, dict)}
    for name, own in sorted(named.items(), key=lambda pair: len(pair[0])):
        yield f"{name}."[len(_prefix_of(f"{name}.")) :].rstrip("."), own


def _prefix_of(key: str) -> str:
    """Return everything before a name of the network, such as "model.module."."""
    start = 0
    while found := next((p for p in PREFIXES if key.startswith(p, start)), None):
        start += len(found)
    return key[:start]


def check_weights_file(weights: str) -> str:
    """Return the path of a weights file with ~ expanded.

    Raises:
        FileNotFoundError: if there is no such file
    """
    path = os.path.expanduser(weights)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"No weights file at {path!r}. Pass weights='imagenet', 'none', or the path of a file"
        )
    return path
