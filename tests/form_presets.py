"""What a form that nobody has filled in hands to its verb, where that is not the verb's default."""

import os

SHARES = {"fractions": {"train": 0.6, "val": 0.2, "test": 0.2}}
FILE, IMAGENET = {"weights": "/some/file"}, {"weights": "imagenet"}
NEW_RUN = {"key": "resnet18", "recipe": "default"}
OF_IMAGENET = {
    **{"run": "resnet18", "resize": "auto", **IMAGENET},
    **{"prediction_field": "imagenet", "heatmap_field": "imagenet_cam"},
}
OF_SECOND = {"prediction_field": "prediction_second", "heatmap_field": "gradcam_second"}
NETWORK, SECOND = {"run_or_backbone": "resnet18", **IMAGENET}, {"run_or_backbone": "second"}
REPORT = os.path.expanduser("~/forms-with-all-fields-report.html")
# For each way of `form_fields.OPENED` to open a form; those of other forms hand on defaults only.
PRESETS: dict[str, list[dict]] = {
    "split": [
        *(SHARES, {"fractions": {"train": 100, "val": 20, "test": 20}}, {"folds": 5}, SHARES),
        {**SHARES, **IMAGENET},
    ],
    "fine_tune": [NEW_RUN, {**NEW_RUN, **FILE}],
    "predict": [OF_SECOND, OF_IMAGENET, {**OF_IMAGENET, **FILE}],
    "find_label_issues": [{}, {}, IMAGENET, FILE],
    "find_leaks": [{}, IMAGENET],
    "find_anomalies": [IMAGENET],
    "show_embeddings": [SECOND, NETWORK],
    "compute_embeddings": [{"field": "embeddings", **own} for own in (SECOND, NETWORK)],
    "explanation_quality": [{"run": "first"}],
    "import_run": [
        {},
        {"key": "resnet18", "label_field": "ground_truth", "resize": "crop", **FILE},
    ],
    "review": [{"label": "", "source": "App, selection"}],
    "report": [{"out": REPORT}],
}
# What arguments that are left out stand for, which the App sends.
USUAL = {
    **{"method": "gradcam", "resolution": 224, "interpolation": "bicubic"},
    **{"scale": "image", "storage": "file", "split_folders": True},
    **{"label_field": "ground_truth", "prediction_field": "prediction"},
}
