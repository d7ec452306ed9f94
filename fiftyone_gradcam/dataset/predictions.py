"""Store predictions and heatmaps: declare the fields once, and write the values in bulk."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field

import fiftyone as fo
import numpy as np

from ..explain.render import HeatmapOptions
from ..review.scores import Scores
from .documents import document
from .fields import check_writable, field_info, index, label_fields, label_path
from .files import claim_folder, heatmap_folder, remove_heatmap_files
from .prediction_fields import declared_fields, lacking
from .run import Pretrained, Run
from .spool import Spool, make_header, spools
from .storing import declare_all, describe, is_other, write_rows
from .tidying import remove_leftovers

FLUSH_SAMPLES = 128


@dataclass
class PredictionWriter:
    """Store the predictions and heatmaps of a run.

    Args:
        dataset: the dataset to write to
        run: the run that predicts
        prediction_field: field for the predictions; all probabilities go to `<field>_scores`
        heatmap_fields: field for each kind of heatmap ("predicted", "label", "runner_up",
            "contrast", "class:<name>", and for signed heatmaps also "against:<kind>")
        label_field: field of the samples' own labels, stored as a fact
        options: options of the heatmaps
        ids, labels: ids of the N samples of the pass, and (N,) class indexes of their labels, -1
            for none
        overwrite: also replace values of fields that this plugin did not write

    Raises:
        ValueError: if a field name is invalid, or the field holds other values
    """

    dataset: fo.Dataset
    run: Run
    prediction_field: str
    heatmap_fields: dict[str, str]
    label_field: str
    options: HeatmapOptions
    ids: list[str]
    labels: np.ndarray
    overwrite: bool = False
    maps: dict[str, int] = field(default_factory=dict, init=False)
    zero_maps: dict[str, int] = field(default_factory=dict, init=False)
    _rows: dict[str, dict] = field(default_factory=dict, init=False)
    _has_started: bool = field(default=False, init=False)
    _done: int = field(default=0, init=False)
    _spool: Spool | None = field(default=None, init=False)

    def __post_init__(self):
        # File names are new for each pass; otherwise the browser would show cached heatmaps.
        self._stamp = uuid.uuid4().hex[:8]
        kinds = {
            self.prediction_field: fo.Classification,
            self.scores_field: None,
            **dict.fromkeys(self.heatmap_fields.values(), fo.Heatmap),
        }
        if len(kinds) < 2 + len(self.heatmap_fields):
            raise ValueError(f"Fields must have different names, not {', '.join(kinds)}")
        check_writable(self.dataset, kinds, self.overwrite)
        self._fields = declared_fields(
            self.run,
            self.prediction_field,
            self.scores_field,
            self.heatmap_fields,
            self.label_field,
            self.options,
            self.layer,
        )
        self._replaced = [n for n, one in self._fields.items() if is_other(self.dataset, n, one)]

    @property
    def layer(self) -> str:
        """The layer that the heatmaps are computed at."""
        return self.options.layer or self.run.layer

    @property
    def scores_field(self) -> str:
        """The field of the probabilities of all classes."""
        return f"{self.prediction_field}_scores"

    @property
    def replaces(self) -> bool:
        """Whether the fields hold other values, which are kept until all new ones are complete."""
        return bool(self._replaced)

    def heatmap_path(self, kind: str, sample_id: str) -> str:
        """Return the path for the heatmap file of a sample."""
        folder = heatmap_folder(self.dataset, self.heatmap_fields[kind])
        return os.path.join(folder, f"{sample_id}-{self._stamp}.png")

    @property
    def has_predictions(self) -> bool:
        """Whether any sample of the pass has a prediction."""
        return self._done > 0

    def check_others(self, unreachable: list[str]) -> None:
        """Check that no values of another run are deleted for samples that get no new ones.

        A field holds values of only one run, made with the same options.

        Args:
            unreachable: ids of samples of the pass whose files cannot be found at the moment

        Raises:
            ValueError: if values would be deleted, and `overwrite` is False
        """
        new = set(self.ids) - set(unreachable)
        for name in () if self.overwrite else self._replaced:
            old = set(self.dataset.exists(name).values("id")) - new
            if old:
                owner = field_info(self.dataset, name).get("run")
                how = " with other weights or options" if owner == self.run.key else ""
                why = "are not among these"
                if unread := len(old & set(unreachable)):
                    why += f", or whose files cannot be read now ({unread})"
                raise ValueError(
                    f"Field {name!r} holds values of run {owner!r}{how} for {len(old)} samples "
                    f"that {why}. Choose another name, or pass overwrite=True to delete them"
                )

    def resume(self) -> list[int]:
        """Resume an interrupted pass, and return the positions of samples that lack values."""
        if self.options.scale == "run":  # heatmaps with a common scale are computed together
            return list(range(len(self.ids)))
        left = self._not_waiting() if self.replaces else self._lacking()
        self._done = len(self.ids) - len(left)
        return left

    def _not_waiting(self) -> list[int]:
        """Return the positions of samples without waiting values of an earlier pass."""
        header = self._header()
        self._spool = next((s for s in spools(self.dataset) if s.is_like(header)), None)
        done = {sample_id for sample_id, _ in self._spool.rows()} if self._spool else ()
        return [position for position, sample_id in enumerate(self.ids) if sample_id not in done]

    def _lacking(self) -> list[int]:
        """Return the positions of samples that lack a prediction or heatmap (see `lacking`)."""
        own, names = (self.ids, self.labels, self.run.classes), self.heatmap_fields
        return lacking(self.dataset, *own, self.prediction_field, names)

    def add_predictions(self, ids: list[str], logits: np.ndarray, found: Scores) -> None:
        """Add the predictions of some samples: logits (n, K) and their scores."""
        self._done += len(ids)
        for row, sample_id in enumerate(ids):
            own = found.label_score[row]
            self._set(
                self.prediction_field,
                sample_id,
                document(
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
        """Add the heatmap of a sample: map or map_path, target, and its measures."""
        self.maps[kind] = self.maps.get(kind, 0) + 1
        if attributes["peak"] == 0:
            self.zero_maps[kind] = self.zero_maps.get(kind, 0) + 1
        heatmap = document(fo.Heatmap, method=self.options.method, layer=self.layer, **attributes)
        self._set(self.heatmap_fields[kind], sample_id, heatmap)

    def add_no_heatmap(self, kind: str, sample_id: str) -> None:
        """Delete an earlier heatmap of a sample."""
        self._set(self.heatmap_fields[kind], sample_id, None)

    def clear(self, ids: list[str]) -> None:
        """Delete the values of earlier passes for samples that have no prediction now."""
        for name in self._fields:
            for sample_id in ids:
                self._set(name, sample_id, None)

    def _set(self, name: str, sample_id: str, value) -> None:
        self._rows.setdefault(sample_id, {})[name] = value

    def flush_if_full(self) -> None:
        """Write the added values if there are enough of them."""
        if len(self._rows) >= FLUSH_SAMPLES:
            self.flush()

    def flush(self) -> None:
        """Write the values added since the last flush, and delete the files that they replace."""
        if not self._rows:
            return
        self._begin()
        if self._spool is not None:
            self._spool.add(self._rows)
        else:
            replaced = self._files_of(list(self._rows))
            write_rows(self.dataset, self._rows)
            remove_heatmap_files(self.dataset, replaced)
        self._rows.clear()

    def _files_of(self, ids: list[str]) -> list[str | None]:
        """Return the current heatmap files of samples."""
        paths = [f"{name}.map_path" for name in self.heatmap_fields.values()]
        return [path for found in self.dataset.select(ids).values(paths) for path in found]

    def finish(self, unreachable: list[str]) -> None:
        """Complete a pass: store all values, and delete replaced ones.

        Args:
            unreachable: ids of samples whose files cannot be found at the moment; they keep
                earlier values of this run

        Raises:
            ValueError: if these samples have values of another run; the new values wait on disk
        """
        self._begin()
        self.flush()
        if self._spool is not None:
            self.check_others(unreachable)
            self._spool.commit()
        describe(self.dataset, self._fields)
        self.abandon()

    def abandon(self) -> None:
        """Delete heatmap files that no sample refers to, such as those of an interrupted pass."""
        remove_leftovers(self.dataset)

    def keep_part(self) -> int:
        """Store what an interrupted pass has computed, and mark the fields as incomplete.

        Values that will replace others are kept on disk.

        Returns:
            the number of samples that are complete
        """
        done = self._done
        if done:
            self.flush()
        if done and not self.replaces:
            if self.options.scale != "run":
                done = len(self.ids) - len(self._lacking())
            describe(self.dataset, self._fields, {"samples": done, "of": len(self.ids)})
        self.abandon()
        return done

    def _begin(self) -> None:
        """Prepare the fields or the file for the first values."""
        if self._has_started:
            return
        self._has_started = True
        claim_folder(self.dataset)
        for other in spools(self.dataset):  # earlier passes into these fields that are not resumed
            is_own = self._spool is not None and other.path == self._spool.path
            if not is_own and other.fields.keys() & self._fields.keys():
                other.discard()
        if self.replaces:
            self._spool = self._spool or Spool.create(self.dataset, self._header())
            return
        there: set[str] = set()
        if self.dataset.get_field(self.prediction_field) is not None:
            there = set(self.dataset.exists(self.prediction_field).values("id"))
        count = len(there.intersection(self.ids))
        part = {"samples": count, "of": len(self.ids)} if count < len(self.ids) else None
        declare_all(self.dataset, self._fields, part)
        index(self.dataset, self._indexed())

    def _indexed(self) -> list[str]:
        """Return the paths of values that samples are sorted and counted by."""
        paths = [f"{self.prediction_field}.{name}" for name in ("label", "label_score")]
        if self.label_field in label_fields(self.dataset):
            paths.append(label_path(self.dataset, self.label_field))
        return paths

    def _header(self) -> dict:
        """Return the header of the file of waiting values."""
        own = not isinstance(self.run, Pretrained) and self.run.dataset_name == self.dataset.name
        run = {"key": self.run.key, "version": self.run.version} if own else None
        return make_header(self._fields, self._replaced, run, self._indexed())
