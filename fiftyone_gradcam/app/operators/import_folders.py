"""Import labelled folders."""

from __future__ import annotations

import os
import re
import time
from urllib.parse import quote

import fiftyone as fo
from fiftyone.operators import types

from ...dataset.import_record import INFO_KEY
from ...dataset.importing import check_target
from ...dataset.names import name_for
from ...dataset.writing import import_lock
from ...explain.overlay import sheet
from ...folders.at_hand import headers_of
from ...folders.layout import LABEL_FROM, LEVELS, SPLIT_FROM
from ...folders.plan import Plan
from ...folders.planning import plan_import
from ...images.decode import ImageError, decode
from ...locks import own_folder
from ..texts import markdown
from .forms import AUTOMATIC, choice_input, more, refuse, tell
from .verb import Verb

LABELS = {
    "folder": "the folder's name",
    "file name": "the file's name, before its number (apple_12.jpg)",
    "pattern": "a pattern in the path",
    "table": "a table (CSV)",
    "nothing": "nowhere: the images are unlabelled",
}
SPLITS = {
    "outer folder": "folders around the classes (train/cat/1.jpg)",
    "inner folder": "folders in the classes (cat/train/1.jpg)",
    "nothing": "nowhere",
}
NESTED = {
    "first": "the first (cat)",
    "last": "the last (siamese)",
    "joined": "all, joined (cat/siamese)",
}
PLACES = {
    "label_from": "The class stands in",
    "split_from": "The split stands in",
    "level": "Of nested folders (cat/siamese), the class is",
}
TEXTS = ("pattern", "table", "class_names")
COLUMNS = {
    "image_column": "Column of the images",
    "label_column": "Column of the classes",
    "split_column": "Column of the splits",
}
MOST_CLASSES = 12  # rows of the table
EXAMPLES, EXAMPLE_CLASSES, EXAMPLE_PIXELS = 3, 8, 96
KEEP_SECONDS = 20.0  # a plan, while its form is filled in
_plans: dict[tuple, tuple[float, Plan, str | None]] = {}


