"""Find images that are in two splits, in the whole dataset."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import fiftyone as fo
import numpy as np

from ..dataset import fields, shown, splits
from ..dataset.appearance import appearance_of
from ..dataset.basis import Snapshot
from ..dataset.documents import document
from ..dataset.embeddings import Embeddings, check_can_wait
from ..dataset.review_state import default_label_field
from ..dataset.spool import replace_values
from ..dataset.storing import Declared
from ..dataset.writing import exclusive
from ..images.unreachable import unreachable_files
from ..jobs.delegating import delegable
from ..model.network import Network
from ..progress import Progress, counted
from ..review.duplicates import group_pairs, near_pairs
from ..review.leaks import equal_files
from .embedding import embeddings_for

ORDER = ("train", "val", "test")


def _check(samples, embeddings=None, **_) -> None:
    """Raise errors of a call immediately, before it is queued as a job."""
    check_can_wait(embeddings)


@delegable(check=_check)
@exclusive
def find_leaks(
    samples: fo.core.collections.SampleCollection,
    near: bool = True,
    backbone: Network | str | None = None,
    weights: str | None = None,
    leak_field: str = "leak",
    overwrite: bool = False,
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
    embeddings: Embeddings | None = None,
) -> fo.DatasetView:
    """Find images that are in more than one split, so that test images are not used for training.

    The field `leak` is written for images with a duplicate in another split: "exact" (identical
    files) or "near" (re-encoded, resized, lightened, converted to gray, slightly cropped or
    mirrored; see `fiftyone_gradcam.review.duplicates`), with a `group` number that duplicates
    share.

    Args:
        samples: a dataset or view whose samples have split tags
        near: also find near duplicates, by thumbnails and by features of a pretrained network;
            without pretrained weights, cropped and mirrored images are not found
        backbone, weights: the pretrained network, or a `Network`; see `find_label_issues`. Its
            features are stored, so that other functions do not compute them again
        leak_field: field to write; values of an earlier call are removed
        overwrite: also replace fields that this plugin did not write
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends
        embeddings: vectors to use instead of the features of a network: an array (N, C) in the
            order of the samples, or the name of a vector field (see `compute_embeddings`)

    Returns:
        a view of the images that have a duplicate, with duplicates next to each other

    Raises:
        ValueError: if there are fewer than two splits, or an argument is invalid
        FileNotFoundError, ConnectionError: if the weights file does not exist, or ImageNet weights
            are not cached and cannot be downloaded
    """
    samples = fields.whole(samples)
    dataset = fields.root_dataset(samples)
    fields.check_writable(dataset, {leak_field: fo.Classification}, overwrite)
    split = Snapshot(dataset, default_label_field(dataset)).split()
    given = embeddings_for(samples, embeddings, backbone, weights, device, progress)
    known = splits.split_tags(dataset)
    ids, paths, tags = samples.values(["id", "filepath", "tags"])
    own = [next((tag for tag in present if tag in known), None) for present in tags]
    names = sorted({x for x in own if x}, key=lambda x: (ORDER.index(x) if x in ORDER else 3, x))
    if len(names) < 2:
        raise ValueError(
            f"Finding leaks needs samples of at least two splits, but these samples have "
            f"{len(names)}. Call split() first, or choose other samples"
        )
    places = [i for i, split in enumerate(own) if split]
    ids, paths, own = ([rows[i] for i in places] for rows in (ids, paths, own))
    pairs = [(i, j, "exact") for i, j in _equal_pairs(paths, own)]
    pairs += _kept_pairs(dataset, ids, paths, own, leak_field)
    if near:
        given = None if given is None else given[places]
        features = appearance_of(dataset, ids, paths, backbone, weights, given, device, progress)
        pairs += _near_pairs(features, own, names)
    twins = _write(dataset, ids, pairs, leak_field, split)
    _report(pairs, own, names)
    shown.show_fields(dataset, [leak_field])
    return samples.select(twins, ordered=True)


def _equal_pairs(paths: list[str], own: list[str]) -> list[tuple[int, int]]:
    """Positions of identical files in different splits."""
    by_digest: dict[str, list[int]] = {}
    for position, digest in enumerate(equal_files(paths)):
        if digest is not None:
            by_digest.setdefault(digest, []).append(position)
    return [
        (i, j)
        for members in by_digest.values()
        for i, j in combinations(members, 2)
        if own[i] != own[j]
    ]


def _kept_pairs(
    dataset: fo.Dataset, ids: list[str], paths: list[str], own: list[str], leak_field: str
) -> list[tuple[int, int, str]]:
    """Pairs from an earlier call with a file that cannot be read at the moment."""
    unreachable = unreachable_files(paths)
    if not unreachable or not fields.field_info(dataset, leak_field):
        return []
    values = dataset.exists(leak_field).values(["id", f"{leak_field}.label", f"{leak_field}.group"])
    known = {sample_id: (kind, group) for sample_id, kind, group in zip(*values, strict=True)}
    members: dict[int, list[int]] = {}
    for place, sample_id in enumerate(ids):
        if sample_id in known:
            members.setdefault(known[sample_id][1], []).append(place)
    pairs = []
    for i in unreachable:
        kind, group = known.get(ids[i], (None, None))
        twins = [j for j in members.get(group, ()) if own[j] != own[i]]
        pairs += [(i, j, kind if known[ids[j]][0] == kind else "near") for j in twins]
    if pairs:
        count = len({i for i, _, _ in pairs})
        whose = counted(count, "image whose file", "images whose files")
        keep = "keeps its" if count == 1 else "keep their"
        print(f"{whose} cannot be read now {keep} earlier duplicates")
    return pairs


def _near_pairs(features: list[np.ndarray], own: list[str], names: list[str]) -> list[tuple]:
    """Positions of near duplicates in different splits."""
    members = {name: np.array([i for i, x in enumerate(own) if x == name]) for name in names}
    found = []
    for one, other in combinations(names, 2):
        a, b = members[one], members[other]
        if len(a) < len(b):
            a, b = b, a
        pairs = near_pairs([rows[a] for rows in features], [rows[b] for rows in features])
        found += [(int(a[i]), int(b[j]), "near") for i, j in pairs]
    return found


def _write(
    dataset: fo.Dataset, ids: list[str], pairs: list[tuple], leak_field: str, split: str
) -> list[str]:
    """Store the duplicates found for the split of this digest; return their ids, group by group."""
    group = group_pairs(len(ids), [(i, j) for i, j, _ in pairs])
    kinds: dict[int, str] = {}
    for i, j, kind in pairs:
        for place in (i, j):
            kinds[place] = "exact" if kind == "exact" else kinds.get(place, kind)
    firsts = sorted({group[place] for place in kinds})
    numbers = {first: number for number, first in enumerate(firsts, start=1)}
    words = "Images that have a duplicate in another split"
    facts = {"basis": {"split": split}}
    declared = {leak_field: Declared("classification", words, facts, {"group": "int"})}
    order = sorted(kinds, key=lambda place: (group[place], place))
    values = {
        ids[place]: {
            leak_field: document(fo.Classification, label=kinds[place], group=numbers[group[place]])
        }
        for place in order
    }
    replace_values(dataset, declared, values, clears_all=True)
    return list(values)


def _report(pairs: list[tuple], own: list[str], names: list[str]) -> None:
    """Print how many images are in two splits, for each pair of splits."""
    if not pairs:
        print(f"No image is in two of {', '.join(names)}")
    for one, other in combinations(names, 2):
        kinds: dict[int, str] = {}
        for i, j, kind in pairs:
            if {own[i], own[j]} == {one, other}:
                place = j if own[j] == other else i
                kinds[place] = "exact" if kind == "exact" else kinds.get(place, kind)
        counts = Counter(kinds.values())
        if counts:
            print(
                f"{counted(len(kinds), 'image')} of {other!r} "
                f"{'is' if len(kinds) == 1 else 'are'} also in {one!r}: {counts['exact']} "
                f"identical, {counted(counts['near'], 'near duplicate')}"
            )
