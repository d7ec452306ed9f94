"""Photos for the demo: the ants and bees of PyTorch's transfer learning tutorial."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np

from .disk import make_folder
from .downloads import download

URL = "https://download.pytorch.org/tutorial/hymenoptera_data.zip"  # 45 MB
NAME = "hymenoptera_data"
CLASSES = ("ants", "bees")
PARTS = ("train", "val", "")
MEMBER = re.compile(r"hymenoptera_data/(train|val)/(ants|bees)/[^/\\]+")
MOST_BYTES = 200 * 2**20  # maximum size of the archive, and of its content
# Ants that are easy to recognize; they are put among the bees.
CLEAR_ANTS = (
    "154124431_65460430f2.jpg",
    "162603798_40b51f1654.jpg",
    "201790779_527f4c0168.jpg",
    "2265824718_2c96f485da.jpg",
    "226951206_d6bf946504.jpg",
    "334167043_cbd1adaeb9.jpg",
    "342438950_a3da61deab.jpg",
    "535522953_308353a07c.jpg",
    "649026570_e58656104b.jpg",
    "MehdiabadiAnt2_600.jpg",
    "hormiga_co_por.jpg",
    "termite-vs-ant.jpg",
)
OTHER_SHARE = 0.05  # fraction of the ants to use if none of these files exists


def find_photos(folder: str | None, home: Path) -> Path:
    """Return the folder with the photos; download them if no folder is given.

    Args:
        folder: a folder with subfolders `ants` and `bees`, or with `train` and `val` folders of
            these; by default (None), the photos are downloaded
        home: folder for the download, which is kept

    Raises:
        ValueError: if there are no ants and bees in the folder
        ConnectionError: if the photos cannot be downloaded; the message says what to do
    """
    if folder is not None:
        root = Path(os.path.abspath(os.path.expanduser(folder)))
        for place in (root, root / NAME):
            if _parts(place):
                return place
        raise ValueError(
            f"--photos {folder!r} has no folders 'ants' and 'bees'. Pass the folder that "
            f"{URL} unpacks to"
        )
    place = home / NAME
    if not _parts(place):
        _download(place)
    return place


def make_photo_folders(source: Path, root: Path, seed: int = 0) -> dict[str, str]:
    """Copy the photos, with some ants among the bees.

    Args:
        source: the folder that `find_photos` returned
        root: the folder to write, which is replaced if it exists
        seed: random seed of the choice of ants, if the usual ones do not exist

    Returns:
        paths of the files in a wrong folder, with their class
    """
    shutil.rmtree(root, ignore_errors=True)
    part = _parts(source)[0]
    ants = sorted(path.name for path in (source / part / "ants").iterdir())
    clear = [name for name in CLEAR_ANTS if name in ants]
    if not clear:
        count = max(1, round(OTHER_SHARE * len(ants)))
        clear = np.random.default_rng(seed).choice(ants, count, replace=False).tolist()
    planted = {}
    for own in _parts(source):
        for name in CLASSES:
            for path in sorted((source / own / name).iterdir()):
                is_planted = own == part and name == "ants" and path.name in clear
                target = root / own / ("bees" if is_planted else name) / path.name
                make_folder(str(target.parent))
                shutil.copyfile(path, target)
                if is_planted:
                    planted[str(target)] = name
    return planted


def _parts(folder: Path) -> list[str]:
    """The splits that contain photos of both classes; "" stands for the folder itself."""

    def has(part: str, name: str) -> bool:
        own = folder / part / name
        return own.is_dir() and any(own.iterdir())

    return [part for part in PARTS if all(has(part, name) for name in CLASSES)]


def _download(place: Path) -> None:
    """Download and unpack all photos, or leave nothing behind."""
    archive, unpacked = place.with_suffix(".zip"), place.with_suffix(".part")
    try:
        download(URL, str(archive), URL, most=MOST_BYTES)
        _unpack(archive, unpacked)
        if not _parts(unpacked):
            raise ValueError("it has no folders 'ants' and 'bees'")
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        shutil.rmtree(unpacked, ignore_errors=True)
        archive.unlink(missing_ok=True)
        raise ConnectionError(
            f"The photos cannot be downloaded from {URL} ({error}). Download and unpack that file "
            f"on a machine with internet and pass the folder, --photos FOLDER, or leave --photos "
            f"out for the demo on handwritten digits"
        ) from None
    shutil.rmtree(place, ignore_errors=True)
    os.replace(unpacked, place)
    archive.unlink()


def _unpack(archive: Path, folder: Path) -> None:
    """Write the photos of an archive to a folder; other members are left out."""
    shutil.rmtree(folder, ignore_errors=True)
    left = MOST_BYTES
    with zipfile.ZipFile(archive) as found:
        for member in found.infolist():
            matched = MEMBER.fullmatch(member.filename)
            if matched is None or member.is_dir():
                continue
            left -= member.file_size
            if left < 0:
                raise ValueError(f"it unpacks to more than {MOST_BYTES // 2**20} MB")
            target = folder / matched[1] / matched[2] / os.path.basename(member.filename)
            make_folder(str(target.parent))
            with found.open(member) as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file)
