"""The operator that imports labeled folders."""

from __future__ import annotations

import os
from collections.abc import Mapping

import fiftyone as fo
from fiftyone.operators import types

from ...dataset.adding import count_new
from ...dataset.import_record import INFO_KEY
from ...dataset.importing import check_target
from ...dataset.names import name_for
from ...dataset.writing import import_lock
from ...folders.found_tables import headers_of
from ...folders.layout import LABEL_FROM, LEVELS, SPLIT_FROM
from ...folders.plan import Plan
from ...progress import counted, counted_as
from ..texts import markdown
from .forms import (
    AUTOMATIC,
    choice_input,
    more,
    notice,
    number_input,
    refuse,
    text_input,
)
from .import_plans import SlowFolderError, plan_of
from .labels import LABELS, in_labels
from .path_fields import is_being_typed, path_input, path_of
from .verb import Verb

CLASSES = {
    "folder": "The folder's name",
    "file name": "The file's name, before its number (apple_12.jpg)",
    "pattern": "A pattern in the path",
    "table": "A table (CSV)",
    "nothing": "Nowhere: the images are unlabeled",
}
SPLITS = {
    "outer folder": "Folders around the classes (train/cat/1.jpg)",
    "inner folder": "Folders in the classes (cat/train/1.jpg)",
    "nothing": "Nowhere",
}
NESTED = {
    "first": "The first (cat)",
    "last": "The last (siamese)",
    "joined": "All, joined (cat/siamese)",
}
AS_FOUND = "Automatic"
LABEL_FIELD = "ground_truth"
COLUMNS = ("image_column", "label_column", "split_column")
MOST_CLASSES = 12  # maximum number of rows in the table
PATIENT = "patient"
SLOW = (
    "{!r} holds so many files that reading them takes a while. Choose the folder with the images, "
    "or check the box"
)


