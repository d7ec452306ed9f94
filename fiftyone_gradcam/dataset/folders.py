"""From a folder of class folders to a dataset: scan first, write only what was proved."""

from __future__ import annotations

import mimetypes
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import fiftyone as fo
import fiftyone.core.media as fom

from ..images.decode import ImageError, decode
from .files import dataset_folder

SPLIT_TAGS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
INFO_KEY = "import_folders"
LISTED_SKIPS = 1000


@dataclass
class Scan:
    """What a folder holds.

    Attributes:
        root: absolute path of the folder
        files: (path, label, split or None), sorted by path
        skipped: (path, reason) of every file that is left out
        known: paths that the dataset has already
    """

    root: str
    files: list[tuple[str, str, str | None]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in order."""
        return sorted({label for _, label, _ in self.files})

    def reasons(self) -> dict[str, int]:
        """How many files are left out for which reason."""
        return dict(Counter(reason for _, reason in self.skipped).most_common())


def scan(path: str) -> Scan:
    """List the files of class folders, without opening them.

    Below train/val/test folders (in any of their usual names) the next level is the class;
    otherwise the first level is. Deeper folders belong to their class. Hidden files and folders
    are passed over.

    Raises:
        FileNotFoundError, NotADirectoryError: if the path is no folder
    """
    root = os.path.abspath(os.path.expanduser(path))
    if not os.path.exists(root):
        raise FileNotFoundError(f"No folder at {root!r}")
    if not os.path.isdir(root):
        raise NotADirectoryError(f"{root!r} is a file. Give the folder that holds class folders")
    found = Scan(root)
    tops = sorted(e.name for e in os.scandir(root) if e.is_dir() and not _hidden(e.name))
    has_splits = bool(tops) and all(name.lower() in SPLIT_TAGS for name in tops)
    for file in _walk(root):
        parts = os.path.relpath(file, root).split(os.sep)
        split = SPLIT_TAGS[parts[0].lower()] if has_splits and len(parts) > 1 else None
        levels = parts[1:-1] if split else parts[:-1]
        if levels:
            found.files.append((file, levels[0], split))
        else:
            found.skipped.append((file, "not in a class folder"))
    return found


def prove(
    found: Scan, on_step: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, fo.ImageMetadata]:
    """Decode every new file of a scan; move those that are no images to `skipped`.

    Args:
        found: changed in place
        on_step: called with (files done, files in all)

    Returns:
        the metadata of each new file that is an image, by path
    """
    new = [file for file, _, _ in found.files if file not in found.known]
    metadata, broken = {}, set()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (file, result) in enumerate(
            zip(new, pool.map(_describe, new), strict=True), start=1
        ):
            if isinstance(result, ImageError):
                found.skipped.append((file, result.reason))
                broken.add(file)
            else:
                metadata[file] = result
            on_step(done, len(new))
    found.files = [row for row in found.files if row[0] not in broken]
    return metadata


def check(found: Scan) -> None:
    """Refuse a scan that no classifier can be trained on.

    Raises:
        ValueError: without images, without class folders, or with a single class
    """
    left_out = ", ".join(f"{count} {reason}" for reason, count in found.reasons().items())
    left_out = f" (left out: {left_out})" if left_out else ""
    if not found.files:
        raise ValueError(
            f"No images in class folders below {found.root!r}{left_out}. Give the folder that "
            f"holds one folder for each class, or train/val/test folders of them"
        )
    if len(found.classes) == 1:
        raise ValueError(
            f"Only one class, {found.classes[0]!r}, below {found.root!r}{left_out}. A classifier "
            f"needs two; give the folder that holds one folder for each class"
        )


def write(
    found: Scan,
    metadata: dict[str, fo.ImageMetadata],
    name: str,
    label_field: str,
    overwrite: bool,
    progress: bool | Callable | None = None,
) -> tuple[fo.Dataset, int]:
    """Add the files of a scan to the dataset `name`, which is made if need be.

    Files that the dataset has already are left alone. If anything goes wrong, what was added is
    taken out again, and a dataset that was to be replaced is still there.

    Returns:
        the dataset, and the number of added samples
    """
    replaced = fo.load_dataset(name) if overwrite and fo.dataset_exists(name) else None
    created = replaced is not None or not fo.dataset_exists(name)
    if created:  # what is replaced stays until the new dataset is whole
        dataset = fo.Dataset(
            f"{name} {uuid.uuid4().hex}" if replaced is not None else name, persistent=True
        )
    else:
        dataset = fo.load_dataset(name)
    ids: list[str] = []
    try:
        samples = [
            fo.Sample(
                filepath=file,
                tags=[split] if split else [],
                metadata=metadata[file],
                **{label_field: fo.Classification(label=label)},
            )
            for file, label, split in found.files
            if file in metadata
        ]
        if samples:
            ids = dataset.add_samples(samples, progress=progress)
        dataset.info[INFO_KEY] = {
            "path": found.root,
            "label_field": label_field,
            "has_splits": any(split for _, _, split in found.files),
            "skipped": found.reasons(),
            "skipped_files": [list(pair) for pair in found.skipped[:LISTED_SKIPS]],
        }
        dataset.save()
        if replaced is not None:
            shutil.rmtree(dataset_folder(replaced), ignore_errors=True)
            replaced.delete()
            dataset.name = name
    except BaseException:
        if created:
            dataset.delete()
        elif ids:
            dataset.delete_samples(ids)
        raise
    return dataset, len(ids)


def check_target(name: str, root: str, label_field: str, overwrite: bool) -> None:
    """Refuse a dataset name that is taken by something else than an import of this folder.

    Raises:
        ValueError: with the remedy
    """
    if overwrite or not fo.dataset_exists(name):
        return
    source = fo.load_dataset(name).info.get(INFO_KEY, {})
    if source.get("path") != root:
        origin = f"imported from {source['path']!r}" if source else "not made by import_folders"
        raise ValueError(
            f"Dataset {name!r} exists already, and is {origin}. Pass another name, or "
            f"overwrite=True to replace it"
        )
    if source.get("label_field") != label_field:
        raise ValueError(
            f"Dataset {name!r} keeps the folders' classes in {source['label_field']!r}, not in "
            f"{label_field!r}. Pass the same label_field, or another name"
        )


def known_files(name: str) -> set[str]:
    """Paths of the samples of a dataset; none if there is no such dataset."""
    return set(fo.load_dataset(name).values("filepath")) if fo.dataset_exists(name) else set()


def _walk(root: str) -> Iterator[str]:
    """Every visible file below a folder, in order; links to folders are followed once."""
    seen = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(n for n in subfolders if not _hidden(n))
        for name in sorted(names):
            if not _hidden(name):
                yield os.path.join(folder, name)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini")


def _describe(path: str) -> fo.ImageMetadata | ImageError:
    try:
        image = decode(path, at_least=1)  # reads every byte, at an eighth of a JPEG's cost
    except ImageError as error:
        return error
    # FiftyOne tells images by their extension; any other would stop the whole import.
    if fom.get_media_type(path) != fom.IMAGE:
        extension = os.path.splitext(path)[1] or "none"
        return ImageError(path, f"an image, but with a file extension ({extension}) of none")
    return fo.ImageMetadata(
        size_bytes=os.path.getsize(path),
        mime_type=mimetypes.guess_type(path)[0],
        width=image.width,
        height=image.height,
        num_channels=image.num_channels,
    )
