"""Store predictions, scores and heatmaps, in one pass over the images."""

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
from ..dataset.resizing import sizes_before
from ..dataset.run import Pretrained
from ..dataset.writing import exclusive
from ..disk import plain_errors
from ..explain.methods import METHODS
from ..explain.render import HeatmapOptions
from ..explain.signed import AGAINST
from ..images.batches import Images
from ..images.decoders import PILLOW, check_decoder
from ..images.unreachable import is_unreachable, unreachable_files
from ..jobs.delegating import delegable
from ..jobs.queue import list_jobs
from ..model.network import Network
from ..passes.heatmaps import KINDS
from ..passes.precision import DEFAULT, check_precision
from ..progress import (
    CancelledError,
    Progress,
    counted,
    report_failures,
    reporting,
    shares_of,
    some,
)
from ..similar import did_you_mean
from ..training.recipe import AUTO

_KEPT = "Predictions made so far are kept: predict(..., resume=True) continues"


def _check(samples, run, weights=None, resize=None, **options) -> None:
    """Raise errors of a call immediately, before it is queued as a job."""
    coming = {
        job.given.get("key")
        for job in list_jobs(samples)
        if job.verb == "fine_tune" and not job.has_ended
    }
    if run not in coming:  # a queued training creates this run before the job starts
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
    decoder: str = PILLOW,
    progress: Progress = None,
    delegate: bool = False,
    **heatmap_options,
) -> fo.DatasetView:
    """Store predictions, scores and Grad-CAM heatmaps, in one pass over the images.

    Three kinds of fields are written: `prediction` (label, confidence, logits, label_score, margin,
    entropy); `prediction_scores` (the probabilities of all classes, in the order of the run's
    classes); and one field for each kind of heatmap. `gradcam` is the heatmap of the predicted
    class. On request, `gradcam_label` is that of the sample's label, `gradcam_runner_up` that of
    the second most probable class, `gradcam_<class>` that of a given class, and `gradcam_contrast`
    that of the predicted class minus the label, where the two differ. A contrast has two fields:
    `gradcam_contrast` shows evidence for the predicted class, and `gradcam_contrast_against`
    evidence for the label. With `signed=True`, every kind of heatmap has an `_against` field.
    Images that cannot be decoded are reported and get no values. Samples whose files cannot be
    found at the moment keep their earlier predictions by the same classifier.

    The features of each image (the spatial mean of the target tensor) are stored with the dataset,
    so that other functions do not compute them again (see `compute_embeddings`).

    A field holds the values of one run only. When a second run writes to it, the new values are
    kept on disk until all of them are computed, and then replace the old ones. An interrupted call
    can be repeated at any time.

    Args:
        samples: a dataset or view
        run: a run or its key; the name of a backbone, such as "squeezenet1_1", to use a pretrained
            classifier with its 1,000 ImageNet classes; or a `Network`
        prediction_field: field for the predictions; the scores are stored in `<field>_scores`
        heatmaps: kinds of heatmaps to compute: any of "predicted", "label", "runner_up" and
            "contrast"; empty for no heatmaps
        heatmap_classes: classes to compute a heatmap of for every sample, whatever is predicted
        heatmap_field: field for the heatmaps of the predicted class, and prefix of the other
            heatmap fields
        label_field: field with the labels of the samples, `fo.Classification`s or strings; by
            default (None), the field that the run was trained on
        weights: weights of a pretrained backbone: "imagenet" (the default), or the path of a
            weights file. If this is None and a run has the same name as the backbone, the run is
            used
        resize: how images are resized for a pretrained classifier: "squash" (the whole image,
            without keeping its aspect ratio), "crop", "letterbox", or "auto" (the default): the
            same as for its earlier predictions in `prediction_field`, or else the best of the three
            on features of up to 300 labeled images, or "squash" if there are too few. A run always
            uses the way that it was trained with
        batch_size: maximum number of images per forward pass; a CPU uses at most 4, which is faster
        resume: continue a pass that was interrupted: skip samples that already have values of this
            run with the same options. With scale="run", where all heatmaps of a pass share one
            scale, start over
        overwrite: also replace fields that this plugin did not write, and values of another run,
            including those of samples that are not in `samples`
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        precision: precision on an NVIDIA GPU: "tf32", "float32" (slower), or "bfloat16" (faster
            with large networks); other devices always use float32. Compared with "float32", labels
            agree for at least 99.5% of photos whose margin is above .01, and heatmaps correlate at
            .999
        decoder: how JPEG files are decoded for an NVIDIA GPU: "pillow", or "torchcodec", an
            optional package that decodes them on the GPU; see `fiftyone_gradcam.passes.jpegs`
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends
        **heatmap_options: options of `fiftyone_gradcam.explain.render.HeatmapOptions`: method
            ("gradcam", "hirescam", "layercam", "gradcam++", "eigencam", "scorecam"), signed, layer,
            scale ("image", "pair", "run"), resolution, interpolation, storage ("file", "database").
            `fiftyone_gradcam.explain.cam.explain` says where methods give the same result

    Returns:
        a view of the samples that have a prediction now

    Raises:
        ValueError: if there is no such run or backbone, if it has none of the samples' classes, if
            a field exists or holds values of another run for other samples, if no image can be
            decoded, or if an argument is invalid
        FileNotFoundError: if the checkpoint of the run or the weights file does not exist
        ConnectionError: if ImageNet weights are not cached and cannot be downloaded
        StorageError: if a file cannot be written; the message names the file and the remedy
        CancelledError: if `progress` raised it. Predictions made so far are stored, and the info of
            the fields says for how many samples ("partial"); values that will replace those of
            another run stay on disk until the pass is complete
    """
    samples = fields.whole(samples)
    dataset = fields.root_dataset(samples)
    run = find_classifier(samples, run, weights, resize)
    options = make_options(heatmap_options)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be a whole number of at least 1, not {batch_size!r}")
    check_precision(precision)
    check_decoder(decoder)
    names = _heatmap_names(run, heatmaps, heatmap_classes, heatmap_field, options.signed)
    if resize in (None, AUTO) and type(run) is Pretrained:
        comparing, progress = shares_of(progress, *sizes_before(len(samples)))
        run = shown_best(samples, run, prediction_field, label_field, device, comparing)
    label_field, labels = own_labels(samples, run, label_field)
    ids, paths = samples.values(["id", "filepath"])
    writer = PredictionWriter(
        dataset, run, prediction_field, names, label_field, options, ids, labels, overwrite
    )
    if writer.replaces:
        writer.check_others([ids[i] for i in unreachable_files(paths)])
    count = len(ids)
    if resume:
        left = writer.resume()
        if len(left) < count:
            print(f"{count - len(left)} of {count} images already have values of {run.key!r}")
        ids, paths, labels = [ids[i] for i in left], [paths[i] for i in left], labels[left]
    images = images_for(run, paths, dataset, is_rest=writer.has_predictions)
    network = run.network(device, options.layer)
    # Features of another layer are not useful to other functions.
    sinks = feature_sinks(dataset, ids, paths, network, run) if options.layer is None else []
    with reporting(progress, f"Predicting {counted(len(ids), 'image')} with {run.key!r}") as report:
        try:
            with plain_errors(lambda: _KEPT), keeping(*(sink.kept for sink in sinks)):
                store_predictions(
                    *(network, images, ids, labels, writer, batch_size, report),
                    *(precision, sinks, decoder),
                )
        except CancelledError:
            done = writer.keep_part()
            what = "predictions and heatmaps" if names and options.scale != "run" else "predictions"
            where = "now"
            if writer.replaces:
                where = "on disk: the fields keep their values until all new ones are computed"
            raise CancelledError(
                f"Canceled: {done} of {count} images have {what} by {run.key!r} {where}. Pass "
                f"resume=True to continue"
            ) from None
        except BaseException:  # values stored so far are kept
            with suppress(Exception):  # if the database fails, the next pass does this
                fields.refresh(dataset)
                writer.abandon()
            raise
    report_failures(images.failures)
    _report_kept(dataset, ids, images, prediction_field)
    if names:
        print(f"{METHODS[options.method].title} at layer {network.layer!r} of {run.key!r}")
    _report_maps(writer, count)
    shown.show_fields(dataset, [prediction_field, *names.values()])
    return samples.exists(prediction_field)


