"""Guess the layout of a folder from the paths of its images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from .layout import UNLABELLED, Layout, prefix
from .split_names import is_generic, parse, splits_among, splits_of

Parts = tuple[str, ...]
# Names that cameras and programs give to files, which are not classes on their own.
CAMERAS = (
    "img image dsc dscn dscf pict pic picture photo pxl mvi gopr frame scan screenshot win vid file"
)


def guess(paths: Sequence[Sequence[str]]) -> Layout:
    """Guess the layout of images from their paths (see `Layout`).

    Args:
        paths: parts of each path relative to the root, ending with the file's name
    """
    folders = [tuple(parts[:-1]) for parts in paths]
    folders = [parts for parts in folders if not _is_unlabelled(parts)]
    around = _around(folders, paths)
    passed = {around[:i] for i in range(1, len(around) + 1)}
    inside = [parts[len(around) :] for parts in folders if parts[: len(around)] == around]
    outer = _outer_splits(inside)
    if outer:
        found = Layout("folder", "outer folder", splits=outer)
        passed |= {(*around, *parts) for parts in _inside_splits(inside, outer)}
    elif inner := _inner_splits([parts for parts in inside if parts]):
        found = Layout("folder", "inner folder", splits=inner)
    else:
        found = Layout()
    found = replace(found, passed=frozenset(passed))
    if any(found.class_folders((*parts, ""))[0] for parts in set(folders)):
        return found
    return replace(found, label_from="file name" if _names_say_classes(paths, found) else "nothing")


def with_choices(
    guessed: Layout, paths: Sequence[Sequence[str]] = (), **choices: str | None
) -> Layout:
    """Return a guessed layout with some attributes replaced by the user's choices.

    Args:
        guessed: used for choices that are None
        paths: of the images, as in `guess`
        **choices: attributes of `Layout`
    """
    chosen = {name: value for name, value in choices.items() if value is not None}
    if "pattern" in chosen:
        chosen.setdefault("label_from", "pattern")
    if chosen.get("split_from", guessed.split_from) != guessed.split_from:
        # If the user says where splits are, they include names with additional words, such as
        # seg_train.
        at = {"outer folder": slice(0, 1), "inner folder": slice(1, None)}.get(chosen["split_from"])
        bare = replace(guessed, split_from="nothing")
        folders = [bare.class_folders(parts)[0][at] for parts in paths] if at else []
        names = {name for parts in folders for name in parts}
        chosen["splits"] = splits_of(names) or {x: one.split for x in names if (one := parse(x))}
    return replace(guessed, **chosen)


def _around(folders: Sequence[Parts], paths: Sequence[Sequence[str]]) -> Parts:
    """Return the folder that contains everything, as parts of its path.

    Its parents contain nothing else. It contains the classes, splits, or files whose names give
    their classes.
    """
    at: Parts = ()
    while True:
        firsts = {parts[len(at)] for parts in folders if len(parts) > len(at)}  # all inside `at`
        if len(firsts) != 1 or splits_of(firsts):
            return at
        (only,) = firsts
        inner = (*at, only)
        if max(map(len, folders)) == len(inner):
            files = [parts for parts in paths if tuple(parts[:-1]) == inner]
            says = is_generic(only) or _names_say_classes(files, Layout())
            return inner if says else ()
        at = inner


def _is_unlabelled(parts: Parts) -> bool:
    return any(name.lower() in UNLABELLED for name in parts)


def _outer_splits(folders: Sequence[Parts]) -> dict[str, str | None] | None:
    children: dict[str, set[str]] = {parts[0]: set() for parts in folders if parts}
    for parts in folders:
        if len(parts) > 1:
            children[parts[0]].add(parts[1])
    return splits_of(children) or splits_among(children)


def _inner_splits(folders: Sequence[Parts]) -> dict[str, str | None] | None:
    """Return splits inside all classes, either as innermost folders or directly inside."""
    if folders and all(len(parts) > 1 for parts in folders):
        return splits_of({p[-1] for p in folders}) or splits_of({p[1] for p in folders})
    return None


def _inside_splits(folders: Sequence[Parts], splits: dict[str, str | None]) -> set[Parts]:
    """Return folders that are alone inside a split and are not a class.

    For example `seg_train/seg_train`, `train/images`, or the same name in all splits, with the
    classes inside.
    """
    found: set[Parts] = set()
    alone: dict[str, set[str]] = {}
    for name, split in splits.items():
        own = [parts[1:] for parts in folders if parts and parts[0] == name]
        at: Parts = ()
        while True:
            firsts = {parts[len(at)] for parts in own if len(parts) > len(at)}  # all inside `at`
            if len(firsts) != 1:
                break
            (only,) = firsts
            named = parse(only)
            if not (is_generic(only) or (named and named.split == split)):
                is_around = max(map(len, own)) > len(at) + 1
                alone[name] = {only} if is_around and not at else set()
                break
            at = (*at, only)
            found.add((name, *at))
    if set(alone) == set(splits) and len(same := set.union(*alone.values())) == 1 and not found:
        found = {(name, *same) for name in splits}
    return found


def _names_say_classes(paths: Sequence[Sequence[str]], layout: Layout) -> bool:
    """Return whether names of files start with their classes, at least those of training images."""
    training = [parts[-1] for parts in paths if layout.class_folders(parts)[1] == "train"]
    return _are_classes(training, 2) or _are_classes([parts[-1] for parts in paths])


def _are_classes(names: Sequence[str], may_be_single: int = 0) -> bool:
    """Return whether names start with classes.

    Args:
        names: names of files
        may_be_single: number of classes that may have a single file each
    """
    prefixes = Counter(prefix(name) for name in names)
    unnamed = prefixes.pop(None, 0)
    # A single prefix (IMG_1.jpg, IMG_2.jpg) is not a class, and neither are prefixes that all
    # differ.
    if len(prefixes) < 2 or all(name.casefold() in CAMERAS.split() for name in prefixes):
        return False
    shared = sum(count for count in prefixes.values() if count > 1)
    is_shared = 2 * shared > len(names) or len(prefixes) <= may_be_single
    return is_shared and not 2 * unnamed > len(names)
