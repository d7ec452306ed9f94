"""Split a dataset into train, val and test."""

from __future__ import annotations

import fiftyone as fo
import numpy as np

from ..dataset import fields, splits
from ..dataset.appearance import appearance_of
from ..dataset.embeddings import Embeddings, check_can_wait, check_one_source
from ..dataset.reviews import left_out, without_left_out
from ..dataset.writing import exclusive
from ..folders.assignment import EQUAL, NEAR, are_counts, check_fractions
from ..jobs.delegating import delegable
from ..model.network import Network
from ..progress import Progress, counted, some
from ..review.duplicates import group_pairs, near_pairs
from ..review.label_issues import check_folds
from ..review.leaks import equal_files
from ..similar import did_you_mean
from ..training.known_recipes import find_recipe
from .embedding import embeddings_for


def _check(samples, embeddings=None, **_) -> None:
    """Raise errors of a call immediately, before it is queued as a job."""
    check_can_wait(embeddings)


@delegable(check=_check)
@exclusive
def split(
    samples: fo.core.collections.SampleCollection,
    fractions: dict[str, float] | str = "default",
    label_field: str = "ground_truth",
    seed: int = 0,
    groups: str | None = None,
    folds: int | None = None,
    include_excluded: bool = False,
    backbone: Network | str | None = None,
    weights: str | None = None,
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
    embeddings: Embeddings | None = None,
) -> dict[str, dict[str, int]]:
    """Tag samples as train, val and test, with the same class proportions in each split.

    Each sample gets at most one of these tags, and a new split replaces the previous one. Samples
    without a label get no tag. Each split gets at least one sample of every class that has enough
    samples.

    Args:
        samples: a dataset or view
        fractions: fraction of the samples in each split, such as
            {"train": 0.6, "val": 0.2, "test": 0.2}; if they sum to less than 1, the remaining
            samples get no tag. Or the number of images per class in each split, such as
            {"train": 100, "val": 20}; or the name of a recipe, to use its fractions
        label_field: field with the labels of the samples
        seed: random seed of the split
        groups: keep groups of samples in the same split: "duplicates" (identical files),
            "near duplicates" (identical files and re-encoded, resized or slightly cropped copies;
            see `find_leaks`), or the name of a field whose values define the groups, such as the
            video that a frame is from
        folds: split into this number of folds of equal size instead, tagged "fold_1", "fold_2" and
            so on; at least 2
        include_excluded: also tag samples that were excluded or marked unclear in a review; by
            default they get no tag
        backbone, weights: the pretrained network that finds near duplicates; see `find_leaks`
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends
        embeddings: vectors to use instead of the features of a network: an array (N, C) in the
            order of the samples, or the name of a vector field (see `compute_embeddings`)

    Returns:
        the number of samples in each split, by class

    Raises:
        ValueError: if the fractions are invalid, no sample has a label, or a field does not exist
        FileNotFoundError, ConnectionError: if the weights file does not exist, or ImageNet weights
            are not cached and cannot be downloaded
    """
    if folds is not None:
        check_folds(folds)
        if fractions != "default":
            raise ValueError("Pass fractions or folds, not both: folds have equal sizes")
    elif isinstance(fractions, str):
        fractions = find_recipe(fractions).fractions
    if folds is None:
        check_fractions(fractions)
    used = without_left_out(samples, include_excluded)
    sizes = fields.class_counts(fields.labels_of(used, label_field)[2])
    if folds is not None:
        fractions = _folds(folds, sum(sizes.values()))
    _report_small(sizes, fractions)
    if groups == NEAR:
        given = embeddings_for(samples, embeddings, backbone, weights, device, progress)
        together = _twins(samples, backbone, weights, given, device, progress)
    elif embeddings is not None:
        check_one_source(embeddings, backbone, weights)
        raise ValueError(
            f"embeddings only find near duplicates: pass groups={NEAR!r} too, or leave them out"
        )
    else:
        together = None if groups is None else _groups(samples, groups)
    out = () if include_excluded else [i for ids in left_out(samples).values() for i in ids]
    even = folds is not None
    earlier = splits.count_split(samples)
    counts = splits.write_split(samples, fractions, label_field, seed, together, out, even)
    _report_parts(counts, earlier)
    if "train" not in counts and folds is None:
        print("No split is called 'train', the tag that fine_tune trains on")
    return counts