class ImportFolders(Verb):
    """`import_folders` as an operator."""

    verb = "import_folders"
    label = "Import labelled folders"
    icon = "create_new_folder"
    description = "Make a dataset of a folder of labelled images"
    needs_dataset = False

    def form(self, ctx, inputs: types.Object) -> None:
        """Folder, and what would be made of it; its layout can be changed."""
        inputs.str(
            "path",
            required=True,
            label="Folder",
            description="Path of a folder of images, on the machine that runs the App",
        )
        params = ctx.params
        if not params.get("path"):
            return
        is_changed = more(ctx, inputs, "layout", "Change the layout")
        if is_changed:
            _layout_inputs(ctx, inputs)
        try:
            plan, examples = _plan(_layout(params))
            plan.check()
        except (ValueError, OSError) as error:
            refuse(inputs, "no_plan", _in_labels(str(error)))
            return
        inputs.md(_words(plan), name="plan")
        if examples:
            inputs.md(f"![Some images of each class]({examples})", name="examples")
        for number, warning in enumerate(plan.warnings):
            tell(inputs, f"warning_{number}", _in_labels(warning), types.Warning)
        default = name_for(plan.root)
        inputs.str(
            "name",
            label="Name of the dataset",
            view=types.TextFieldView(placeholder=default),
        )
        if default != (folder := os.path.basename(plan.root)):
            about = f"The folder's own name is {folder!r}; the dataset is called {default!r}"
            tell(inputs, "own_name", about)
        if more(ctx, inputs):
            inputs.str("label_field", default="ground_truth", label="Label field")
            inputs.bool(
                "keep_truncated",
                default=False,
                label="Import truncated files too",
                description="They are used as far as they go, and tagged",
            )
            inputs.int(
                "max_pixels",
                min=1,
                label="Largest image",
                description="Width x height in pixels (max_pixels). Default: 178956970",
            )
            inputs.bool(
                "overwrite",
                default=False,
                label="Replace a dataset of this name",
                description="Otherwise only new images are added to it",
            )
        given = self.arguments(ctx)
        try:
            name = given["name"] or default
            check_target(name, plan.root, given["label_field"], given["overwrite"])
            if fo.dataset_exists(name) and not given["overwrite"]:
                about = f"{name!r} exists: images that are new are added to it"
                tell(inputs, "exists", about)
        except ValueError as error:
            refuse(inputs, "taken", str(error))

    def arguments(self, ctx) -> dict:
        """As filled in."""
        params = ctx.params
        return {
            **_layout(params),
            "name": params.get("name") or None,
            "label_field": params.get("label_field") or "ground_truth",
            "keep_truncated": bool(params.get("keep_truncated")),
            "max_pixels": params.get("max_pixels") or None,
            "overwrite": bool(params.get("overwrite")),
        }

    def job_label(self, given: dict) -> str:
        """Names the folder."""
        return f"Import {os.path.basename(os.path.abspath(given['path'])) or given['path']!r}"

    def target(self, given: dict) -> str:
        """The dataset that the images go into."""
        name = given.get("name") or name_for(os.path.abspath(os.path.expanduser(given["path"])))
        return import_lock(name)

    def outcome(self, result, given: dict) -> dict:
        """How many there are, and how many were left out."""
        info = result.info[INFO_KEY]
        left_out = ", ".join(f"{count} {reason}" for reason, count in info["skipped"].items())
        classes = len(result.distinct(f"{info['label_field']}.label"))
        tags = result.count_sample_tags() if info["has_splits"] else {}
        parts = [f"{tag} {tags[tag]}" for tag in ("train", "val", "test") if tags.get(tag)]
        summary = f"{result.name}: {len(result)} images in {classes} classes"
        summary += f" ({', '.join(parts)})" if parts else ""
        if left_out:
            summary += f"; files left out: {left_out}. All of them are named in {info['report']}"
        return {"summary": summary, "dataset": result.name}


def _layout_inputs(ctx, inputs: types.Object) -> None:
    """Where classes and splits stand."""
    for name, known, words, label in (
        ("label_from", LABEL_FROM, LABELS, PLACES["label_from"]),
        ("split_from", SPLIT_FROM, SPLITS, PLACES["split_from"]),
        ("level", LEVELS, NESTED, PLACES["level"]),
    ):
        shown = {AUTOMATIC: "as it looks", **{value: words[value] for value in known}}
        choice_input(inputs, name, shown, AUTOMATIC, label, required=False)
    if ctx.params.get("label_from") == "pattern":
        inputs.str(
            "pattern",
            label="Pattern",
            description=r"A regular expression with a group named label, such as "
            r"(?P<label>\d+)_\d+\.jpg$",
        )
    if ctx.params.get("label_from") == "table":
        inputs.str(
            "table",
            label="Table",
            description="Path of a CSV file with columns for images, classes and, perhaps, "
            "splits. Default: the one in the folder",
        )
        _column_inputs(ctx, inputs)
    inputs.str(
        "class_names",
        label="File of class names",
        description="Path of a file with lines such as 1 = Makino",
    )
    inputs.str(
        "skip",
        label="Pass over",
        description="Patterns of names, parted by spaces, such as `*_old.*`",
    )
    inputs.bool(
        "keep_masks",
        default=False,
        label="Keep masks",
        description="Import masks of images too; otherwise they are left out",
    )


def _column_inputs(ctx, inputs: types.Object) -> None:
    """Which columns of the table are which, to be chosen from its own headers."""
    path = os.path.abspath(os.path.expanduser(ctx.params["path"]))
    try:
        headers = headers_of(path, (ctx.params.get("table") or "").strip())
    except (ValueError, OSError):  # the plan says why
        return
    for name, label in COLUMNS.items():
        shown = {AUTOMATIC: "as it looks", **{header: header for header in headers}}
        choice_input(inputs, name, shown, AUTOMATIC, label, required=False)


