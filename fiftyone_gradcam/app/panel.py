"""The panel "Grad-CAM classifier": where the dataset stands, and what to do next."""

from __future__ import annotations

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ..dataset.fields import OWNER, classification_fields, field_info
from ..dataset.runs import list_runs

COLUMNS = {
    "key": "Run",
    "backbone": "Backbone",
    "classes": "Classes",
    "val_accuracy": "Val accuracy",
    "trained": "Trained (UTC)",
}


class ClassifierPanel(foo.Panel):
    """Shows the next step and the trained runs."""

    @property
    def config(self) -> foo.PanelConfig:
        """How FiftyOne lists the panel."""
        return foo.PanelConfig(
            name="classifier",
            label="Grad-CAM classifier",
            icon="model_training",
            surfaces="grid",
            help_markdown="Train classifiers, see where they look, and find wrong labels",
        )

    def on_load(self, ctx) -> None:
        """Read the dataset."""
        self._read(ctx)

    def on_change_dataset(self, ctx) -> None:
        """Read the new dataset."""
        self._read(ctx)

    def on_refresh(self, ctx) -> None:
        """Read the dataset again."""
        self._read(ctx)

    def on_next(self, ctx) -> None:
        """Open the form of the next step."""
        ctx.prompt(f"{OWNER}/{next_step(ctx.dataset)[0]}")

    def _read(self, ctx) -> None:
        if ctx.dataset is None:
            return
        ctx.dataset.reload()
        ctx.panel.state.next = list(next_step(ctx.dataset))
        ctx.panel.state.runs = describe_runs(ctx.dataset)

    def render(self, ctx) -> types.Property:
        """Draw it."""
        panel = types.Object()
        step = ctx.panel.state.next
        if not step:
            panel.md("Open a dataset to begin.", name="empty")
            return types.Property(panel, view=types.GridView(gap=2, px=3, py=2))
        _, label, words = step
        panel.md(f"**Next:** {words}", name="words")
        buttons = panel.h_stack("buttons", gap=2)
        buttons.btn("next", label=label, on_click=self.on_next, variant="contained")
        buttons.btn("refresh", label="Refresh", on_click=self.on_refresh, variant="outlined")
        if ctx.panel.state.runs:
            table = types.TableView()
            for key, title in COLUMNS.items():
                table.add_column(key, label=title)
            panel.list("runs", types.Object(), view=table, label="Runs")
        return types.Property(panel, view=types.GridView(gap=2, px=3, py=2))


def next_step(dataset: fo.Dataset) -> tuple[str, str, str]:
    """The verb to call next, the label of its button, and why; from stored facts alone."""
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


def describe_runs(dataset: fo.Dataset) -> list[dict[str, str]]:
    """A row of the table for each training, newest first."""
    rows = []
    for key in reversed(list_runs(dataset)):
        info = dataset.get_run_info(key)
        config, accuracy = info.config, info.config.val_accuracy
        rows.append(
            {
                "key": key,
                "backbone": config.recipe["backbone"],
                "classes": str(len(config.classes)),
                "val_accuracy": "not watched" if accuracy is None else f"{accuracy:.3f}",
                "trained": f"{info.timestamp:%d %b %H:%M}",
            }
        )
    return rows
