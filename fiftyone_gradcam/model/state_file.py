"""Files of weights as people have them: what a file holds, as one dictionary of tensors."""

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


# What a dictionary with the network's weights is called in a file, most usual first.
_NAMES = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
_DEPTH = 4  # of dictionaries within dictionaries; states of optimizers lie deeper
_LONGEST = 300  # letters of a name in a network
SAVE = "Save it with torch.save(model.state_dict(), path)"


class WeightsError(ValueError):
    """Weights that cannot be used: `reason` says why, and `remedy` what to do."""

    def __init__(self, reason: str, remedy: str):
        super().__init__(f"{reason}. {remedy}")
        self.reason, self.remedy = reason, remedy

    def __reduce__(self):
        return type(self), (self.reason, self.remedy)


@dataclass(frozen=True)
class WeightsFile:
    """What was read from a file.

    Attributes:
        state: tensors by their names in the network, with torch's `_metadata` of versions
        original: their names in the file
    """

    state: State
    original: dict[str, str]

    @property
    def beside(self) -> set[str]:
        """Names without a prefix where others have one: of what stands beside the network."""
        bare = {name for name, full in self.original.items() if name == full}
        return bare if len(bare) < len(self.original) else set()


def read_weights_file(path: str) -> WeightsFile:
    """Read the one dictionary of tensors that a file holds, without running code.

    It may lie within other dictionaries, as in checkpoints of Lightning, and its names may begin
    with any of `PREFIXES`, which are taken away.

    Args:
        path: of an existing file

    Raises:
        WeightsError: if torch cannot read it safely, if it holds no such dictionary or more than
            one, or a key that is not a name, or a value that is not a tensor
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _unreadable(path, error) from error
    where, found = _choose(path, content)
    _check_entries(path if not where else f"{path} ({_short(where)})", found)
    return _bare(path, found)


def _unreadable(path: str, error: Exception) -> WeightsError:
    if isinstance(error, PermissionError):
        return WeightsError(f"{path!r} cannot be read: permission denied", "Let your user read it")
    why = "it is damaged, or no file of torch.save"
    if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):
        why = "it holds other objects than tensors and plain values, such as a whole model"
    return WeightsError(
        f"{path!r} is not a file of weights that torch can load safely "
        f"({type(error).__name__}): {why}",
        SAVE,
    )


def _choose(path: str, content: object) -> tuple[str, dict]:
    """Where in a file the network's tensors are ("" for all of it), and the dictionary."""
    found = dict(_dictionaries(content))
    if not found:
        raise WeightsError(f"{path!r} holds no state dict, a dictionary of tensors", SAVE)
    if () in found or len(found) == 1:
        place = () if () in found else next(iter(found))
        return ".".join(place), found[place]
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
            f"{path!r} holds more than one dictionary of tensors: {places}",
            "Save the network's alone: torch.save(torch.load(path)[...], another_path)",
        )
    return ".".join(best), found[best]


def _dictionaries(content: object) -> Iterator[tuple[tuple[str, ...], dict]]:
    """The outermost dictionaries that hold tensors, and where they lie.

    Each is looked at once: a small file can hold one under more names than there is time for.
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
    """A name in a message."""
    return name if len(name) <= 80 else f"{name[:80]}…"


def _check_entries(where: str, content: dict) -> None:
    for key, value in content.items():
        if not isinstance(key, str):
            raise WeightsError(
                f"{where!r} holds a value under the key {reprlib.repr(key)}, where a name of the "
                f"network must be, such as 'conv1.weight'",
                SAVE,
            )
        if len(key) > _LONGEST:
            raise WeightsError(
                f"{where!r} holds a name of {len(key)} characters, {_short(key)!r}, which no "
                f"network has",
                SAVE,
            )
        if not isinstance(value, torch.Tensor):
            raise WeightsError(
                f"{where!r} holds {key!r}, a value of type {type(value).__name__}, among its "
                f"tensors",
                SAVE,
            )


def _bare(path: str, content: dict) -> WeightsFile:
    """Names without what stands before those of the network."""
    original: dict[str, str] = {}
    state: State = OrderedDict()
    for key, value in content.items():
        name = key[len(_prefix_of(key)) :]
        if name in original:
            raise WeightsError(
                f"{path!r} holds two tensors for {name!r}: {original[name]!r} and {key!r}",
                "Save the state dict of one network alone",
            )
        original[name], state[name] = key, value
    versions = getattr(content, "_metadata", None)
    if isinstance(versions, dict):
        state._metadata = OrderedDict(_bare_versions(versions))
    return WeightsFile(state, original)


def _bare_versions(versions: dict) -> Iterator[tuple[str, dict]]:
    """The versions of modules by their names without a prefix; that of what holds the network
    goes first, so that the network's own takes its place."""
    named = {k: own for k, own in versions.items() if isinstance(k, str) and isinstance(own, dict)}
    for name, own in sorted(named.items(), key=lambda pair: len(pair[0])):
        yield f"{name}."[len(_prefix_of(f"{name}.")) :].rstrip("."), own


def _prefix_of(key: str) -> str:
    """All that stands before a name of the network, such as "model.module."."""
    start = 0
    while found := next((p for p in PREFIXES if key.startswith(p, start)), None):
        start += len(found)
    return key[:start]


def check_weights_file(weights: str) -> str:
    """The path of a file of weights, ~ expanded.

    Raises:
        FileNotFoundError: if there is none
    """
    path = os.path.expanduser(weights)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"No weights file at {path!r}. Pass weights='imagenet', 'none', or the path of a file"
        )
    return path