class ImportFolders(Verb):
    """`import_folders` as an operator."""

    verb = "import_folders"
    label = "Import labeled folders"
    action = "Import"
    icon = "create_new_folder"
    description = "Add a dataset from a folder of labeled images"
    needs_dataset = False
    scope = None

    def form(self, ctx, inputs: types.Object) -> None:
        """Add the folder and a preview of the import; the other fields are behind a switch."""
        words = "A folder of images, such as one with a folder for each class"
        path = path_input(ctx, inputs, "path", description=words)
        if not path or is_being_typed(inputs, path):
            return
        params = ctx.params
        try:
            plan, examples = plan_of(_layout(params), bool(params.get(PATIENT)))
            plan.check()
        except SlowFolderError:
            inputs.bool(PATIENT, default=False, label="Read the whole folder")
            refuse(inputs, "slow", SLOW.format(path_of(params["path"])))
            return
        except (ValueError, OSError) as error:
            refuse(inputs, "no_plan", str(error))
            if more(ctx, inputs):
                _layout_inputs(ctx, inputs)
            return
        if params.get(PATIENT):
            inputs.bool(PATIENT, default=False, label="Read the whole folder")
        inputs.md(_words(plan), name="plan")
        if examples:
            inputs.md(f"![Some images of each class]({examples})", name="examples")
        for number, warning in enumerate(plan.warnings):
            notice(inputs, f"warning_{number}", warning, types.Warning)
        default = name_for(plan.root)
        text_input(ctx, inputs, "name", LABELS["name"], default)
        if default != (folder := os.path.basename(plan.root)):
            about = f"The folder is named {folder!r}; the dataset will be named {default!r}"
            notice(inputs, "own_name", about)
        self._check_name(ctx, inputs, plan, default)
        if more(ctx, inputs):
            _layout_inputs(ctx, inputs)
            self._rest(ctx, inputs)

    def _check_name(self, ctx, inputs: types.Object, plan: Plan, default: str) -> None:
        given = self.arguments(ctx)
        name = given["name"] or default
        is_there = fo.dataset_exists(name)
        if is_there:
            inputs.bool(
                "overwrite",
                default=False,
                label=LABELS["overwrite"],
                description=f"Delete the dataset {name!r}, and import everything again",
            )
        try:
            check_target(name, plan.root, given["label_field"], given["overwrite"])
            if is_there and not given["overwrite"]:
                notice(inputs, "exists", _again_words(fo.load_dataset(name), plan))
        except ValueError as error:
            refuse(inputs, "taken", str(error))

    def _rest(self, ctx, inputs: types.Object) -> None:
        text_input(ctx, inputs, "label_field", LABELS["label_field"], LABEL_FIELD)
        inputs.bool(
            "keep_truncated",
            default=False,
            label=LABELS["keep_truncated"],
            description="As far as they can be read; they are tagged",
        )
        words = "Width x height, in pixels"
        number_input(inputs, "max_pixels", LABELS["max_pixels"], "178956970", words, least=1)

    def arguments(self, ctx) -> dict:
        """Return the verb's arguments from the values of the form."""
        params = ctx.params
        return {
            **_layout(params),
            "name": params.get("name") or None,
            "label_field": params.get("label_field") or LABEL_FIELD,
            "keep_truncated": bool(params.get("keep_truncated")),
            "max_pixels": params.get("max_pixels") or None,
            "overwrite": bool(params.get("overwrite")),
        }

    def job_label(self, given: dict) -> str:
        """Name the folder."""
        return f"Import {os.path.basename(os.path.abspath(given['path'])) or given['path']!r}"

    def target(self, given: dict) -> str:
        """Return the lock of the dataset that the images are imported into."""
        name = given.get("name") or name_for(os.path.abspath(os.path.expanduser(given["path"])))
        return import_lock(name)

    def outcome(self, result, given: dict) -> dict:
        """Show the number of images, and of those that were left out."""
        info = result.info[INFO_KEY]
        left_out = ", ".join(counted_as(n, reason) for reason, n in info["skipped"].items())
        classes = len(result.distinct(f"{info['label_field']}.label"))
        tags = result.count_sample_tags() if info["has_splits"] else {}
        parts = [f"{tag} {tags[tag]}" for tag in ("train", "val", "test") if tags.get(tag)]
        summary = (
            f"{result.name}: {counted(len(result), 'image')} in "
            f"{counted(classes, 'class', 'classes')}"
        )
        summary += f" ({', '.join(parts)})" if parts else ""
        if info.get("passed_over"):  # as the form said
            summary += f"; {_skipped_words(info['passed_over'])}"
        if left_out:
            summary += f"; files left out: {left_out}. The full list is in {info['report']}"
        return {"summary": summary, "dataset": result.name}


def _layout_inputs(ctx, inputs: types.Object) -> None:
    """Add fields for the sources of classes and splits."""
    for name, known, words in (
        ("label_from", LABEL_FROM, CLASSES),
        ("split_from", SPLIT_FROM, SPLITS),
        ("level", LEVELS, NESTED),
    ):
        shown = {AUTOMATIC: AS_FOUND, **{value: words[value] for value in known}}
        choice_input(inputs, name, shown, AUTOMATIC, LABELS[name])
        if name == "label_from":
            _source_inputs(ctx, inputs)
    words = "With lines such as 1 = Makino"
    path_input(ctx, inputs, "class_names", "", words, is_folder=False, required=False)
    words = "Patterns of names, separated by spaces"
    text_input(ctx, inputs, "skip", LABELS["skip"], "*_old.* copy_*", words)
    words = "Import masks of images too; otherwise they are left out"
    inputs.bool("keep_masks", default=False, label=LABELS["keep_masks"], description=words)


def _source_inputs(ctx, inputs: types.Object) -> None:
    """Add the fields that a pattern or table needs."""
    if ctx.params.get("label_from") == "pattern":
        words = "A regular expression with a group named label"
        text_input(ctx, inputs, "pattern", LABELS["pattern"], r"(?P<label>\d+)_\d+\.jpg$", words)
    if ctx.params.get("label_from") == "table":
        words = (
            "A CSV file with columns for images, classes and, perhaps, splits. Default: the one "
        )
        words += "in the folder"
        path_input(ctx, inputs, "table", "", words, is_folder=False, required=False)
        _column_inputs(ctx, inputs)


