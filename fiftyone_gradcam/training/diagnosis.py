"""Diagnosis of a training in words: what was observed, the probable reason, and the remedy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from ..progress import counted
from ..review.duplicates import Leak
from .evidence import CHANCE, SURE, Evidence, Finding, exceeds
from .history import Trained
from .learning_faults import dead_head, diverged, frozen_at_random, not_learning, overfitting
from .recipe import Recipe

FEW_TRAINED, FEW_WATCHED = 10, 30
NAMED = 5  # maximum number of classes named in a sentence


def diagnose(
    recipe: Recipe,
    classes: Sequence[str],
    trained: Trained,
    train_labels: np.ndarray,
    val_labels: np.ndarray,
    leaks: Sequence[Leak] = (),
) -> list[Finding]:
    """Return the problems of a training, without those that are consequences of others.

    Args:
        recipe: the settings
        classes: names of the K classes
        trained: the result
        train_labels: (n,) class indexes of the training images
        val_labels: (m,) class indexes of the images at `trained.val_positions`; empty if there are
            no validation images, which disables the findings about them
        leaks: validation images that are also training images

    Returns:
        errors first, then warnings; empty if no problem is found
    """
    case = Evidence(recipe, classes, trained, train_labels, val_labels)
    cause = dead_head(case) or diverged(case) or not_learning(case)
    is_dead = cause is not None and cause.name == "dead_head"  # all predictions are class 0
    collapse = None if is_dead else collapsed(case, cause)
    found = [cause, collapse]
    if cause is None:
        found.append(frozen_at_random(case))
        if collapse is None:
            found += [majority(case), overfitting(case), never_predicted(case)]
    found += [leaked(case, leaks), few_images(case)]
    return sorted(filter(None, found), key=lambda finding: finding.severity != "error")


def collapsed(case: Evidence, cause: Finding | None) -> Finding | None:
    """Find predictions of one class for nearly all validation images, against the labels."""
    total, top = len(case.truth), int(case.predicted.argmax())
    others, expected = total - int(case.predicted[top]), total - int(case.val_counts[top])
    # A good network may miss all of a few images of other classes: each of them with probability
    # 1/2.
    if others > 0.1 * total or others >= expected:
        return None
    if binomtest(others, expected, 0.5, "less").pvalue >= CHANCE:
        return None
    share = case.shares[top]
    if cause is not None:
        reason = "This is a consequence of the other problem."
    elif share > 0.7 and case.recipe.class_balance == "none":
        reason = (
            f"{share:.0%} of the training images are of this class, so that always predicting it "
            f"pays off. Pass class_balance='sampling', and add images of other classes."
        )
    elif case.last is not None and case.last.train_accuracy > share + 0.2:
        reason = (
            f"However, {case.last.train_accuracy:.0%} of the training images were correct during "
            f"training. Either the validation images are of a different kind, or the statistics of "
            f"batch norm are inaccurate: train for more epochs, with larger batches, or a lower "
            f"learning_rate."
        )
    else:
        reason = "Train for more epochs. If this does not help, lower learning_rate tenfold."
    return Finding(
        "collapsed",
        "error",
        f"The predictions have collapsed into one class: {total - others} of {total} validation "
        f"images are predicted as {case.classes[top]!r}, though {expected} are of other classes. "
        f"{reason}",
    )


def majority(case: Evidence) -> Finding | None:
    """Find an accuracy that always guessing one class would also reach."""
    total = len(case.truth)
    if not total or case.beats_majority(CHANCE):
        return None
    top = int(case.val_counts.argmax())
    guess = int(case.val_counts[top])
    if not exceeds(total, total, guess, CHANCE):  # too few for any accuracy to be significant
        return None
    by_chance = float(case.predicted @ case.val_counts) / total
    is_informed = exceeds(case.right, total, by_chance, SURE)
    last = case.last
    if is_informed:
        reason = (
            "Its predictions do depend on the images: with classes of such unequal sizes, look at "
            "each class (in the confusion matrix) instead of the accuracy."
        )
    elif last is not None and last.train_accuracy > case.shares.max() + 0.2:
        reason = (
            f"{last.train_accuracy:.0%} of the training images were correct: it memorizes them. "
            f"The labels may be wrong (see find_label_issues), the training images may be too few, "
            f"or the validation images of a different kind."
        )
    else:
        reason = "Train for more epochs, raise learning_rate, or add training images."
    better = "not clearly better" if case.right > guess else "no better"
    return Finding(
        "majority",
        "warning" if is_informed else "error",
        f"The network is {better} than always guessing the most frequent class: {case.right} of "
        f"{total} validation images are correct, and {guess} are of {case.classes[top]!r}. "
        f"{reason}",
    )


def never_predicted(case: Evidence) -> Finding | None:
    """Find classes that no validation image is predicted as."""
    # A good network may miss a few: each of them with probability 1/2.
    missed = [i for i in np.flatnonzero(case.predicted == 0) if 0.5 ** case.val_counts[i] < CHANCE]
    if not missed:
        return None
    parts = [
        f"{case.classes[i]!r} ({case.val_counts[i]} of the validation images, "
        f"{case.counts[i]} of the training images)"
        for i in missed[:NAMED]
    ]
    taken = case.trained.val_predicted[case.truth == missed[0]]
    instead = case.classes[int(np.bincount(taken).argmax())]
    if case.counts[missed].max() < 0.5 * case.counts.mean():
        remedy = "Add training images, or pass class_balance='sampling'."
    else:
        remedy = "Train for more epochs, and check whether the labels separate these classes."
    return Finding(
        "never_predicted",
        "warning",
        f"Never predicted: {', '.join(parts)}{_more(len(missed))}. Most of "
        f"{case.classes[missed[0]]!r} are predicted as {instead!r}. {remedy}",
    )


def leaked(case: Evidence, leaks: Sequence[Leak]) -> Finding | None:
    """Find validation images that are also training images."""
    total = len(case.truth)
    if not leaks or not total:
        return None
    exact = len({leak.val for leak in leaks if leak.kind == "exact"})
    near = len({leak.val for leak in leaks}) - exact
    parts = [f"{exact} equal files"] * (exact > 0) + [f"{near} nearly the same"] * (near > 0)
    return Finding(
        "leak",
        "error" if exact >= 0.1 * total else "warning",
        f"{exact + near} of {total} validation images are also training images "
        f"({', '.join(parts)}; such as {leaks[0].val} and {leaks[0].train}): their predictions do "
        f"not show how well the network predicts new images. Delete one of each pair, or move both "
        f"to one side of the split, and train again.",
    )


def few_images(case: Evidence) -> Finding | None:
    """Find classes with few training images, and a validation set too small to rely on."""
    parts, total = [], len(case.truth)
    few = np.flatnonzero(case.counts < FEW_TRAINED)
    if len(few):
        named = ", ".join(f"{case.classes[i]!r} ({case.counts[i]})" for i in few[:NAMED])
        parts.append(
            f"There are fewer than {FEW_TRAINED} training images of {named}{_more(len(few))}: "
            f"expect poor predictions there, and add images."
        )
    if 0 < total < FEW_WATCHED:
        low, high = binomtest(case.right, total).proportion_ci(0.95, "wilson")
        parts.append(
            f"The accuracy on new images may be anything from {low:.0%} to {high:.0%} (95% Wilson "
            f"interval), because it is known from only {counted(total, 'validation image')}, of "
            f"which {case.right} {'is' if case.right == 1 else 'are'} correct."
        )
    return Finding("few_images", "warning", " ".join(parts)) if parts else None


def _more(count: int) -> str:
    left = count - NAMED
    return f" and {counted(left, 'more class', 'more classes')}" if left > 0 else ""
