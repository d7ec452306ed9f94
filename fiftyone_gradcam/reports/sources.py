"""Sections of a report about the data and the training."""

from __future__ import annotations

from ..progress import counted_as
from ..training.curves import kept_words
from .charts import training_charts
from .elements import MOST_CLASSES, count, missing, section, table
from .facts import Data, Training
from .html import Html, join, name_of, tag

NO_SPLIT = "none"


def data_section(data: Data) -> Html:
    """The section with samples, classes and splits, their source, and files that were left out."""
    words = f"{count(data.samples, 'sample')}, {count(len(data.counts), 'class', 'classes')}"
    parts = [tag("p", f"{words}; labels in the field ", tag("code", data.label_field), ".")]
    if data.unlabeled:
        parts.append(tag("p", f"{count(data.unlabeled, 'sample')} without a label."))
    if data.folder:
        parts.append(
            tag(
                "p",
                "Imported from ",
                name_of(data.folder),
                f" ({data.layout})." if data.layout else ".",
            )
        )
    else:
        parts.append(missing("Not imported by this plugin: no record of sources."))
    parts += _left_out(data)
    parts.append(tag("h3", "Classes and split"))
    parts.append(_class_table(data) if data.counts else missing("No sample has a label."))
    if not data.parts:
        parts.append(missing("There is no split: no sample is tagged train, val or test."))
    return section("data", "Data", *parts)


def _left_out(data: Data) -> list[Html]:
    parts = []
    if data.skipped:
        reasons = "; ".join(counted_as(number, why) for why, number in data.skipped.items())
        parts.append(tag("p", f"Skipped by the import: {reasons}."))
    if data.left_out:
        total = sum(data.left_out.values())
        reasons = "; ".join(f"{number:,} {why}" for why, number in data.left_out.items())
        parts.append(tag("p", f"{count(total, 'file')} left out by the import: {reasons}."))
        rows = [(name_of(name), why) for name, why in data.left_out_files]
        parts.append(table([("File", False), ("Reason", False)], rows))
        if total > len(rows):
            parts.append(tag("p", f"and {total - len(rows):,} more.", class_="soft"))
    elif data.left_out is not None:
        other = "other " if data.skipped else ""
        parts.append(tag("p", f"The import left out no {other}files."))
    if data.equal:
        words = f"{count(data.equal, 'group')} of identical files"
        if data.contradictions:
            words += f", {data.contradictions:,} of them with different labels"
        parts.append(tag("p", f"{words}."))
    return parts


def _class_table(data: Data) -> Html:
    names = [*data.parts, *([""] if any("" in row for row in data.counts.values()) else [])]
    if not data.parts:
        names = []
    ordered = sorted(data.counts.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    most = max(sum(row.values()) for row in data.counts.values())
    rows = [
        (
            name_of(name),
            *(f"{row.get(part, 0):,}" for part in names),
            f"{sum(row.values()):,}",
            tag(
                "div", tag("i", style=f"width:{100 * sum(row.values()) / most:.1f}%"), class_="bar"
            ),
        )
        for name, row in ordered[:MOST_CLASSES]
    ]
    if len(ordered) > 1:
        sums = [sum(row.get(part, 0) for row in data.counts.values()) for part in names]
        total = sum(sum(row.values()) for row in data.counts.values())
        rows.append(("all classes", *(f"{x:,}" for x in sums), f"{total:,}", ""))
    columns = [("Class", False), *((part or NO_SPLIT, True) for part in names), ("Samples", True)]
    parts = [table([*columns, ("", False)], rows)]
    if len(ordered) > MOST_CLASSES:
        words = f"The {MOST_CLASSES} largest of {len(ordered):,} classes are listed."
        parts.append(tag("p", words, class_="soft"))
    return join(*parts)


def training_section(training: Training | None) -> Html:
    """The section with the run, its recipe, findings and curves."""
    if training is None:
        text = "There is no training run yet: call fine_tune(), or press Train in the App."
        return section("training", "Training", missing(text))
    when = f", {training.trained[:16].replace('T', ' ')} UTC" if training.trained else ""
    parts = [
        tag(
            "p",
            "Run ",
            tag("b", training.key),
            f"{when}: {training.recipe.get('backbone')}, "
            f"{count(training.classes, 'class', 'classes')}.",
        )
    ]
    done = [row for row in training.history if row["epoch"] > 0]
    if done:
        kept = kept_words(training.best_epoch)
        words = f"{count(len(done), 'epoch')}; the best weights are those of {kept}"
        if training.val_accuracy is not None:
            words += f", validation accuracy {training.val_accuracy:.1%}"
            if training.val_images:
                words += f" on {count(training.val_images, 'image')}"
        parts.append(tag("p", f"{words}."))
    if training.corrected:
        words = count(training.corrected, "label was corrected", "labels were corrected")
        words += " since this run was trained"
        if training.retrained is None:
            words += ": retrain() repeats it with the current labels."
        else:
            words += f"; the run {training.retrained!r} was trained on the corrected labels."
        parts.append(tag("p", tag("b", "Note: "), words, class_="note"))
    for finding in training.findings:
        word = "Warning" if finding.get("severity") == "warning" else "Note"
        parts.append(tag("p", tag("b", f"{word}: "), finding.get("message"), class_="note"))
    charts = training_charts(training.history, training.validations, training.best_epoch)
    parts.append(tag("h3", "Curves"))
    if charts:
        parts.append(tag("div", *charts, class_="charts"))
    else:
        parts.append(
            missing("No curves: the weights came from a file, without a record of epochs.")
        )
    parts.append(tag("h3", "Recipe"))
    parts.append(
        tag(
            "dl",
            *(
                tag("div", tag("dt", name), tag("dd", _choice(value)))
                for name, value in training.recipe.items()
                if value is not None
            ),
        )
    )
    if training.others:
        parts.append(tag("p", "Other runs: ", ", ".join(training.others), ".", class_="soft"))
    return section("training", "Training", *parts)


def _choice(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
