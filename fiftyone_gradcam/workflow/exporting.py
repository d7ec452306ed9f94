"""Export pictures of heatmaps, and compute mean heatmaps."""

from __future__ import annotations

import os
from collections.abc import Iterator

import fiftyone as fo
import numpy as np
from PIL import Image

from ..arguments import checked
from ..dataset import fields
from ..dataset.apart import check_apart
from ..dataset.heatmaps import against_field, check_heatmap_field, is_signed, map_pixels
from ..dataset.import_record import decode_options
from ..dataset.writing import exporting
from ..disk import whole_file
from ..explain import overlay
from ..explain.signed import AGAINST
from ..folders.path_names import inside, safe_name, split_suffix, unique_name
from ..images.decode import ImageError, decode
from ..images.opening import none_readable
from ..jobs.delegating import delegable
from ..progress import Progress, counted, report_failures, reporting

SHEET = "contact_sheet"
MEANS_PICTURE = "means.png"  # of all classes
SHEET_PICTURES = 60
MEAN_SIDE = 224


@delegable
def export_overlays(
    samples: fo.core.collections.SampleCollection,
    folder: str,
    heatmap_field: str = "gradcam",
    prediction_field: str | None = None,
    label_field: str | None = None,
    colormap: str = "jet",
    alpha: float = 0.5,
    height: int = 320,
    contact_sheet: bool = True,
    overwrite: bool = False,
    progress: Progress = None,
    delegate: bool = False,
) -> list[str]:
    """Write a picture of each sample with a heatmap: the image, the heatmap and their overlay.

    Each picture has a caption with the label, the prediction and its score. Files are named after
    the images, in the order of the samples: `0001_ant_12.jpg`. Contact sheets of up to 60 overlays
    are named `contact_sheet_1.jpg` and so on. Samples without a heatmap are left out.

    Args:
        samples: a dataset or view; its order is kept
        folder: the folder to write to; it is created if it does not exist, and must be empty unless
            `overwrite` is true
        heatmap_field: field with the heatmaps
        prediction_field: field with the predictions; by default (None), the predictions that were
            made with the heatmaps
        label_field: field with the labels of the samples; by default (None), the field that
            `predict` compared with
        colormap: name of a matplotlib colormap
        alpha: opacity of the heatmap in the overlay, in [0, 1]
        height: height of each picture in pixels, at least 32
        contact_sheet: also write contact sheets
        overwrite: also write into a folder that is not empty, and replace files of the same names
        progress: True for a progress bar, False for none, or a function that is called with (done,
            total, message); by default (None), FiftyOne's setting `show_progress_bars` decides
        delegate: run as a job in another process and return the `Job` at once; `Job.wait()` waits
            until it ends

    Returns:
        paths of the files, contact sheets last

    Raises:
        ValueError: if there are no heatmaps, the folder holds images of the dataset, or an argument
            is invalid
        FileExistsError, NotADirectoryError: if the folder is not empty, or is a file
    """
    dataset = fields.root_dataset(samples)
    info = check_heatmap_field(dataset, heatmap_field)
    signed, against = is_signed(info), against_field(dataset, heatmap_field)
    overlay.colors_of(colormap)
    overlay.check_alpha(alpha)
    if isinstance(height, bool) or not isinstance(height, int) or height < 32:
        raise ValueError(f"height must be a whole number of at least 32, not {height!r}")
    view = fields.whole(samples).exists(heatmap_field)
    if not len(view):
        raise ValueError(f"No sample here has a heatmap in {heatmap_field!r}. Call predict() first")
    check_apart(dataset, folder)
    names = [
        safe_name(f"{number:04d}_{split_suffix(os.path.basename(path))[0]}", ".jpg")
        for number, path in enumerate(view.values("filepath"), start=1)
    ]
    sheets = -(-len(view) // SHEET_PICTURES) if contact_sheet else 0
    sheet_names = [f"{SHEET}_{number}.jpg" for number in range(1, sheets + 1)]
    written, waiting, failures = [], [], {}
    options = decode_options(fields.root_dataset(samples))
    captions = _captions(view, heatmap_field, prediction_field, label_field)
    with (
        exporting(folder, overwrite) as home,
        reporting(progress, f"Drawing {len(view)} overlays") as report,
    ):
        rows = zip(names, view.iter_samples(), captions, strict=True)
        for number, (name, sample, caption) in enumerate(rows, start=1):
            try:
                image = decode(sample.filepath, height, options).image
                pixels = map_pixels(sample, heatmap_field, against)
            except (ImageError, OSError) as error:
                failures[number] = _as_image_error(error, sample.filepath)
                continue
            picture = overlay.triptych(
                image, pixels, caption.replace("\n", "   "), colormap, alpha, height, signed
            )
            written.append(_save(picture, home, name))
            if contact_sheet:
                small = overlay.fit(image, box=200)
                waiting.append((overlay.overlay(small, pixels, colormap, alpha, signed), caption))
            report(number, len(view), f"{number} of {len(view)}")
        sheet_paths = []
        for name, start in zip(sheet_names, range(0, len(waiting), SHEET_PICTURES), strict=False):
            pictures, texts = zip(*waiting[start : start + SHEET_PICTURES], strict=True)
            sheet_paths.append(_save(overlay.sheet(pictures, texts), home, name))
    report_failures(failures)
    if not written:
        raise ValueError(none_readable(len(view), next(iter(failures.values()))))
    sheets = counted(len(sheet_paths), "contact sheet")
    print(f"Wrote {counted(len(written), 'overlay')} and {sheets} to {home}")
    return written + sheet_paths


@checked
def mean_heatmaps(
    samples: fo.core.collections.SampleCollection,
    heatmap_field: str = "gradcam",
    class_field: str | None = None,
    folder: str | None = None,
    colormap: str = "jet",
    overwrite: bool = False,
) -> dict[str, np.ndarray]:
    """Compute the mean heatmap of each class, which shows where the network looks for the class.

    Each heatmap is stretched to the same square, so positions are relative to the image size. All
    heatmaps count equally, with the scale that `predict` gave them (by default, each by its own
    peak).

    Args:
        samples: a dataset or view
        heatmap_field: field with the heatmaps
        class_field: field with the classes to average over; by default (None), the labels of the
            samples
        folder: also write a picture of each mean, `mean_<class>.png`, and one of all, `means.png`,
            to this folder; the largest value of all means has the hottest color
        colormap: name of a matplotlib colormap, for the pictures
        overwrite: also write into a folder that is not empty, and replace files of the same names

    Returns:
        for each class, a float32 array (224, 224) in [0, 1], or in [-1, 1] for signed heatmaps

    Raises:
        ValueError: if no sample has both a heatmap and a label, or the folder holds images of the
            dataset
        FileExistsError, NotADirectoryError: if the folder is not empty, or is a file
    """
    dataset = fields.root_dataset(samples)
    info = check_heatmap_field(dataset, heatmap_field)
    class_field = class_field or info.get("label_field") or "ground_truth"
    class_path = fields.label_path(dataset, class_field)
    if folder is not None:
        check_apart(dataset, folder)
    signed, against = is_signed(info), against_field(dataset, heatmap_field)
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, int] = {}
    view = fields.whole(samples).exists(heatmap_field).exists(class_path)
    wanted = [heatmap_field, class_field, *([against] if against else [])]
    for sample in view.select_fields(wanted).iter_samples():
        gray = Image.fromarray(map_pixels(sample, heatmap_field, against))
        pixels = np.asarray(
            gray.convert("F").resize((MEAN_SIDE, MEAN_SIDE), Image.Resampling.BILINEAR)
        )
        values = (pixels - 128) / 127 if signed else (pixels - 1) / 254
        name = sample[class_field] if class_path == class_field else sample[class_field].label
        # 0 means that the network did not see the pixel, or that the map is empty: no evidence.
        sums[name] = sums.get(name, 0) + np.where(pixels > 0, values, 0).clip(-1, 1)
        counts[name] = counts.get(name, 0) + 1
    if not sums:
        raise ValueError(
            f"No sample here has both a heatmap in {heatmap_field!r} and a label in "
            f"{class_field!r}. Call predict() first"
        )
    means = {name: (sums[name] / counts[name]).astype(np.float32) for name in sorted(sums)}
    if folder is not None:
        _write_means(means, counts, signed, folder, colormap, overwrite)
    return means


