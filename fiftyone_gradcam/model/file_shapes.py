"""Find the backbone of a weights file without PyTorch, so that forms do not have to wait.

Only names and shapes are read. Files that are not understood are left to `state_file`, which checks
everything.
"""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping

from .facts import FACTS, PREFIXES

Shapes = dict[str, tuple[int, ...]]
MOST_BYTES = 1 << 26  # maximum size of the part that contains names and shapes
_DEPTH = 4
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the first bytes of such a file


class _Shape(tuple):
    """The shape of a tensor, in place of the tensor."""


class _Nothing:
    """Replaces all other objects in a file; accepts anything that is done with it."""

    def __new__(cls, *_, **__):
        return super().__new__(cls)

    def __init__(self, *_, **__):
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, value: object) -> None:
        """Ignore an item of a list."""

    def extend(self, values: object) -> None:
        """Ignore items of a list."""


def _tensor(_storage: object, _offset: int, size: tuple, *_: object) -> _Shape:
    return _Shape(size)


def _parameter(value: object, *_: object) -> object:
    return value


class _Reader(pickle.Unpickler):
    """Unpickler that runs no code: tensors become their shapes, other objects nothing."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return _tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return _parameter
        return _Nothing

    def persistent_load(self, pid: object) -> object:
        return _Nothing()


def backbone_of_file(path: str) -> str | None:
    """Return the backbone of the weights in a file written by torch.save; None if unknown.

    Args:
        path: path of any file
    """
    shapes = shapes_in(path)
    if not shapes:
        return None
    return next((name for name in FACTS if signature(shapes, name) == FACTS[name].shapes), None)


def signature(shapes: Mapping[str, tuple[int, ...]], backbone: str) -> int:
    """Return a number that identifies the networks of a backbone, regardless of their classes.

    Args:
        shapes: of all tensors of a network, by name
        backbone: name of the backbone, whose last layer is left out
    """
    last = FACTS[backbone].last_layer
    own = sorted(
        (name, tuple(shape))
        for name, shape in shapes.items()
        if name.endswith("weight")
        and len(shape) > 1
        and not name.startswith((last, "aux", "AuxLogits"))
    )
    return zlib.crc32(repr(own).encode())


def shapes_in(path: str) -> Shapes | None:
    """Return names and shapes of the network's tensors in a file; None if it is not understood."""
    try:
        for content in _contents(path):
            found = max(_dictionaries(content), key=len, default=None)
            if found:
                return found
    except Exception:  # forms must work with any file
        return None
    return None


def _contents(path: str) -> Iterator[object]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            name = next(x for x in archive.namelist() if x.endswith("data.pkl"))
            if archive.getinfo(name).file_size <= MOST_BYTES:
                yield _Reader(io.BytesIO(archive.read(name))).load()
        return
    with open(path, "rb") as file:
        if file.read(len(_LEGACY)) != _LEGACY:
            return
        file.seek(0)
        for _ in range(4):  # magic number, version, system information, and then the content
            content = _Reader(file).load()
        yield content


def _dictionaries(content: object) -> Iterator[Shapes]:
    """Yield the outermost dictionaries of tensors, without prefixes of their names."""
    level, seen = [content], set()
    for _ in range(_DEPTH):
        inner = []
        for value in level:
            if not isinstance(value, dict) or id(value) in seen:
                continue
            seen.add(id(value))
            own = {k: tuple(v) for k, v in value.items() if isinstance(v, _Shape)}
            if own:
                yield {_bare(k): v for k, v in own.items() if isinstance(k, str)}
            else:
                inner += value.values()
        level = inner


def _bare(name: str) -> str:
    while found := next((x for x in PREFIXES if name.startswith(x)), None):
        name = name[len(found) :]
    return name
