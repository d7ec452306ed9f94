"""Add images to a dataset during an import, and detect changes to files imported earlier."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator

import fiftyone as fo
import fiftyone.core.media as fom

from ..folders.moved import Trace, moved_path, recognize
from ..folders.plan import Item, Plan
from ..folders.verify import Facts, verify
from ..images.decode import ImageError
from ..progress import CancelledError
from .cached import cached
from .fields import field_info
from .import_record import IMPORTED_LABEL, INFO_KEY, Imported, decode_options
from .known_files import TRUNCATED, Known, known_files, metadata_of

BATCH = 1000  # samples written at once
OnStep = Callable[[int, int], None]


def add(
    plan: Plan, result: Imported, label_field: str, on_step: OnStep
) -> list[tuple[str, str, Facts]]:
    """Add new images, and record changes to earlier ones in the result.

    Args:
        plan: the plan of the import
        result: the results of the import, to which is added
        label_field: the field of the classes
        on_step: called with (files done, total files)

    Returns:
        the values to store for earlier samples (see `write_files`)
    """
    dataset = result.dataset
    options = decode_options(dataset)
    known = known_files(dataset, label_field)
    new = [item for item in plan.items if item.path not in known]
    again = [x for x in plan.items if x.path in known and known[x.path].has_changed()]
    result.skipped += [pair for pair in plan.skipped if pair[0] not in known]
    result.broken += [pair for pair in plan.skipped if pair[0] in known]
    total, done = len(again) + len(new), 0

    def read(items: list[Item]) -> Iterator[tuple[Item, Facts | ImageError]]:
        nonlocal done
        for item, found in verify(items, options):
            done += 1
            on_step(done, total)
            yield item, found

    updates = _read_again(result, known, read(again))
    gone = _gone(plan, known)
    sizes = {own.size for own in gone}
    perhaps = dict(read([item for item in new if item.size in sizes])) if gone else {}
    moved = _follow(plan, result, known, gone, perhaps)
    updates += [(known[old].id, item.path, facts) for old, item, facts in moved]
    targets = {item.path for _, item, _ in moved}
    labels = {path: own.label for path, own in known.items()}
    labels |= {item.path: labels[old] for old, item, _ in moved}
    result.changed = [
        (item.path, labels[item.path], item.label)
        for item in plan.items
        if item.path in labels and labels[item.path] != item.label
    ]
    digests = {own.path: own.digest for own in known.values()}
    digests |= {path: facts.digest for _, path, facts in updates}

    def images() -> Iterator[tuple[Item, Facts]]:
        rest = read([item for item in new if item not in perhaps])
        for item in new:
            if item.path in targets:
                continue
            found = perhaps[item] if item in perhaps else next(rest)[1]
            if isinstance(found, ImageError):
                result.skipped.append((item.path, found.reason))
                continue
            digests[item.path] = found.digest
            if found.note is not None:
                result.notes.append((item.path, found.note))
            yield item, found

    _write_all(result, images(), label_field)
    equal = defaultdict(list)
    for item in plan.items:
        if digest := digests.get(item.path):
            equal[digest].append(item.path)
    labels = {item.path: labels.get(item.path, item.label) for item in plan.items}
    result.find_equal([paths for paths in equal.values() if len(paths) > 1], labels)
    return updates


def count_new(dataset: fo.Dataset, plan: Plan) -> tuple[int, int]:
    """Count what an import into an existing dataset would find, without reading a file.

    Args:
        dataset: the dataset, which is not changed
        plan: the plan of the import

    Returns:
        the number of files that no sample has, which are added if they can be read; and the number
        of samples whose file does not exist anymore: it may be among the new ones
    """
    known = cached(dataset, ("filepaths",), lambda: frozenset(dataset.values("filepath")))
    there = {item.path for item in plan.items}
    return len(there - known), sum(not os.path.exists(path) for path in known - there)


def _read_again(
    result: Imported, known: dict[str, Known], rows: Iterator[tuple[Item, Facts | ImageError]]
) -> list[tuple[str, str, Facts]]:
    """Check files that may have changed; return the values to store for their samples."""
    updates = []
    for item, found in rows:
        own = known[item.path]
        if isinstance(found, ImageError):
            result.broken.append((item.path, found.reason))
            continue
        updates.append((own.id, own.path, found))
        if own.differs(found):
            result.refreshed.append(own.path)
    return updates


def _gone(plan: Plan, known: dict[str, Known]) -> list[Known]:
    """Return the samples whose files no longer exist."""
    there = {item.path for item in plan.items}
    return [own for path, own in known.items() if path not in there and not os.path.exists(path)]


def _follow(
    plan: Plan,
    result: Imported,
    known: dict[str, Known],
    gone: list[Known],
    found: dict[Item, Facts | ImageError],
) -> list[tuple[str, Item, Facts]]:
    """Find missing files in other places.

    Returns:
        (old path, item, facts) for each file that was found

    Raises:
        ValueError: if the dataset was imported from another folder, and its files are not in this
            one
    """
    then = result.dataset.info[INFO_KEY]["path"]
    images = {item.path: (item, x) for item, x in found.items() if isinstance(x, Facts)}
    pairs = recognize(
        [Trace(own.path, own.size, own.digest) for own in gone],
        [Trace(path, facts.size_bytes, facts.digest) for path, (_, facts) in images.items()],
        then,
        plan.root,
    )
    there = sum(item.path in known for item in plan.items)
    if then != plan.root and 2 * (len(pairs) + there) < min(len(plan.items), len(known)):
        raise ValueError(
            f"Dataset {result.dataset.name!r} exists already. It was imported from {then!r}, which "
            f"no longer exists, and {len(pairs)} of its {len(known)} files are in {plan.root!r}. "
            f"Pass another name, or overwrite=True to replace it"
        )
    result.moved = list(pairs.items())
    followed = {*pairs}
    result.removed = [
        own.path
        for own in gone
        if own.path not in followed
        and any(moved_path(own.path, root, root) for root in (plan.root, then))
    ]
    return [(old, *images[path]) for old, path in pairs.items()]


def _write_all(result: Imported, rows: Iterator[tuple[Item, Facts]], label_field: str) -> None:
    """Add samples in batches; if the import is canceled, samples read before are added still."""
    batch = []
    try:
        for row in rows:
            batch.append(row)
            if len(batch) == BATCH:
                _write(result, batch, label_field)
                batch = []
    except CancelledError:
        _write(result, batch, label_field)
        raise
    finally:
        rows.close()
    _write(result, batch, label_field)


def _write(result: Imported, batch: list[tuple[Item, Facts]], label_field: str) -> None:
    if not batch:
        return
    keeps = bool(field_info(result.dataset, IMPORTED_LABEL))
    samples = [
        fo.Sample(
            filepath=item.path,
            media_type=fom.IMAGE,  # known from the content; FiftyOne looks only at the extension
            tags=[item.split] * bool(item.split) + [TRUNCATED] * found.is_truncated,
            metadata=metadata_of(found),
            **{label_field: fo.Classification(label=item.label) if item.label else None},
            **({IMPORTED_LABEL: item.label} if keeps else {}),
        )
        for item, found in batch
    ]
    # All samples have the same fields, so only the first batch is validated.
    is_first = not result.ids
    result.ids += result.dataset.add_samples(
        samples, expand_schema=is_first, validate=is_first, progress=False
    )