def _in_labels(text: str) -> str:
    """A text that names arguments, with the labels of this form instead."""
    for name, label in {**PLACES, **COLUMNS, "class_names": "File of class names"}.items():
        text = re.sub(rf"\b{name}='(\w+)'", rf"“{label}” set to “\1”", text)
        text = re.sub(rf"\b{name}\b", f"“{label}”", text)
    return text.replace("pass keep_masks=True", "choose “Keep masks”")


def _layout(params: dict) -> dict:
    """The arguments of `plan_import` that were filled in."""
    names = ("label_from", "split_from", "level", *COLUMNS)
    given = {name: params[name] for name in names if params.get(name) not in (None, AUTOMATIC)}
    given |= {name: params[name].strip() for name in TEXTS if (params.get(name) or "").strip()}
    if given.get("label_from") != "pattern":
        given.pop("pattern", None)
    if given.get("label_from") != "table":
        for name in ("table", *COLUMNS):
            given.pop(name, None)
    if skip := (params.get("skip") or "").split():
        given["skip"] = skip
    if params.get("keep_masks"):
        given["keep_masks"] = True
    return {"path": params["path"], **given}


def _plan(given: dict) -> tuple[Plan, str | None]:
    """A plan, and the address of a picture of some of its images.

    They are kept for a while, for the form is built anew at each key that is pressed.
    """
    key = tuple((name, str(value)) for name, value in given.items())
    if key not in _plans or time.monotonic() - _plans[key][0] > KEEP_SECONDS:
        plan = plan_import(**given)
        _plans.clear()
        _plans[key] = (time.monotonic(), plan, _examples(plan))
    return _plans[key][1:]


def _examples(plan: Plan) -> str | None:
    """The address of a picture of some images of each class; None if none can be read."""
    pictures, captions = [], []
    for name, paths in list(plan.examples(EXAMPLES).items())[:EXAMPLE_CLASSES]:
        for path in paths:
            try:
                pictures.append(decode(path, at_least=EXAMPLE_PIXELS).image)
            except ImageError:
                continue
            captions.append(name)
    if not pictures:
        return None
    path = os.path.join(own_folder(), "import.jpg")
    sheet(pictures, captions, columns=2 * EXAMPLES, cell=EXAMPLE_PIXELS).save(path, quality=85)
    return f"/media?filepath={quote(path)}&of={time.time():.0f}"


def _words(plan: Plan) -> str:
    """A plan as Markdown: a table of counts by class and split."""
    counts = plan.counts()
    titles = [split or ("no split" if len(counts) > 1 else "images") for split in counts]
    classes = [*plan.classes, *([None] if any(None in own for own in counts.values()) else [])]
    lines = [
        f"{len(plan.items)} files in {len(plan.classes)} classes: {markdown(str(plan.layout))}.",
        "",
        "| class | " + " | ".join(titles) + " |",
        "| --- |" + " --- |" * len(titles),
    ]
    for name in classes[:MOST_CLASSES]:
        cells = [str(own.get(name, 0)) for own in counts.values()]
        shown = "*unlabelled*" if name is None else markdown(name)
        lines.append(f"| {shown} | " + " | ".join(cells) + " |")
    if len(classes) > MOST_CLASSES:
        lines.append(f"| and {len(classes) - MOST_CLASSES} more | " + " | " * len(titles))
    over = [f"{count} {reason}" for reason, count in plan.passed_over.items()]
    out = [f"{count} {reason}" for reason, count in plan.reasons().items()]
    for words in plan.table_words:
        lines += ["", markdown(f"{_in_labels(words)}.")]
    if over:
        lines += ["", markdown(f"Passed over: {', '.join(over)}.")]
    if out:
        lines += ["", markdown(f"Left out: {', '.join(out)}.")]
    return "\n".join(lines)
