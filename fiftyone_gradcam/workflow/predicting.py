"""Predictions, scores and heatmaps, in one pass over the images."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import suppress

import fiftyone as fo

from ..dataset import fields, runs, shown
from ..dataset.classifiers import find_classifier, images_for, own_labels, shown_best
from ..dataset.features import feature_sinks
from ..dataset.heatmap_choices import heatmap_names
from ..dataset.kept_features import keeping
from ..dataset.predicted import store_predictions
from ..dataset.predictions import PredictionWriter
from ..dataset.writing import exclusive
from ..disk import plain_errors
from ..explain.methods import METHODS
from ..explain.render import HeatmapOptions
from ..explain.signed import AGAINST
from ..images.away import away_files, is_away
from ..images.batches import Images
from ..jobs.delegating import delegable
from ..jobs.queue import list_jobs
from ..model.network import Network
from ..passes.heatmaps import KINDS
from ..passes.precision import DEFAULT, check_precision
from ..progress import CancelledError, Progress, counted, reporting, some, tell_failures
from ..similar import did_you_mean
from ..training.recipe import AUTO

_KEPT = "What was predicted so far is kept: predict(..., resume=True) continues"


def _check(samples, run, weights=None, resize=None, **options) -> None:
    """Raise at once what is wrong with a call that is handed to a job."""
    coming = {
        job.given.get("key")
        for job in list_jobs(samples)
        if job.verb == "fine_tune" and not job.has_ended
    }
    if run not in coming:  # or it will be there when it is this job's turn
        find_classifier(samples, run, weights, resize)
    own = inspect.signature(predict).parameters
    make_options({name: value for name, value in options.items() if name not in own})


@delegable(check=_check)
@exclusive
def predict(
    samples: fo.core.collections.SampleCollection,
    run: runs.Run | Network | str,
    prediction_field: str = "prediction",
    heatmaps: Sequence[str] = ("predicted",),
    heatmap_classes: Sequence[str] = (),
    heatmap_field: str = "gradcam",
    label_field: str | None = None,
    weights: str | None = None,
    resize: str | None = None,
    batch_size: int = 64,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
    precision: str = DEFAULT,
    progress: Progress = None,
    delegate: bool = False,
    **heatmap_options,
) -> fo.DatasetView:
    """Store predictions, scores and Grad-CAM heatmaps, in one pass over the images.

    Written are `prediction` (label, confidence, logits, label_score, margin, entropy),
    `prediction_scores` (all class probabilities, in the order of the run's classes), and a field
    for each kind of heatmap: `gradcam` (of the predicted class), and on request `gradcam_label`
    (of the sample's own label), `gradcam_runner_up` (of the second most probable class),
    `gradcam_contrast` (of the predicted class minus that of the own label, where they differ) and
    `gradcam_<class>`. A contrast is signed: `gradcam_contrast` holds what speaks for the predicted
    class, `gradcam_contrast_against` what speaks for the own label; and so with all kinds if
    `signed`. Images that cannot be decoded are named, and get none of these; those whose files
    cannot be read for the moment keep what this classifier said of them earlier.

    What the network sees in each image (the mean of its target tensor) is kept with the dataset, so
    that no other verb computes it again (see `compute_embeddings`).

    A field holds the values of one run: what another run has said stays until all new values are
    there, which wait on disk. A call that is cut short at any moment can be repeated.

    Args:
        samples: a dataset or view
        run: a run, or its key; or the name of a backbone, such as "squeezenet1_1", to use a
            pretrained classifier as it is, with its 1,000 ImageNet classes; or a `Network` of your
            own
        prediction_field: field for the predictions; its scores go to `<field>_scores`
        heatmaps: which maps to make: any of "predicted", "label", "runner_up" and "contrast", or
            none
        heatmap_classes: classes of which every sample gets a map, whatever it is
        heatmap_field: field for the maps of the predicted class, and the beginning of the others
        label_field: the samples' own labels, classifications or strings; None takes the field that
            the run was trained on
        weights: of a pretrained classifier: "imagenet" (as if None), or the path of a file; a
            run of the backbone's name goes first if this is None
        resize: how a pretrained classifier is shown images: "squash" (the whole image, its aspect
            ratio lost), "crop", "letterbox", or "auto" (as if None): as it was shown those of which
            `prediction_field` holds what it said, or else as is best on features of up to 300
            labeled images; "squash" where there are too few. A run sees what it was trained on
        batch_size: images per forward pass, at most; a processor takes up to 4, which is faster
        resume: leave samples alone that these fields hold already, of this run and made alike: so
            that a pass that was cut short continues. With scale "run", which is one scale for all
            heatmaps of a pass, it starts over
        overwrite: also replace fields that this plugin did not write, and what another run has
            said of other samples than these
        device: such as "cpu" or "cuda"; None takes the best at hand
        precision: of an NVIDIA GPU: "tf32", "float32" (slower), or "bfloat16" (faster with large
            networks); other devices compute in float32 whatever it is. Against "float32" labels
            are equal on at least 99.5% of photos whose margin is over .01, and maps correlate at
            .999
        progress: a bar (True), none (False), FiftyOne's setting (None), or a function that is
            called with (done, total, message)
        delegate: do the work in another process, as a job, and return the `Job` at once
        **heatmap_options: any choice of `fiftyone_gradcam.explain.render.HeatmapOptions`: method
            ("gradcam", "hirescam", "layercam", "gradcam++", "eigencam", "scorecam"), signed,
            layer, scale ("image", "pair", "run"), resolution, interpolation, storage ("file",
            "database"). See `fiftyone_gradcam.explain.cam.explain` for where methods coincide

    Returns:
        the samples that have a prediction now

    Raises:
        ValueError: if there is no such run or backbone, if it knows none of the samples' classes,
            if a field is taken or holds values of another run for other samples, if no image can
            be decoded, or if an argument is not understood
        FileNotFoundError: if the run's checkpoint or the weights file is gone
        ConnectionError: if ImageNet weights are neither cached nor to be downloaded
        StorageError: if a file cannot be written; it says which, and what to do
        CancelledError: if `progress` raised it. What was predicted so far is stored, and the info
            of the fields says of how many samples ("partial"); what is to replace another run's
            values waits
    """
    samples = fields.whole(samples)
    dataset = fields.root_dataset(samples)
    run = find_classifier(samples, run, weights, resize)
    options = make_options(heatmap_options)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be a whole number of at least 1, not {batch_size!r}")
    check_precision(precision)
    names = _heatmap_names(run, heatmaps, heatmap_classes, heatmap_field, options.signed)
    if resize in (None, AUTO) and type(run) is runs.Pretrained:
        run = shown_best(samples, run, prediction_field, label_field, device, progress)
    label_field, labels = own_labels(samples, run, label_field)
    ids, paths = samples.values(["id", "filepath"])
    writer = PredictionWriter(
        dataset, run, prediction_field, names, label_field, options, ids, labels, overwrite
    )
    if writer.replaces:
        writer.check_others([ids[i] for i in away_files(paths)])
    count = len(ids)
    if resume:
        left = writer.resume()
        if len(left) < count:
            print(f"{count - len(left)} of {count} images are done already, by {run.key!r}")
        ids, paths, labels = [ids[i] for i in left], [paths[i] for i in left], labels[left]
    images = images_for(run, paths, dataset, is_rest=writer.has_predictions)
    network = run.network(device, options.layer)
    # What another layer sees is of use to nobody else.
    sinks = feature_sinks(dataset, ids, paths, network, run) if options.layer is None else []
    with reporting(progress, f"Predicting {counted(len(ids), 'image')} with {run.key!r}") as report:
        try:
            with plain_errors(lambda: _KEPT), keeping(*(sink.kept for sink in sinks)):
                store_predictions(
                    network, images, ids, labels, writer, batch_size, report, precision, sinks
                )
        except CancelledError:
            done = writer.keep_part()
            what = "predictions and heatmaps" if names and options.scale != "run" else "predictions"
            where = "now"
            if writer.replaces:
                where = "that wait: the fields keep what they held until all are there"
            raise CancelledError(
                f"Cancelled: {done} of {count} images have {what} by {run.key!r} {where}. Pass "
                f"resume=True to continue"
            ) from None
        except BaseException:  # what was stored so far stays
            with suppress(Exception):  # the next pass does it, if the database is out of reach
                fields.refresh(dataset)
                writer.abandon()
            raise
    tell_failures(images.failures)
    _tell_kept(dataset, ids, images, prediction_field)
    if names:
        print(f"{METHODS[options.method].title} at layer {network.layer!r} of {run.key!r}")
    _tell_maps(writer, count)
    shown.show_fields(dataset, [prediction_field, *names.values()])
    return samples.exists(prediction_field)


def _tell_maps(writer: PredictionWriter, total: int) -> None:
    """Print how many of `total` samples have heatmaps of their own label, and which are empty."""
    for kind in ("label", "contrast"):
        if kind in writer.heatmap_fields:
            made, name = writer.maps.get(kind, 0), writer.heatmap_fields[kind]
            why = "" if made == total else ", for samples whose label the classifier knows"
            if kind == "contrast" and why:
                why += " and does not predict"
            print(f"{counted(made, 'heatmap')} in {name!r}{why}")
    for kind, count in writer.zero_maps.items():
        if kind.startswith(AGAINST):
            continue  # as many as speak for nothing
        name = writer.heatmap_fields[kind]
        print(
            f"{counted(count, 'heatmap')} in {name!r} {'is' if count == 1 else 'are'} zero "
            f"everywhere: no evidence for the class"
        )


def _tell_kept(
    dataset: fo.Dataset, ids: Sequence[str], images: Images, prediction_field: str
) -> None:
    """Print how many samples keep an earlier prediction, for their files cannot be read."""
    away = [ids[i] for i, error in images.failures.items() if is_away(error)]
    kept = len(dataset.select(away).exists(prediction_field)) if away else 0
    if kept:
        print(
            f"{kept} images whose files cannot be read now keep what this classifier said of them "
            f"earlier, in {prediction_field!r}"
        )


def make_options(options: dict) -> HeatmapOptions:
    """Heatmap options from a verb's further arguments.

    Raises:
        ValueError: if an option is unknown or its value out of range
    """
    known = list(HeatmapOptions.__dataclass_fields__)
    if unknown := sorted(options.keys() - set(known)):
        raise ValueError(
            f"There is no option {unknown[0]!r}. {did_you_mean(unknown[0], known)}"
            f"Options: {', '.join(known)}"
        )
    return HeatmapOptions(**options)


def _heatmap_names(
    run: runs.Run, heatmaps: Sequence[str], classes: Sequence[str], field: str, signed: bool
) -> dict[str, str]:
    """The field of each kind of heatmap; a class stands as "class:<its name>", and what speaks
    against a class as "against:<kind>"."""
    heatmaps = (heatmaps,) if isinstance(heatmaps, str) else heatmaps
    classes = (classes,) if isinstance(classes, str) else classes
    if unknown := sorted(set(heatmaps) - set(KINDS)):
        raise ValueError(f"heatmaps may be any of {', '.join(KINDS)}, not {unknown[0]!r}")
    if unknown := [name for name in classes if name not in run.classes]:
        raise ValueError(
            f"{run.key!r} knows no class {unknown[0]!r}. "
            f"{did_you_mean(unknown[0], run.classes)}Its classes: {some(run.classes)}"
        )
    return heatmap_names(heatmaps, classes, field, signed)
