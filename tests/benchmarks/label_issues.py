"""Errors planted in labels: how they are ranked, counted and corrected in bulk, beside cleanlab and
FiftyOne's mistakenness on the same features.

    FIFTYONE_GRADCAM_TEST_DATA=... python tests/benchmarks/label_issues.py [ranking twins ...]

Cleanlab is compared with if it can be imported. Features are kept in --kept.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import warnings
from itertools import groupby, product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from fiftyone.brain.internal.core.mistakenness import _compute_mistakenness_class_conf
from label_sets import NETWORKS, Planted, features_of, files_of, likeness_of, plant, twins_of
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fiftyone_gradcam.review.duplicates import group_pairs, near_pairs
from fiftyone_gradcam.review.kinds import LEAST_IMAGES
from fiftyone_gradcam.review.label_issues import out_of_fold_probabilities
from fiftyone_gradcam.review.robust import judge_labels
from fiftyone_gradcam.review.twins import judgeable, left_out_together
from fiftyone_gradcam.review.verdict import verdict_by_features

try:
    from cleanlab.rank import get_label_quality_scores
except ImportError:
    get_label_quality_scores = None

SETS = ("hymenoptera", "cracks", "fruit-boxes", "digits")
RESIZES = {"digits": ("squash",), "letters": ("squash",)}
SHARES, SEEDS, TOWARDS = (0.05, 0.2), (0, 1, 2), ("uniform", "similar")
CLEANLAB = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


class Sets:
    """Features, classes and resizes of sets, read once."""

    def __init__(self, options: argparse.Namespace):
        self.options, self._known = options, {}

    def read(self, name: str, network: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
        """Thumbnails, features, classes, and the resize of the best leave-one-out accuracy."""
        if (name, network) not in self._known:
            paths, truth = files_of(name, self.options.data, self.options.kept)
            found = []
            for resize in RESIZES.get(name, ("crop", "squash")):
                small, pooled = features_of(
                    paths, network, resize, self.options.weights, self.options.kept
                )
                first = judge_labels(pooled, truth, int(truth.max()) + 1).first
                right = (first.argmax(1) == truth).mean()
                found.append((right, small, pooled, truth, resize))
            self._known[name, network] = max(found, key=lambda one: one[0])[1:]
        return self._known[name, network]


def quality(wrong: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """AUROC and average precision of scores that are low for wrong labels."""
    return roc_auc_score(wrong, -scores), average_precision_score(wrong, -scores)


def cases(sets: Sets, names=SETS, shares=SHARES):
    """Name, network, share, kind of noise, seed, features, classes and planted errors."""
    for name in names:
        for network in NETWORKS:
            _, features, truth, _ = sets.read(name, network)
            for share in shares:
                for towards in TOWARDS:
                    likeness = likeness_of(features, truth) if towards == "similar" else None
                    for seed in SEEDS:
                        planted = plant(truth, share, seed, likeness)
                        yield (name, network, share, towards), features, truth, planted


def ranking(sets: Sets) -> None:
    """Ranks, beside other scores, and counts."""
    print("\n## ranking: AUROC/AP, mean of three seeds; planted and estimated numbers\n")
    contestants = ["ours", "folds", "mistakenness"]
    contestants += CLEANLAB if get_label_quality_scores is not None else []
    print(f"| set | network | noise | {' | '.join(contestants)} | planted: estimates |")
    print("|" + " --- |" * (len(contestants) + 4))
    means, counts = [], []
    for (name, network, share, towards), group in groupby(cases(sets), lambda case: case[0]):
        found = [_judged(*case[1:]) for case in group]
        mean = {c: np.mean([one[c] for one in found], 0) for c in contestants}
        own = [one["count"] for one in found]
        means.append(mean)
        counts += own
        cells = " | ".join(f"{a:.3f}/{p:.3f}" for a, p in mean.values())
        estimates = ", ".join(f"{e:.0f} [{low:.0f}, {high:.0f}]" for _, e, low, high in own)
        print(
            f"| {name} | {network} | {share:.0%} {towards} | {cells} | {own[0][0]}: {estimates} |",
            flush=True,
        )
    overall = {c: np.mean([m[c] for m in means], 0) for c in contestants}
    print("| mean | | | " + " | ".join(f"{a:.3f}/{p:.3f}" for a, p in overall.values()) + " | |")
    inside = np.mean([low <= count <= high for count, _, low, high in counts])
    near = np.mean([abs(estimate - count) <= 0.3 * count for count, estimate, _, _ in counts])
    print(f"\nof {len(counts)} cases: planted number inside the interval {inside:.1%}, estimate "
          f"within 30% {near:.1%}")  # fmt: skip
    for name, network in product(SETS, NETWORKS):
        _, features, truth, resize = sets.read(name, network)
        found = verdict_by_features(features, truth, int(truth.max()) + 1).estimate
        print(
            f"none planted, {name}, {network} ({resize}): {found.count:.1f} of {len(truth)} = "
            f"{found.count / len(truth):.1%} [{found.low:.0f}, {found.high:.0f}]"
        )


def _judged(features: np.ndarray, truth: np.ndarray, planted: Planted) -> dict[str, tuple]:
    """Quality of each ranking, and the planted and estimated numbers."""
    labels, wrong, classes = planted.labels, planted.wrong, int(truth.max()) + 1
    verdict = verdict_by_features(features, labels, classes)
    folds = out_of_fold_probabilities(features, labels, classes)
    own = folds[np.arange(len(labels)), labels]
    found = {"ours": quality(wrong, verdict.issues.quality), "folds": quality(wrong, own)}
    right = 1.0 * (folds.argmax(1) == labels)
    mistakenness = _compute_mistakenness_class_conf(folds.max(1), right)
    found["mistakenness"] = quality(wrong, -mistakenness)
    for method in CLEANLAB if get_label_quality_scores is not None else ():
        scores = get_label_quality_scores(labels, folds, method=method)
        found[method] = quality(wrong, scores)
    estimate = verdict.estimate
    return found | {"count": (int(wrong.sum()), estimate.count, estimate.low, estimate.high)}


def twins(sets: Sets) -> None:
    """Wrong images with near duplicates of the same wrong label; AP of the images themselves."""
    print("\n## twins: AP at 5%, mean of three seeds, with 0, 1 and 3 near-duplicate twins\n")
    for name in ("hymenoptera", "cracks", "digits"):
        small, features, truth, resize = sets.read(name, "mobilenet_v2")
        paths, _ = files_of(name, sets.options.data, sets.options.kept)
        options = ("mobilenet_v2", resize, sets.options.weights, sets.options.kept)
        copies = [features_of(kind, *options) for kind in twins_of(paths, sets.options.kept)]
        cells = []
        for count in (0, 1, 3):
            found, alone, joined = [], [], []
            for seed in SEEDS:
                planted = plant(truth, 0.05, seed)
                places = np.flatnonzero(planted.wrong)
                looks = [
                    np.concatenate([own, *(kind[i][places] for kind in copies[:count])])
                    for i, own in enumerate((small, features))
                ]
                labels = np.concatenate([planted.labels, *[planted.labels[places]] * count])
                group = np.array(group_pairs(len(labels), near_pairs(looks)))
                rows = np.arange(len(labels)), labels
                for groups, kept in ((left_out_together(group), found), ([], alone)):
                    judged = judge_labels(looks[1], labels, int(truth.max()) + 1, groups)
                    scores = judged.probabilities[rows][: len(truth)]
                    kept.append(average_precision_score(planted.wrong, -scores))
                pairs = group[len(truth) :] == np.tile(group[places], count)
                joined.append(pairs.mean() if count else 1.0)
            cells.append(
                f"{count}: {np.mean(found):.3f} (ungrouped {np.mean(alone):.3f}, "
                f"{np.mean(joined):.0%} of the twins found)"
            )
        print(f"{name} ({resize}): " + "; ".join(cells), flush=True)


def classes(sets: Sets) -> None:
    """Many small classes, and classes of a few images."""
    print("\n## classes: 26 letters of 30 images, AUROC/AP\n")
    rows: dict[tuple, list] = {}
    for key, features, truth, planted in cases(sets, ("letters",)):
        labels, own = planted.labels, (np.arange(len(truth)), planted.labels)
        verdict = verdict_by_features(features, labels, 26)
        folds = out_of_fold_probabilities(features, labels, 26)
        found = quality(planted.wrong, verdict.issues.quality), quality(planted.wrong, folds[own])
        rows.setdefault(key, []).append((*found, (planted.wrong.sum(), verdict.estimate.count)))
    for key, found in rows.items():
        ours, folds, counts = np.mean(found, 0)
        print(*key, "ours {:.3f}/{:.3f}".format(*ours), "folds {:.3f}/{:.3f}".format(*folds),
              "planted {:.0f}, estimated {:.1f}".format(*counts), flush=True)  # fmt: skip
    _, features, truth, _ = sets.read("digits", "mobilenet_v2")
    for size in (3, 5, 8):
        tiny = np.flatnonzero(truth == 9)[size:]
        kept = np.setdiff1d(np.arange(len(truth)), tiny)
        labels = truth[kept]
        _, few = judgeable([str(y) for y in labels], np.arange(len(kept)), LEAST_IMAGES)
        if few:
            print(f"class of {size} images: too few to judge, {few}")
            continue
        scores = verdict_by_features(features[kept], labels, 10).issues.quality
        lowest = scores <= np.quantile(scores, 0.05)
        print(f"class of {size} images, all right: {lowest[labels == 9].mean():.0%} of them among "
              f"the most suspicious 5%")  # fmt: skip


def bulk(sets: Sets) -> None:
    """Accuracy of a linear probe on clean held-out images, with labels corrected in bulk."""
    print("\n## bulk: held-out accuracy, mean of 6 cases (two kinds of noise, three seeds)\n")
    print("| set | network | share | noisy | accepted | removed | all corrected | worst accepted |")
    print("|" + " --- |" * 8)
    gains, lowest = [], []
    for name in SETS:
        for network in NETWORKS:
            _, features, truth, _ = sets.read(name, network)
            for share in SHARES:
                rows = []
                for towards in TOWARDS:
                    likeness = likeness_of(features, truth) if towards == "similar" else None
                    for seed in SEEDS:
                        rows.append(_probe(features, truth, share, seed, likeness))
                noisy, accepted, removed, clean = np.transpose(rows)
                gains.append((accepted - noisy).mean())
                lowest.append((accepted - noisy).min())
                print(f"| {name} | {network} | {share:.0%} | {noisy.mean():.4f} | "
                      f"{accepted.mean():.4f} | {removed.mean():.4f} | {clean.mean():.4f} | "
                      f"{lowest[-1]:+.4f} |", flush=True)  # fmt: skip
    print(f"\nmean gain by accepting {np.mean(gains):+.4f}, least mean of a set and share "
          f"{np.min(gains):+.4f}, least single case {np.min(lowest):+.4f}")  # fmt: skip


def _probe(features, truth, share, seed, likeness) -> tuple[float, ...]:
    order = np.random.default_rng(100 + seed).permutation(len(truth))
    train, test = order[: int(0.7 * len(order))], order[int(0.7 * len(order)) :]
    planted = plant(truth[train], share, seed, likeness)
    verdict = verdict_by_features(features[train], planted.labels, int(truth.max()) + 1)
    corrected = np.where(verdict.wrong, verdict.issues.suggested, planted.labels)

    def accuracy(labels: np.ndarray, kept: np.ndarray | slice = slice(None)) -> float:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        probe.fit(features[train][kept], labels[kept])
        return (probe.predict(features[test]) == truth[test]).mean()

    return (
        accuracy(planted.labels),
        accuracy(corrected),
        accuracy(planted.labels, ~verdict.wrong),
        accuracy(truth[train]),
    )


def scale(sets: Sets) -> None:
    """Seconds and memory of made-up features (1,280, 100 classes) of growing numbers of images."""
    import resource

    print("\n## scale: 1,280 features, 100 classes, 500 images twice\n")
    for count in sets.options.counts:
        random = np.random.default_rng(0)
        labels = random.integers(0, 100, count)
        features = _made_up(labels, random)
        copies = count - 500 + np.arange(500)
        noise = random.standard_normal((500, 1280), np.float32)
        features[copies] = features[:500] + 0.02 * features.std(0) * noise
        labels[copies] = labels[:500]
        wrong = random.random(count) < 0.05
        given = np.where(wrong, (labels + random.integers(1, 100, count)) % 100, labels)
        start = time.perf_counter()
        pairs = near_pairs([features])
        searched = time.perf_counter() - start
        planted = {(i, count - 500 + i) for i in range(500)}
        group = np.array(group_pairs(count, pairs))
        verdict = verdict_by_features(features, given, 100, left_out_together(group))
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        area, precision = quality(wrong, verdict.issues.quality)
        print(f"{count} images: {seconds:.1f} s, of which {searched:.1f} s near duplicates "
              f"({len(planted & set(pairs))} of 500, {len(set(pairs) - planted)} others), peak "
              f"{peak:.2f} GB, AUROC/AP {area:.3f}/{precision:.3f}", flush=True)  # fmt: skip


def _made_up(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Features (N, 1,280) whose directions carry as different shares as those of a network: three
    quarters of the variance is in about a hundred."""
    spread = np.arange(1, 1281, dtype=np.float32) ** -0.62
    turn = np.linalg.qr(random.standard_normal((1280, 1280), np.float32))[0]
    middles = random.standard_normal((100, 1280), np.float32)
    features = np.empty((len(labels), 1280), np.float32)
    for start in range(0, len(labels), 8192):
        own = labels[start : start + 8192]
        inner = random.standard_normal((len(own), 1280), np.float32) + 0.7 * middles[own]
        features[start : start + 8192] = np.maximum((inner * spread) @ turn + 0.05, 0)
    return features


def main() -> None:
    """Run the parts that are asked for."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    parts = {f.__name__: f for f in (ranking, twins, classes, bulk, scale)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=list(parts), choices=[*parts, []])
    home = os.environ.get("FIFTYONE_GRADCAM_TEST_DATA")
    parser.add_argument("--home", type=Path, default=home, required=home is None)
    kept = Path(tempfile.gettempdir()) / "fiftyone-gradcam-label-issues"
    parser.add_argument("--kept", type=Path, default=kept)
    parser.add_argument("--counts", type=int, nargs="*", default=[2_000, 5_000, 10_000, 20_000])
    options = parser.parse_args()
    options.data, options.weights = Path(options.home) / "data", Path(options.home) / "weights"
    options.kept.mkdir(parents=True, exist_ok=True)
    sets = Sets(options)
    for name in options.parts:
        parts[name](sets)


if __name__ == "__main__":
    main()