def _write_means(means, counts, signed, folder, colormap, overwrite) -> None:
    pictures, taken = {}, set()
    largest = max(float(np.abs(mean).max()) for mean in means.values()) or 1.0
    for name, mean in means.items():
        share = mean / largest  # the same scale for all classes makes them comparable
        pixels = 128 + 127 * share if signed else 1 + 254 * share
        file = unique_name(safe_name(f"mean_{name}", ".png"), taken)
        pictures[file] = overlay.color_heatmap(np.rint(pixels).astype(np.uint8), colormap)
    captions = [f"{name}\n{counted(counts[name], 'image')}" for name in means]
    pictures[MEANS_PICTURE] = overlay.sheet(list(pictures.values()), captions)
    with exporting(folder, overwrite) as home:
        for file, picture in pictures.items():
            _save(picture, home, file)
    print(f"Wrote {counted(len(means), 'mean heatmap')} to {home}")


def _captions(view, heatmap_field, prediction_field, label_field) -> Iterator[str]:
    """Captions of the pictures: label, prediction and score, and the class of the heatmap."""
    info = fields.field_info(fields.root_dataset(view), heatmap_field)
    label_field = label_field or info.get("label_field", "ground_truth")
    prediction_field = prediction_field or info.get("prediction_field", "prediction")
    own = _values(view, fields.path_in(fields.root_dataset(view), label_field))
    predicted = _values(view, f"{prediction_field}.label")
    scores = _values(view, f"{prediction_field}.confidence")
    targets = _values(view, f"{heatmap_field}.target")
    for label, prediction, score, target in zip(own, predicted, scores, targets, strict=True):
        first = f"label: {label if label is not None else '-'}"
        second = "" if prediction is None else f"predicted: {prediction} {score or 0:.2f}"
        third = ""
        if info.get("kind") == "contrast":
            third = f"high for {target}, low for {label}"
        elif (info.get("kind") or "").startswith(AGAINST):
            third = f"against {target}"
        elif target is not None and target != prediction:
            third = f"map of {target}"
        yield "\n".join(line for line in (first, second, third) if line)


def _values(view, path: str) -> list:
    if fields.root_dataset(view).get_field(path) is None:
        return [None] * len(view)
    return view.values(path)


def _save(picture: Image.Image, folder: str, name: str) -> str:
    path = inside(folder, name)
    with whole_file(path) as part:
        if name.endswith(".png"):
            picture.save(part, format="PNG")
        else:
            picture.save(part, format="JPEG", quality=90)
    return path


def _as_image_error(error: Exception, path: str) -> ImageError:
    return error if isinstance(error, ImageError) else ImageError(path, "heatmap file missing")
