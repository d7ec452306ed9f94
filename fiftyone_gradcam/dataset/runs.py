"""Training runs: stored on the dataset as FiftyOne custom runs, with a checkpoint on disk."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import fiftyone as fo
from fiftyone.core.odm import get_db_conn
from mongoengine.errors import DoesNotExist

from ..similar import did_you_mean
from . import files
from .fields import root_dataset
from .references import METHOD, config_paths, version_of
from .run import CURRENT, Run
from .run_files import can_resume

MOST_ROWS = 20_000  # a database document is limited to 16 MB; run results are not


def save_run(dataset: fo.Dataset, run: Run) -> Run:
    """Store the record of a run whose files exist already, and return the stored run.

    An existing record with the same key is replaced in a single database write, so that one of
    the two runs exists at any time. The files of the old run must not be those of the new one (see
    `new_folder`); `remove_others` deletes them.
    """
    files.claim_folder(dataset)
    trained = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    rows = {"history": run.history, "validations": run.validations}
    is_small = len(run.history) + len(run.validations) <= MOST_ROWS
    config = dataset.init_run(
        method=METHOD,
        classes=run.classes,
        recipe=run.recipe,
        **(rows if is_small else {}),
        best_epoch=run.best_epoch,
        label_field=run.label_field,
        checkpoint=run.checkpoint,
        watch=run.watch,
        findings=run.findings,
        curves=run.curves,
        val_accuracy=run.val_accuracy,
        val_images=run.val_images,
        measured=run.measured,
        basis=run.basis,
        canceled=run.canceled,
        labels=run.labels,
        trained=trained,
    )
    before = _read_info(dataset, run.key).config if has_run(dataset, run.key) else None
    try:
        if before is not None:
            dataset.update_run_config(run.key, config)
        else:
            dataset.register_run(run.key, config)
        # The results repeat the record, for users who read them with FiftyOne alone.
        results = dataset.init_run_results(run.key, **rows, findings=run.findings)
        # FiftyOne treats replaced results as unchanged once the record has been reloaded.
        dataset._doc.runs[run.key]._mark_as_changed("results")
        dataset.save_run_results(run.key, results)
    except BaseException:
        if before is not None:
            dataset.update_run_config(run.key, before)
        elif run.key in dataset.list_runs():
            dataset.delete_run(run.key)
        raise
    return load_run(dataset, run.key)


def update_paths(dataset: fo.Dataset, run: Run, renamed_from: str | None = None) -> None:
    """Store the current paths of a run's files in a single write.

    Args:
        dataset, run: the run, with its current key
        renamed_from: the current key if the run is about to be renamed (see `renamed_from`)
    """
    config = _read_info(dataset, run.key).config
    config.checkpoint, config.curves, config.watch = run.checkpoint, run.curves, run.watch
    config.renamed_from = renamed_from
    dataset.update_run_config(run.key, config)


def keep_values(dataset: fo.Dataset, key: str, **values: object) -> None:
    """Store values in the record of a run in a single write, such as its `temperature`."""
    config = _read_info(dataset, key).config
    for name, value in values.items():
        setattr(config, name, value)
    dataset.update_run_config(key, config)


def renamed_from(dataset: fo.Dataset, key: str) -> str | None:
    """Return the key that a run had before an interrupted renaming; None for other runs."""
    if not has_run(dataset, key):
        return None
    return getattr(_read_info(dataset, key).config, "renamed_from", None)


def load_run(
    samples: fo.core.collections.SampleCollection, key: str | Run, others: Iterable[str] = ()
) -> Run:
    """Load a run by its key.

    Args:
        samples: a dataset or view
        key: key of the run; a `Run` is returned unchanged
        others: other names that could be meant, to suggest in the error message

    Returns:
        the `Run`

    Raises:
        ValueError: if the dataset has no such run; the message suggests the most similar key and
            lists all keys
    """
    if isinstance(key, Run):
        return key
    dataset = root_dataset(samples)
    if not _is_training(dataset, key):
        if can_resume(dataset, str(key)):
            raise ValueError(
                f"The training {key!r} of {dataset.name!r} was interrupted, and is not a run yet: "
                f"fine_tune(..., {key!r}, resume=True) resumes it"
            )
        raise ValueError(
            f"{dataset.name!r} has no training run {key!r}. "
            f"{did_you_mean(key, [*list_runs(dataset), *others])}"
            f"Its runs: {', '.join(list_runs(dataset)) or 'none yet; call fine_tune() first'}"
        )
    try:
        run = _recorded(dataset, key)
        str(run)  # fails if any value that it shows is damaged
    except Exception as error:
        raise ValueError(
            f"The record of run {key!r} of {dataset.name!r} is damaged ({error!r}). "
            f"delete_run() removes it"
        ) from error
    return run


def _is_training(dataset: fo.Dataset, key: str) -> bool:
    """Return whether a key belongs to a training run of this plugin."""
    if not isinstance(key, str) or not has_run(dataset, key):
        return False
    try:
        return dataset.get_run_info(key).config.method == METHOD
    except Exception:  # a run of another kind that this version of FiftyOne cannot read
        return False


def _recorded(dataset: fo.Dataset, key: str) -> Run:
    info = _read_info(dataset, key)
    config = rows = info.config
    if not hasattr(config, "history"):  # stored by an earlier version, or too long for the record
        rows = dataset.load_run_results(key, cache=False)
    return Run(  # runs of earlier versions lack some of these values
        key=key,
        dataset_name=dataset.name,
        classes=list(config.classes),
        recipe=dict(config.recipe),
        history=list(rows.history),
        best_epoch=config.best_epoch,
        label_field=config.label_field,
        checkpoint=config.checkpoint,
        watch=getattr(config, "watch", None),
        validations=list(getattr(rows, "validations", ())),
        findings=list(getattr(config, "findings", ())),
        curves=getattr(config, "curves", None),
        val_accuracy=getattr(config, "val_accuracy", None),
        val_images=getattr(config, "val_images", None),
        trained=_when(info),
        measured=getattr(config, "measured", None),
        temperature=getattr(config, "temperature", None),
        basis=getattr(config, "basis", None),
        canceled=getattr(config, "canceled", None),
        labels=_labels(config),
    )


def _read_info(dataset: fo.Dataset, key: str) -> fo.core.runs.RunInfo:
    """Read the record of a run again: another process may have replaced it or moved its files."""
    try:
        dataset._doc.runs[key].reload()
    except DoesNotExist:
        dataset.reload()
    return dataset.get_run_info(key)


def list_runs(samples: fo.core.collections.SampleCollection) -> list[str]:
    """List the keys of the runs of a dataset, oldest first.

    Args:
        samples: a dataset or view

    Returns:
        the keys

    Raises:
        TypeError: if `samples` is not a FiftyOne dataset or view of images
    """
    dataset = root_dataset(samples)
    keys = dataset.list_runs(method=METHOD)
    return sorted(keys, key=lambda key: _when(dataset.get_run_info(key)))


def newest_run(dataset: fo.Dataset) -> str | None:
    """Return the key of the newest run; None if there is none.

    Runs that were trained on the labels before review are returned only if there is no other.
    """
    keys = list_runs(dataset)
    own = [key for key in keys if labels_of_run(dataset, key) == CURRENT]
    return next(reversed(own or keys), None)


def labels_of_run(dataset: fo.Dataset, key: str) -> str:
    """Return which labels a run was trained on (see `Run.labels`)."""
    return _labels(dataset.get_run_info(key).config)


def _labels(config: object) -> str:
    return getattr(config, "labels", CURRENT)  # runs of earlier versions lack it


def canceled_words(dataset: fo.Dataset, key: str | None) -> str | None:
    """Return the epochs of a run whose training was canceled and can be resumed.

    Returns:
        words such as "3 of 17 epochs"; None for other runs, and for damaged records
    """
    if key is None or not can_resume(dataset, key):
        return None
    try:
        run = load_run(dataset, key)
        done, planned = run.epochs
    except Exception:  # a damaged record, which the table of runs shows as such
        return None
    # Other trainings end early too: by early stopping, or when they diverge.
    canceled = run.canceled if run.canceled is not None else not run.recipe.get("early_stopping")
    return run.epoch_words if canceled and done < planned else None


def trained_at(dataset: fo.Dataset, key: str) -> str:
    """Return the time at which a run was stored, which is its version (see `Run.trained`)."""
    return _when(dataset.get_run_info(key))


def _when(info: fo.core.runs.RunInfo) -> str:
    """Return the time at which a run was stored; clones of a dataset keep it."""
    return version_of(getattr(info.config, "trained", None), info.timestamp)


def has_run(dataset: fo.Dataset, key: str) -> bool:
    """Return whether a dataset has a run of any kind with a key.

    Runs that another process has made are found too.

    Args:
        dataset: the dataset
        key: any value; False if it is not a string
    """
    if not isinstance(key, str):
        return False
    if key in dataset.list_runs():
        return True
    record = get_db_conn().datasets.find_one({"_id": dataset._doc.id}, {"runs": 1})
    if record is None or key not in (record.get("runs") or {}):
        return False
    dataset.reload()  # only here, because it is slow
    return key in dataset.list_runs()


def paths_of(dataset: fo.Dataset, key: str) -> list[str]:
    """Return the file paths in the record of a run; an empty list if it is not a training run."""
    if not has_run(dataset, key):
        return []
    config = _read_info(dataset, key).config
    return list(config_paths(vars(config))) if config.method == METHOD else []
