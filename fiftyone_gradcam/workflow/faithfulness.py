"""Measure how faithful heatmaps are, for each sample."""

from __future__ import annotations

import fiftyone as fo
import numpy as np

from ..dataset import fields, runs
from ..dataset.classifiers import find_classifier, images_for, way_before
from ..dataset.heatmaps import check_heatmap_field
from ..dataset.run import Pretrained
from ..dataset.storing import write_rows
from ..dataset.writing import exclusive
from ..explain.cam import PREDICTED
from ..explain.faithfulness import HIGH_IS_GOOD, RIVALS, STEPS, measure_name
from ..jobs.delegating import delegable
from ..model.network import Network
from ..passes.engine import run_pass
from ..passes.quality import Quality
from ..progress import Progress, report_failures, reporting
from .predicting import make_options


@delegable
@exclusive
def explanation_quality(
    samples: fo.core.collections.SampleCollection,
    run: runs.Run | Network | str,
    heatmap_field: str = "gradcam",
    steps: int = STEPS,
    seed: int = 0,
    road: bool = False,
    weights: str | None = None,
    resize: str | None = None,
    device: str | None = None,
    progress: Progress = None,
    delegate: bool = False,
    **heatmap_options,
) -> dict[str, dict[str, float]]:
    """Measure how faithfully heatmaps of the predicted class explain the predictions.

    The heatmaps are computed again, and these measures are stored with each heatmap in
    `heatmap_field`: `deletion` (area under the confidence while the hottest pixels are removed
    first; low is good), `insertion` (area under the confidence while they are added to a blurred
    image; high is good), `drop` (fraction of the confidence that is lost when only hot regions are
    shown; low is good) and, on request, `road` (how much more confidence is lost without the
    hottest pixels than without the coldest, where removed pixels are filled in from their
    surroundings; high is good). The same measures are stored for a centered Gaussian
    (`deletion_gaussian`, ...) and a random map (`deletion_random`, ...), which do not depend on the
    image. A heatmap that is no better than these explains nothing. Another call of `predict` for
    this field removes the measures.

    This is slow: about 6 x `steps` forward passes per image. Try it on a view first.

    Args:
        samples: a dataset or view; samples without a heatmap in the field are left out
        run: the run, key, backbone or `Network` that `predict` was called with
        heatmap_field: field with heatmaps of the predicted class
        steps: number of equal parts in which the pixels are removed, at least 2 (default: 10)
        seed: random seed of the random maps and of the noise in `road`, at least 0
        road: also measure ROAD (Rong et al., arXiv 2202.00449) for the fractions 1 / `steps`, 2 /
            `steps`, ... of the pixels; this takes another 6 x `steps` forward passes and some
            seconds of CPU time per image
        weights, resize: those that `predict` was called with, for a pretrained backbone
        device: a torch device such as "cpu" or "cuda"; by default (None), a GPU if there is one
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends
        **heatmap_options: method, signed and layer, as for `predict`; by default, those of the
            heatmaps in the field

    Returns:
        mean values: for each of "deletion", "insertion", "drop" and, on request, "road", a
        dictionary with the means of "heatmap", "gaussian" and "random"

    Raises:
        ValueError: if the field has no heatmaps of the predicted class by this run, or if an
            argument is invalid
        FileNotFoundError: if the checkpoint of the run does not exist
    """
    samples = fields.whole(samples)
    dataset = fields.root_dataset(samples)
    classifier = find_classifier(samples, run, weights, resize)
    info = check_heatmap_field(dataset, heatmap_field)
    if info.get("kind") != PREDICTED or info.get("run") != classifier.key:
        raise ValueError(
            f"{heatmap_field!r} has no heatmaps of the class that {classifier.key!r} predicts, but "
            f"heatmaps of {info.get('run')!r} of the kind {info.get('kind')!r}. Pass the run and "
            f"the field that belong together"
        )
    if not isinstance(steps, int) or steps < 2:
        raise ValueError(f"steps must be a whole number of at least 2, not {steps!r}")
    if resize is None and type(classifier) is Pretrained:
        way = way_before(dataset, classifier, heatmap_field) or classifier.recipe["resize"]
        classifier = find_classifier(samples, run, weights, way)
    stored = {name: info["heatmap"][name] for name in ("method", "signed")}
    if info["heatmap"]["layer"] != classifier.layer:
        stored["layer"] = info["heatmap"]["layer"]
    options = make_options({**stored, **heatmap_options})
    view = samples.exists(heatmap_field)
    ids, paths = view.values(["id", "filepath"])
    if not ids:
        raise ValueError(f"No sample here has a heatmap in {heatmap_field!r}. Call predict() first")
    images = images_for(classifier, paths, dataset)
    sink = Quality(options, steps, seed, road)
    with reporting(progress, f"Testing {len(ids)} heatmaps") as report:
        run_pass(images, classifier.network(device, options.layer), [sink], report=report)
    report_failures(images.failures)
    found = {ids[position]: values for position, values in sink.found.items()}
    paths = {name: f"{heatmap_field}.{name}" for name in next(iter(found.values()))}
    for path in paths.values():
        dataset.add_sample_field(path, fo.FloatField)
    write_rows(dataset, {i: {paths[n]: x for n, x in v.items()} for i, v in found.items()})
    means = {
        measure: {
            rival or "heatmap": _mean(found, measure_name(measure, rival)) for rival in RIVALS
        }
        for measure in sink.measures
    }
    print(f"{'mean of ' + str(len(found)):<16}{'heatmap':>10}{'gaussian':>10}{'random':>10}")
    for measure, row in means.items():
        better = "high is good" if measure in HIGH_IS_GOOD else "low is good"
        print(f"{measure:<16}" + "".join(f"{v:>10.3f}" for v in row.values()) + f"  {better}")
    return means


def _mean(found: dict[str, dict[str, float]], name: str) -> float:
    return float(np.mean([values[name] for values in found.values()]))
