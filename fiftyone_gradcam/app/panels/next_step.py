"""What to do next with a dataset, from stored facts alone."""

from __future__ import annotations

import fiftyone as fo

from ...dataset.fields import classification_fields, field_info
from ...dataset.runs import list_runs


def next_step(dataset: fo.Dataset) -> tuple[str, str, str]:
    """The verb to call next, the label of its button, and why."""
    names = classification_fields(dataset)
    own = [name for name in names if not field_info(dataset, name)]
    if not own:
        return (
            "import_folders",
            "Import labelled folders",
            "there are no labels here. Import folders of images, one folder for each class.",
        )
    if not list_runs(dataset):
        if not dataset.match_tags("train").limit(1):
            return (
                "split",
                "Split into train, val and test",
                "split the images, so that a classifier is tested on some that it never saw.",
            )
        return "fine_tune", "Fine-tune a classifier", "train a classifier on the images."
    if not any(field_info(dataset, name).get("run") for name in names):
        return (
            "predict",
            "Predict with Grad-CAM heatmaps",
            "let the classifier predict every image, and see where it looks.",
        )
    if not field_info(dataset, "label_quality"):
        return "find_label_issues", "Find label issues", "find labels that may be wrong."
    return "mistakes", "Mistakes", "look at what the classifier gets wrong, and correct it."