def split_if_none(
    samples: fo.core.collections.SampleCollection, label_field: str, recipe: object
) -> dict[str, dict[str, int]] | None:
    """Split a dataset that is used for training and has no split yet.

    Args:
        samples: samples to train on; a view is not changed
        label_field: field with the labels of the samples
        recipe: name of the recipe whose fractions are used; for any other object, those of
            "default"

    Returns:
        the same as `split`; None if nothing was done

    Raises:
        ValueError: if there are fewer than two classes
    """
    if not isinstance(samples, fo.Dataset):
        return None
    splits.check_whole(samples)
    if len(samples.match_tags(sorted(splits.split_tags(samples))).limit(1)):
        return None
    sizes = fields.class_counts(fields.labels_of(samples, label_field)[2])
    if len(sizes) < 2:
        raise ValueError(
            f"Training needs at least two classes in {label_field!r}; the {len(samples)} samples "
            f"have {', '.join(map(repr, sizes)) or 'no labels'}"
        )
    print(f"{samples.name!r} has no split yet: it is split into train, val and test first")
    return split(samples, recipe if isinstance(recipe, str) else "default", label_field)


def _folds(folds: int, count: int) -> dict[str, float]:
    """Fractions of equal folds of `count` images; for no images, which is an error later, of two
    folds."""
    if folds > count > 0:
        raise ValueError(f"{counted(count, 'image')} cannot be split into {folds} folds")
    folds = min(folds, max(count, 2))
    return {f"fold_{number}": 1 / folds for number in range(1, folds + 1)}


def _report_small(sizes: dict[str, int], fractions: dict[str, float]) -> None:
    """Print which classes have fewer images than requested."""
    asked = sum(fractions.values())
    small = [f"{name} ({size})" for name, size in sizes.items() if size < asked]
    if are_counts(fractions) and small:
        print(
            f"Classes with fewer images than the {asked:g} requested are split in the same "
            f"proportions: {some(small)}"
        )


def _report_parts(counts: dict[str, dict[str, int]], earlier: dict[str, int]) -> None:
    """Print the contents of each split, and the earlier split that was replaced."""
    for name, classes in counts.items():
        print(f"{name}: {counted(sum(classes.values()), 'image')}")
        absent = sorted(set().union(*counts.values()) - set(classes))
        if absent:
            print(f"  none of {some(absent)}: too few images of the class")
    if earlier:
        words = ", ".join(f"{name} ({count})" for name, count in earlier.items())
        print(f"The earlier split of these samples is replaced: {words}")


def _twins(
    samples: fo.core.collections.SampleCollection,
    backbone: str | None,
    weights: str | None,
    embeddings: np.ndarray | None,
    device: str | None,
    progress: Progress,
) -> list[int]:
    """Return a group number for each sample, which near duplicates share."""
    dataset = fields.root_dataset(samples)
    ids, paths = fields.whole(samples).values(["id", "filepath"])
    features = appearance_of(dataset, ids, paths, backbone, weights, embeddings, device, progress)
    equal: dict[str | None, int] = {}
    pairs = near_pairs(features)
    for place, digest in enumerate(equal_files(paths)):
        if digest is not None:
            pairs.append((equal.setdefault(digest, place), place))
    found = group_pairs(len(paths), pairs)
    print(
        f"{counted(len(paths), 'image')} in {counted(len(set(found)), 'group')} of near duplicates"
    )
    return found


def _groups(samples: fo.core.collections.SampleCollection, groups: str) -> list:
    """Return a value for each sample, which samples of the same group share."""
    if groups == EQUAL:
        return equal_files(samples.values("filepath"))
    if samples.get_field(groups) is None:
        raise ValueError(
            f"{groups!r} is not a field of {samples._root_dataset.name!r}. "
            f"{did_you_mean(groups, [EQUAL, NEAR, *samples.get_field_schema()])}groups may be "
            f"{EQUAL!r}, {NEAR!r}, or one of {some(sorted(samples.get_field_schema()))}"
        )
    found = samples.values(groups)
    unfit = [x for x in found if x is not None and not isinstance(x, str | int | float)]
    if unfit:
        raise ValueError(
            f"Field {groups!r} cannot define groups: it has {type(unfit[0]).__name__} values. Pass "
            f"a field of strings or numbers, such as {groups}.label"
        )
    return found
