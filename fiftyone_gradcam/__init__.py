"""Train image classifiers in FiftyOne, see where they look, and find wrong labels.

Public names are imported when they are first used, so that importing the package is fast.
"""

import sys
from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

_HOMES = {
    "CancelledError": "progress",
    **dict.fromkeys(("Job", "JobError", "load_job"), "jobs.job"),
    "list_jobs": "jobs.queue",
    "import_folders": "workflow.importing",
    "plan_import": "folders.planning",
    **dict.fromkeys(("relocate", "Relocated"), "workflow.relocating"),
    "split": "workflow.splitting",
    "preview_augmentation": "workflow.augmentation",
    "describe": "model.description",
    "Network": "model.network",
    "find_learning_rate": "workflow.learning_rate",
    "sanity_check": "workflow.sanity",
    "fine_tune": "workflow.training",
    "Recipe": "training.recipe",
    "predict": "workflow.predicting",
    "export_folders": "workflow.exporting_folders",
    **dict.fromkeys(("export_overlays", "mean_heatmaps"), "workflow.exporting"),
    "explanation_quality": "workflow.faithfulness",
    "explain_sample": "workflow.explaining",
    "find_anomalies": "workflow.finding_anomalies",
    "find_label_issues": "workflow.reviewing",
    "find_leaks": "workflow.finding_leaks",
    "compute_embeddings": "workflow.embedding",
    "show_embeddings": "workflow.showing_embeddings",
    **dict.fromkeys(("compare_runs", "Comparison"), "workflow.comparing"),
    "retrain": "workflow.retraining",
    **dict.fromkeys(("evaluate", "Evaluation"), "workflow.evaluating"),
    "save_views": "workflow.saving_views",
    "report": "workflow.reporting",
    **dict.fromkeys(("review", "undo_review"), "workflow.deciding"),
    **dict.fromkeys(("list_reviews", "export_reviews"), "workflow.listing_reviews"),
    **dict.fromkeys(("lowest_scores", "highest_scores", "mistakes"), "dataset.views"),
    **dict.fromkeys(("Run", "load_run", "list_runs"), "dataset.runs"),
    "export_run": "workflow.exporting_runs",
    "import_run": "workflow.importing_runs",
    "rename_run": "workflow.renaming",
    "delete_run": "workflow.deleting",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 (resolved by __getattr__)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


class _Package(ModuleType):
    """Keep public functions when Python sets a subpackage of the same name, such as `review`, as an
    attribute."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
