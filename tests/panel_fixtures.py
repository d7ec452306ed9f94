"""The panel without a browser, and jobs that nobody does, for tests that have a `dataset`."""

from __future__ import annotations

import pytest


@pytest.fixture
def panel(monkeypatch):
    """The panel; it starts no measurement of a training, which other tests would find."""
    from fiftyone_gradcam.app.operators import training_time
    from fiftyone_gradcam.app.panels.classifier import ClassifierPanel

    monkeypatch.setattr(training_time, "measured", lambda *_, **__: None)
    return ClassifierPanel()


@pytest.fixture
def service():
    """FiftyOne's delegated operations."""
    from fiftyone.operators.delegated import DelegatedOperationService

    return DelegatedOperationService()


@pytest.fixture
def submit(dataset, monkeypatch):
    """Queue a job of the test's `dataset`; see `panel_contexts.submitting`."""
    from panel_contexts import submitting

    yield from submitting(dataset, monkeypatch)