def _report_maps(writer: PredictionWriter, total: int) -> None:
    """Print how many of `total` samples have heatmaps of their own label, and how many heatmaps are
    empty."""
    for kind in ("label", "contrast"):
        if kind in writer.heatmap_fields:
            made, name = writer.maps.get(kind, 0), writer.heatmap_fields[kind]
            why = "" if made == total else ", for samples whose label is a class of the classifier"
            if kind == "contrast" and why:
                why += " and differs from the prediction"
            print(f"{counted(made, 'heatmap')} in {name!r}{why}")
    for kind, count in writer.zero_maps.items():
        if kind.startswith(AGAINST):
            continue  # the same number as of the maps for the class
        name = writer.heatmap_fields[kind]
        print(
            f"{counted(count, 'heatmap')} in {name!r} {'is' if count == 1 else 'are'} zero "
            f"everywhere: no evidence for the class"
        )


def _report_kept(
    dataset: fo.Dataset, ids: Sequence[str], images: Images, prediction_field: str
) -> None:
    """Print how many samples keep an earlier prediction because their files cannot be read."""
    unreachable = [ids[i] for i, error in images.failures.items() if is_unreachable(error)]
    kept = len(dataset.select(unreachable).exists(prediction_field)) if unreachable else 0
    if kept:
        whose = counted(kept, "image whose file", "images whose files")
        keep = "keeps its earlier prediction" if kept == 1 else "keep their earlier predictions"
        print(f"{whose} cannot be read now {keep} by this classifier in {prediction_field!r}")


def make_options(options: dict) -> HeatmapOptions:
    """Create heatmap options from the keyword arguments of a function.

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
    """The field of each kind of heatmap. Kinds of given classes are "class:<name>", and maps of
    evidence against a class are "against:<kind>"."""
    heatmaps = (heatmaps,) if isinstance(heatmaps, str) else heatmaps
    classes = (classes,) if isinstance(classes, str) else classes
    if unknown := sorted(set(heatmaps) - set(KINDS)):
        raise ValueError(
            f"heatmaps may be any of {', '.join(KINDS)}, not {unknown[0]!r}. "
            f"{did_you_mean(unknown[0], KINDS)}".rstrip()
        )
    if unknown := [name for name in classes if name not in run.classes]:
        raise ValueError(
            f"{run.key!r} has no class {unknown[0]!r}. "
            f"{did_you_mean(unknown[0], run.classes)}Its classes: {some(run.classes)}"
        )
    return heatmap_names(heatmaps, classes, field, signed)
