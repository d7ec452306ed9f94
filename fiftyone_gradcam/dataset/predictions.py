"""How predictions and heatmaps are stored: fields declared once, values written in bulk."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field
from functools import cache

import fiftyone as fo
import numpy as np
from bson import SON, Binary, ObjectId
from fiftyone.core.utils import serialize_numpy_array

from ..explain.methods import METHODS
from ..explain.render import HeatmapOptions
from ..explain.signed import AGAINST
from ..review.scores import Scores
from .fields import OWNER, check_writable, describe_field, field_info, index
from .files import heatmap_folder, remove_heatmap_files
from .runs import Run

PREDICTION_ATTRIBUTES = ("label_score", "margin", "entropy")
HEATMAP_ATTRIBUTES = {
    "target": fo.StringField,
    "method": fo.StringField,
    "layer": fo.StringField,
    "peak": fo.FloatField,
    "focus": fo.FloatField,
    "centroid": fo.ListField,
    "border": fo.FloatField,
}
WORDS = {
    "predicted": "the predicted class",
    "label": "the sample's own label",
    "runner_up": "the second most probable class",
    "contrast": "the predicted class minus that of the sample's own label",
}
FLUSH_SAMPLES = 128


@dataclass
class PredictionWriter:
    """Stores what a run says of samples, and the heatmaps of why.

    Args:
        dataset: where to
        run: what predicts
        prediction_field: field for the predictions; scores go to `<field>_scores`
        heatmap_fields: field for each kind of heatmap ("predicted", "label", "runner_up",
            "contrast", "class:<name>", and of signed ones "against:<kind>")
        label_field: field of the samples' own labels, for the record
        options: how the heatmaps are made
        overwrite: also replace fields that this plugin did not write

    Raises:
        ValueError: if a field is taken or cannot be stored under its name
    """

    dataset: fo.Dataset
    run: Run
    prediction_field: str
    heatmap_fields: dict[str, str]
    label_field: str
    options: HeatmapOptions
    overwrite: bool = False
    maps: dict[str, int] = field(default_factory=dict, init=False)
    zero_maps: dict[str, int] = field(default_factory=dict, init=False)
    _values: dict[str, dict] = field(default_factory=dict, init=False)
    _declared: bool = field(default=False, init=False)
    _done: int = field(default=0, init=False)
    _stored_files: set[str] = field(default_factory=set, init=False)

    def __post_init__(self):
        # A new name for each pass, or the browser would go on showing the pictures it knows.
        self._stamp = uuid.uuid4().hex[:8]
        kinds = {
            self.prediction_field: fo.Classification,
            self.scores_field: None,
            **dict.fromkeys(self.heatmap_fields.values(), fo.Heatmap),
        }
        if len(kinds) < 2 + len(self.heatmap_fields):
            raise ValueError(f"Fields must have different names, not {', '.join(kinds)}")
        check_writable(self.dataset, kinds, self.overwrite)
        self._facts = self._describe()
        self._replaced = [name for name in kinds if self._is_another(name)]

    @property
    def layer(self) -> str:
        """Where the target tensor is taken."""
        return self.options.layer or self.run.layer

    @property
    def scores_field(self) -> str:
        """The field of all class probabilities."""
        return f"{self.prediction_field}_scores"

    def heatmap_path(self, kind: str, sample_id: str) -> str:
        """Where the heatmap file of a sample goes."""
        folder = heatmap_folder(self.dataset, self.heatmap_fields[kind])
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, f"{sample_id}-{self._stamp}.png")

    @property
    def has_predictions(self) -> bool:
        """Whether any sample of the pass has a prediction."""
        return self._done > 0

    def check_others(self, ids: list[str]) -> None:
        """Refuse to delete what another run has said of other samples than these.

        A field holds values of one run, made alike.

        Raises:
            ValueError: if there are such, and `overwrite` is false
        """
        for name in () if self.overwrite else self._replaced:
            count = len(set(self.dataset.exists(name).values("id")) - set(ids))
            if count:
                owner = field_info(self.dataset, name).get("run")
                how = ", trained or used otherwise," if owner == self.run.key else ""
                raise ValueError(
                    f"Field {name!r} holds what run {owner!r}{how} says of {count} samples that "
                    f"are not among these. Choose another name, or pass overwrite=True to delete "
                    f"it there"
                )

    def resume(self, ids: list[str], labels: np.ndarray) -> list[int]:
        """Go on with a pass; returns the positions of samples that lack anything.

        Args:
            ids: the samples
            labels: (N,) indexes of their own classes, -1 where there is none
        """
        known = self.dataset.get_field_schema()
        is_theirs = any(n in known and not field_info(self.dataset, n) for n in self._facts)
        # Nothing of this pass is there; or its maps share one scale, and are made together.
        if is_theirs or self._replaced or self.options.scale == "run":
            return list(range(len(ids)))
        left = self._lacking(ids, labels)
        self._done = len(ids) - len(left)
        return left

    def _lacking(self, ids: list[str], labels: np.ndarray) -> list[int]:
        """Positions of samples without a prediction, or without a heatmap that is due."""
        dataset = self.dataset
        if dataset.get_field(self.prediction_field) is None:
            return list(range(len(ids)))
        rows = dataset.values(["id", f"{self.prediction_field}.label"])
        predicted = {sample_id: label for sample_id, label in zip(*rows, strict=True) if label}
        maps = {
            kind: set(dataset.exists(name).values("id")) if dataset.get_field(name) else set()
            for kind, name in self.heatmap_fields.items()
        }

        def is_due(kind: str, sample_id: str, own: int) -> bool:
            kind = kind.removeprefix(AGAINST)
            if kind not in ("label", "contrast"):
                return True
            differs = own >= 0 and self.run.classes[own] != predicted[sample_id]
            return own >= 0 if kind == "label" else differs

        return [
            position
            for position, (sample_id, own) in enumerate(zip(ids, labels, strict=True))
            if sample_id not in predicted
            or any(
                is_due(kind, sample_id, own) and sample_id not in found
                for kind, found in maps.items()
            )
        ]

    def add_predictions(self, ids: list[str], logits: np.ndarray, found: Scores) -> None:
        """Store predictions of some samples: logits (N, K) and their scores."""
        self._done += len(ids)
        for row, sample_id in enumerate(ids):
            own = found.label_score[row]
            self._set(
                self.prediction_field,
                sample_id,
                _document(
                    fo.Classification,
                    label=self.run.classes[found.predicted[row]],
                    confidence=float(found.confidence[row]),
                    logits=logits[row],
                    label_score=None if np.isnan(own) else float(own),
                    margin=float(found.margin[row]),
                    entropy=float(found.entropy[row]),
                ),
            )
            self._set(self.scores_field, sample_id, found.probabilities[row].tolist())

    def add_heatmap(self, kind: str, sample_id: str, **attributes) -> None:
        """Store the heatmap of a sample: map or map_path, target, and its measures."""
        self.maps[kind] = self.maps.get(kind, 0) + 1
        if attributes["peak"] == 0:
            self.zero_maps[kind] = self.zero_maps.get(kind, 0) + 1
        heatmap = _document(fo.Heatmap, method=self.options.method, layer=self.layer, **attributes)
        self._set(self.heatmap_fields[kind], sample_id, heatmap)

    def add_no_heatmap(self, kind: str, sample_id: str) -> None:
        """Take an earlier heatmap of a sample away."""
        self._set(self.heatmap_fields[kind], sample_id, None)

    def clear(self, ids: list[str]) -> None:
        """Take away what earlier passes stored for samples that have no prediction now."""
        for name in (self.prediction_field, self.scores_field, *self.heatmap_fields.values()):
            for sample_id in ids:
                self._set(name, sample_id, None)

    def _set(self, name: str, sample_id: str, value) -> None:
        self._values.setdefault(name, {})[sample_id] = value

    def flush_if_full(self) -> None:
        """Write when enough has been added to be worth it."""
        if max(map(len, self._values.values()), default=0) >= FLUSH_SAMPLES:
            self.flush()

    def flush(self) -> None:
        """Write what was added since the last time, and delete the files it replaces."""
        self._declare()
        # Predictions go last: a sample that has one has all the rest, whenever the process ends.
        names = sorted(self._values, key=lambda name: name == self.prediction_field)
        for name in names:
            values = self._values[name]
            replaced = []
            if name in self.heatmap_fields.values():
                view = self.dataset.select(list(values))
                replaced = view.values(f"{name}.map_path")
            self.dataset.set_values(name, values, key_field="id", validate=False)
            remove_heatmap_files(self.dataset, replaced)
            if name in self.heatmap_fields.values():
                self._stored_files.update(v.get("map_path") for v in values.values() if v)
        self._values.clear()

    def abandon(self) -> None:
        """Delete the heatmap files of this pass that no sample refers to, when it is cut short."""
        for name in self.heatmap_fields.values():
            folder = heatmap_folder(self.dataset, name)
            for file in os.listdir(folder) if os.path.isdir(folder) else ():
                path = os.path.join(folder, file)
                if self._stamp in file and path not in self._stored_files:
                    os.unlink(path)

    def keep_part(self, ids: list[str], labels: np.ndarray) -> int:
        """End a pass that was cut short in good order: write what was added, and let the fields
        say that they hold a part. Returns of how many samples all is there.

        Args:
            ids, labels: of all samples of the pass; see `resume`
        """
        done = self._done
        if done:
            self.flush()
            if self.options.scale != "run":
                done = len(ids) - len(self._lacking(ids, labels))
            part = {"samples": done, "of": len(ids)}
            for name, (words, facts) in self._facts.items():
                partly = f"{words} (a part: {done} of {len(ids)} samples)"
                describe_field(self.dataset, name, partly, **facts, partial=part)
        self.abandon()
        return done

    def _declare(self) -> None:
        if self._declared:
            return
        self._declared = True
        dataset = self.dataset
        for name in self._replaced:
            if name in self.heatmap_fields.values():
                remove_heatmap_files(dataset, dataset.values(f"{name}.map_path"))
            dataset.clear_sample_field(name)
        _declare_label(
            dataset,
            self.prediction_field,
            fo.Classification,
            dict.fromkeys(PREDICTION_ATTRIBUTES, fo.FloatField),
        )
        dataset.add_sample_field(self.scores_field, fo.ListField, subfield=fo.FloatField)
        for name in self.heatmap_fields.values():
            _declare_label(dataset, name, fo.Heatmap, HEATMAP_ATTRIBUTES)
        for name, (words, facts) in self._facts.items():
            describe_field(dataset, name, words, **facts)
        index(dataset, [f"{self.prediction_field}.{name}" for name in ("label", "label_score")])
        if dataset.get_field(self.label_field) is not None:
            index(dataset, [f"{self.label_field}.label"])

    def _is_another(self, name: str) -> bool:
        """Whether a field of this plugin holds values of another run, or made otherwise."""
        info = field_info(self.dataset, name)
        info.pop("partial", None)
        return bool(info) and info != {"written_by": OWNER, **self._facts[name][1]}

    def _describe(self) -> dict[str, tuple[str, dict]]:
        """What is stored with each field, in words and as facts."""
        run = self.run
        facts = {"run": run.key, "version": run.version, "classes": list(run.classes)}
        facts["label_field"] = self.label_field
        order = f"Class probabilities of run {run.key!r}, in the order of its classes"
        found = {
            self.prediction_field: (f"Predictions of run {run.key!r}", facts),
            self.scores_field: (order, facts),
        }
        how = {"heatmap": {**self.options.to_dict(), "layer": self.layer}}
        title = METHODS[self.options.method].title
        for kind, name in self.heatmap_fields.items():
            of = kind.removeprefix(AGAINST)
            words = WORDS.get(of) or f"the class {of.removeprefix('class:')!r}"
            sign = "what speaks against " if of != kind else ""
            text = f"{title} of {sign}{words}, run {run.key!r}"
            made_with = {"kind": kind, "prediction_field": self.prediction_field}
            if against := self.heatmap_fields.get(AGAINST + kind):
                made_with["against"] = against
            found[name] = (text, {**made_with, **facts, **how})
        return found


@cache
def _empty(kind: type) -> dict:
    return kind().to_dict()


def _document(kind: type[fo.Label], **values) -> SON:
    """A label as FiftyOne stores it, without the cost of building the label first, which is more
    than that of everything else that is done for an image here."""
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            values[name] = Binary(serialize_numpy_array(value))
    return SON({**_empty(kind), "_id": ObjectId(), "tags": [], **values})


def _declare_label(dataset: fo.Dataset, name: str, kind: type, attributes: dict) -> None:
    dataset.add_sample_field(name, fo.EmbeddedDocumentField, embedded_doc_type=kind)
    for attribute, field_type in attributes.items():
        dataset.add_sample_field(f"{name}.{attribute}", field_type)
