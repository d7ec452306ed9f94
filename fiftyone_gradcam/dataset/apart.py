"""Keep folders that are written to apart from the images of a dataset."""

from __future__ import annotations

import os

import fiftyone as fo

from .cached import cached


def check_apart(dataset: fo.Dataset, folder: str) -> None:
    """Check that images can be written to a folder without mixing them with those of a dataset.

    Images that were written into the folder that they were imported from would be there twice, and
    corrected ones in the folders of two classes.

    Args:
        dataset: the dataset
        folder: the folder to write to; it need not exist, and links are followed

    Raises:
        ValueError: if the folder holds images of the dataset
    """
    home = os.path.realpath(os.path.expanduser(folder))
    inner = next((own for own, real in _folders(dataset) if _is_in(real, home)), None)
    if inner is not None:
        raise ValueError(
            f"{folder!r} holds images of {dataset.name!r}, such as those in {inner!r}. New ones "
            f"would be mixed with them. Choose another folder"
        )


def _folders(dataset: fo.Dataset) -> list[tuple[str, str]]:
    """Return the folders of a dataset's images, in order, each also without links."""

    def read() -> list[tuple[str, str]]:
        own = sorted({os.path.dirname(path) for path in dataset.values("filepath")})
        return [(folder, os.path.realpath(folder)) for folder in own]

    return cached(dataset, ("folders of images",), read)


def _is_in(folder: str, home: str) -> bool:
    return folder == home or folder.startswith(os.path.join(home, ""))
