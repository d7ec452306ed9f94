"""Labels of arguments in the App: one for each argument, in all forms and messages.

Messages of verbs use the names of arguments in Python. `in_labels` replaces these by the labels of
the form, so that users find the fields that a message refers to.
"""

from __future__ import annotations

import re
from functools import cache

# Labels by argument name. Forms with other labels are listed in `OF_VERBS`.
LABELS = {
    "a": "Run",
    "advanced": "More choices",
    "alpha": "Heatmap opacity",
    "backbone": "Network",
    "batch_size": "Batch size",
    "b": "Compare with",
    "brightness": "Brightness",
    "class_balance": "Balance rare classes",
    "class_names": "File of class names",
    "classes": "Classes",
    "colormap": "Colormap",
    "contact_sheet": "Contact sheets",
    "contrast": "Contrast",
    "count": "Number of samples",
    "csv_path": "CSV file",
    "cutout": "Cutout",
    "decision": "Decision",
    "decoder": "Decoder of JPEG files",
    "dropout": "Dropout",
    "early_stopping": "Early stopping",
    "elastic": "Elastic deformation",
    "embeddings": "Compare images by",
    "epochs": "Epochs",
    "false_alarms": "False alarm rate",
    "field": "Field for embeddings",
    "fields": "Delete its fields too",
    "folder": "Folder",
    "folds": "Number of folds",
    "freeze": "Frozen layers",
    "groups": "Keep together",
    "head_lr_factor": "Learning rate factor of new layers",
    "heatmap_classes": "Heatmaps of these classes too",
    "heatmap_field": "Field for heatmaps",
    "heatmaps": "Heatmaps",
    "height": "Picture height",
    "horizontal_flip": "Flip left to right",
    "how": "Files are",
    "image_column": "Image column",
    "image_size": "Image size",
    "images_per_class": "Images per class",
    "include_excluded": "Include excluded and unclear samples",
    "interpolation": "Interpolation",
    "keep_masks": "Keep masks",
    "keep_truncated": "Import truncated files too",
    "key": "Name of the run",
    "label": "Class",
    "label_column": "Class column",
    "label_field": "Label field",
    "label_from": "Classes come from",
    "label_smoothing": "Label smoothing",
    "labels": "Labels to train on",
    "layer": "Layer",
    "learning_rate": "Learning rate",
    "level": "In nested folders, the class is",
    "max_pixels": "Largest image",
    "method": "Method",
    "mixup": "MixUp",
    "name": "Dataset name",
    "near": "Find near duplicates too",
    "new": "Folder now",
    "new_key": "New name",
    "noise": "Salt-and-pepper noise",
    "normal": "Normal class",
    "old": "Folder before",
    "optimizer": "Optimizer",
    "out": "HTML file",
    "overwrite": "Replace what is there",
    "path": "Folder",
    "pattern": "Pattern",
    "precision": "Precision on a GPU",
    "prediction_field": "Field for predictions",
    "recipe": "Recipe",
    "resize": "Resize by",
    "resume": "Resume",
    "resolution": "Heatmap size",
    "road": "Also ROAD, which takes seconds per image",
    "rotation": "Rotation",
    "run": "Run",
    "scale": "Heatmap scale",
    "schedule": "Learning rate schedule",
    "seed": "Random seed",
    "signed": "Also show what speaks against the class",
    "skip": "Skip",
    "split_column": "Split column",
    "split_folders": "Folders for train, val and test",
    "split_from": "Splits come from",
    "steps": "Steps",
    "storage": "Store heatmaps as",
    "store": "Store predictions",
    "table": "Table",
    "temperature": "Calibrate the scores (temperature)",
    "test": "Test share",
    "train": "Training share",
    "translation": "Shift",
    "val": "Validation share",
    "vertical_flip": "Flip upside down",
    "watch": "Track heatmaps of",
    "weight_decay": "Weight decay",
    "weights": "Pretrained weights",
    "weights_file": "Weights file",
}
OF_VERBS = {
    "fine_tune": {"scale": "Zoom"},
    "preview_augmentation": {"scale": "Zoom"},
    "predict": {"run": "Classifier"},
    "show_embeddings": {"run": "As seen by", "method": "Layout"},
    "compute_embeddings": {"run": "As seen by"},
    "export_overlays": {"heatmap_field": "Heatmaps"},
    "mean_heatmaps": {"heatmap_field": "Heatmaps"},
    "explanation_quality": {"heatmap_field": "Heatmaps"},
    "lowest_scores": {"prediction_field": "Predictions"},
    "highest_scores": {"prediction_field": "Predictions"},
    "mistakes": {"prediction_field": "Predictions"},
    "save_views": {"prediction_field": "Predictions"},
    "undo_review": {"count": "Number of steps"},
}
_VALUE = r"('[^']*'|\"[^\"]*\"|[\w.]+)"


def label_of(name: str, verb: str = "") -> str:
    """Return the label of an argument.

    Args:
        name: the name of the argument
        verb: the verb that has the argument; "" for any
    """
    return OF_VERBS.get(verb, {}).get(name) or LABELS[name]


def in_labels(text: str, verb: str = "") -> str:
    """Replace arguments and verbs in a message by their labels in the App.

    Args:
        text: the message, such as "pass overwrite=True, or call split() again"
        verb: the verb that raised the message; "" if unknown
    """
    # A button beside the job does so, and a switch in the form.
    text = text.replace("Pass resume=True to continue", "“Resume” continues with the others")
    known = LABELS | OF_VERBS.get(verb, {})
    names = "|".join(sorted(known, key=len, reverse=True))

    def shown(name: str) -> str:
        return f"“{known[name]}”"

    def setting(found: re.Match) -> str:
        before, name, value = found.groups()
        switch = {"True": "turn on", "False": "turn off"}.get(value)
        if before is None and switch is None:
            return f"{shown(name)} set to {_unquoted(value)}"
        words = f"{switch} {shown(name)}" if switch else f"set {shown(name)} to {_unquoted(value)}"
        return words[0].upper() + words[1:] if before and before[0].isupper() else words

    text = re.sub(rf"(?:\b([Pp]ass|[Gg]ive) )?(?<![\w.])({names})={_VALUE}", setting, text)
    text = re.sub(rf"(?<![\w.'“/\\])({names})=", lambda x: shown(x[1]), text)
    text = re.sub(
        rf"(?<![\w.'“/\\])({names})(?![\w'”/\\(.=])",
        lambda x: shown(x[1]) if "_" in x[1] else x[0],
        text,
    )
    text = re.sub(rf"(?:^|(?<=\. ))({names})(?= must )", lambda x: shown(x[1]), text)
    verbs = _verbs()
    return re.sub(
        rf"(?<![\w.])(?:fg\.)?({'|'.join(verbs)})\((?:\.\.\.)?\)",
        lambda x: f"“{verbs[x[1]]}”",
        text,
    )


def _unquoted(value: str) -> str:
    return f"“{value[1:-1]}”" if value[0] in "'\"" else value


@cache
def _verbs() -> dict[str, str]:
    """Return the labels of operators by the names of their verbs."""
    from . import OPERATORS

    return {x.verb: x.label for x in reversed(OPERATORS) if getattr(x, "verb", "")}