def _column_inputs(ctx, inputs: types.Object) -> None:
    """Add fields for the columns of the table, to be chosen from its headers."""
    path = os.path.abspath(os.path.expanduser(path_of(ctx.params["path"])))
    try:
        headers = headers_of(path, path_of(ctx.params.get("table")))
    except (ValueError, OSError):  # the plan shows the error
        return
    for name in COLUMNS:
        shown = {AUTOMATIC: AS_FOUND, **{header: header for header in headers}}
        choice_input(inputs, name, shown, AUTOMATIC, LABELS[name])


def _layout(params: dict) -> dict:
    """Return the arguments of `plan_import` that were filled in."""
    names = ("label_from", "split_from", "level", *COLUMNS)
    given = {name: params[name] for name in names if params.get(name) not in (None, AUTOMATIC)}
    for name in ("pattern", "table", "class_names"):
        if text := path_of(params.get(name)):
            given[name] = text
    if given.get("label_from") != "pattern":
        given.pop("pattern", None)
    if given.get("label_from") != "table":
        for name in ("table", *COLUMNS):
            given.pop(name, None)
    if skip := (params.get("skip") or "").split():
        given["skip"] = skip
    if params.get("keep_masks"):
        given["keep_masks"] = True
    return {"path": path_of(params["path"]), **given}


def _skipped_words(passed_over: Mapping[str, int]) -> str:
    over = [counted_as(n, reason) for reason, n in passed_over.items()]
    return f"skipped: {', '.join(over)}"


def _again_words(dataset: fo.Dataset, plan: Plan) -> str:
    """Describe what an import into a dataset that exists would do."""
    new, gone = count_new(dataset, plan)
    if not new:
        images = counted(len(plan.items), "image")
        words = f"{dataset.name!r} exists and has all {images} of this folder: none is added"
    else:
        files = counted(new, "file is new and is", "files are new and are")
        words = f"{dataset.name!r} exists: {files} added if they can be read"
        words = words.replace("they", "it") if new == 1 else words
    words += ". Samples that are there stay, with their labels and reviews"
    if gone and new:
        words += (
            f". The files of {counted(gone, 'sample')} no longer exist: the ones that were only "
            f"moved or renamed are recognized, and not added again"
        )
    return words


def _words(plan: Plan) -> str:
    """Format a plan as a Markdown table of counts by class and split."""
    counts = plan.counts()
    titles = [split or ("no split" if len(counts) > 1 else "images") for split in counts]
    classes = [*plan.classes, *([None] if any(None in own for own in counts.values()) else [])]
    lines = [
        f"{counted(len(plan.items), 'file')} in {counted(len(plan.classes), 'class', 'classes')}: "
        f"{markdown(str(plan.layout))}.",
        "",
        "| class | " + " | ".join(titles) + " |",
        "| --- |" + " --- |" * len(titles),
    ]
    for name in classes[:MOST_CLASSES]:
        cells = [str(own.get(name, 0)) for own in counts.values()]
        shown = "*unlabeled*" if name is None else markdown(name)
        lines.append(f"| {shown} | " + " | ".join(cells) + " |")
    if len(classes) > MOST_CLASSES:
        lines.append(f"| and {len(classes) - MOST_CLASSES} more | " + " | " * len(titles))
    out = [counted_as(n, reason) for reason, n in plan.reasons().items()]
    for words in plan.table_words:
        lines += ["", markdown(in_labels(f"{words}."))]
    if plan.passed_over:
        words = _skipped_words(plan.passed_over)
        lines += ["", markdown(f"{words[0].upper()}{words[1:]}.")]
    if out:
        lines += ["", markdown(f"Left out: {', '.join(out)}.")]
    return "\n".join(lines)
