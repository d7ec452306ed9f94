"""Training problems that the losses reveal."""

from __future__ import annotations

import numpy as np
from scipy.stats import fisher_exact

from .evidence import SURE, Evidence, Finding, loss_words

LEARNED = 0.1  # minimum of `Evidence.learned` for a network that learns
UNMOVED = 0.01  # a smaller `head_change` means that the new layers have hardly moved
FAR_MOVED = 3.0  # with a larger `head_change`, little is left of the initial weights


def dead_head(case: Evidence) -> Finding | None:
    """Find a last layer that outputs exactly 0 for most images, as SqueezeNet's ReLU may."""
    trained, recipe = case.trained, case.recipe
    if trained.dead <= 0.5:
        return None
    if trained.head_change < UNMOVED:
        reason = (
            f"It has been dead from the start (weights={recipe.weights!r}), and cannot recover. "
            f"Start with other weights, or another seed."
        )
    else:
        reason = f"A step was too large. {case.lower_rate}; another seed may also help."
    return Finding(
        "dead_head",
        "warning" if case.is_usable else "error",
        f"The last layer of {recipe.backbone} is dead: it ends in a ReLU, and for "
        f"{trained.dead:.0%} of the validation images it outputs exactly 0 for every class, so "
        f"that nothing is learned. {reason}",
    )


def diverged(case: Evidence) -> Finding | None:
    """Find a loss that ended far above that of guessing, or is not finite."""
    trained, last, guessing = case.trained, case.last, case.yardstick[0]
    losses = [row.val_loss for row in trained.validations]
    every, guess = [row.train_loss for row in trained.history], loss_words(guessing)
    # The initial loss may be far above that of guessing; a training that is too slow ends there,
    # too.
    went_off = trained.head_change > FAR_MOVED or every[-1:] > every[:1]
    if trained.diverged or not np.isfinite(losses[-1:] + every[-1:]).all():
        epoch = (last.epoch if last else 0) + trained.diverged
        seen = f"in epoch {epoch} its loss was no longer a number"
    elif went_off and case.learned < -0.2:
        seen = f"its training loss ended at {loss_words(every[-1])}, and guessing gives {guess}"
    # With batch norm, the training loss may look fine. Overfitting does not go this far.
    elif went_off and losses and losses[-1] > guessing and np.nanmax(losses) > 10 * guessing:
        seen = (
            f"the validation loss was up to {loss_words(np.nanmax(losses))} and ended "
            f"at {loss_words(losses[-1])}, and guessing gives {guess}"
        )
    else:
        return None
    kept = f" The weights of epoch {trained.best_epoch} were kept." if losses else ""
    return Finding(
        "diverged",
        "warning" if case.is_usable else "error",
        f"The training diverged: {seen}.{kept} The learning rate is too high. {case.lower_rate}.",
    )


def not_learning(case: Evidence) -> Finding | None:
    """Find a training loss that is hardly below that of guessing, and the reason."""
    trained, recipe = case.trained, case.recipe
    if case.last is None or case.learned >= LEARNED or case.beats_majority(SURE):
        return None
    losses, rate = [row.train_loss for row in trained.history], recipe.learning_rate
    if case.has_random_frozen_part:
        reason = (
            f"The frozen part (freeze={recipe.freeze!r}) has random weights (weights='none'), and "
            f"cannot distinguish the classes. Pass freeze='none', or pretrained weights."
        )
    elif trained.head_change < UNMOVED:
        reason = (
            f"The new layers moved by only {trained.head_change:.2g} times their size: the "
            f"learning rate is too low, or the steps are too few. Raise learning_rate tenfold, "
            f"from {rate:g} to {10 * rate:g}, or train for more epochs."
        )
    elif trained.head_change > FAR_MOVED or losses[-1] > 1.05 * min(losses):
        reason = (
            f"The steps were large, and the loss did not fall: the learning rate is too high. "
            f"{case.lower_rate}."
        )
    elif recipe.freeze == "backbone":
        reason = (
            "Only the new layers are trained, and the features of the frozen part do not "
            "distinguish these classes. Pass freeze='none', or a smaller number of stages."
        )
    else:
        reason = (
            f"The learning rate does not seem to be the cause. Train for more epochs, check the "
            f"labels, and check whether the classes can be distinguished at {recipe.image_size} "
            f"pixels (image_size). sanity_check() shows whether this setup can learn at all."
        )
    return Finding(
        "not_learning",
        "error",
        f"The network is not learning: its training loss ended at {loss_words(losses[-1])}, and "
        f"guessing by class frequencies gives {loss_words(case.yardstick[0])}. {reason}",
    )


def frozen_at_random(case: Evidence) -> Finding | None:
    """Find a frozen part with random weights in a network that otherwise learns."""
    if not case.has_random_frozen_part:
        return None
    return Finding(
        "frozen_at_random",
        "warning",
        f"The frozen part (freeze={case.recipe.freeze!r}) has random weights (weights='none'), and "
        f"is never trained. Pass freeze='none', or pretrained weights.",
    )


def overfitting(case: Evidence) -> Finding | None:
    """Find a network whose late epochs improved only its results on the training images."""
    recipe = case.recipe
    rows = [row for row in case.trained.history if row.val_loss is not None]
    if len(rows) < 3 or case.learned < 0.5:
        return None
    losses = np.array([row.val_loss for row in rows])
    best, last = rows[int(losses.argmin())], rows[-1]
    low, end = best.val_loss, float(losses[-2:].min())  # a single high value may be chance
    guessing = case.yardstick[0]
    # A few errors of a confident network raise the loss much: a small rise is harmless.
    risen = end >= 1.5 * low and end >= low + 0.2 * guessing
    is_useless = end > 1.2 * guessing
    if not (risen or is_useless) or last.train_loss >= best.train_loss:
        return None
    totals = np.array([case.counts.sum(), len(case.truth)])
    right = np.rint(totals * [last.train_accuracy, last.val_accuracy]).astype(int)
    if fisher_exact(np.stack([right, totals - right], 1), "greater").pvalue >= SURE:
        return None
    remedies = ["Add training images"]
    if recipe.crop == 1:
        remedies.append("augment them (such as crop=0.5, rotation=10)")
    if not recipe.from_scratch and recipe.freeze == "none":
        remedies.append("freeze the first stages (freeze=2)")
    if not recipe.early_stopping:
        remedies.append("stop earlier (early_stopping=3)")
    return Finding(
        "overfitting",
        "warning",
        f"The network overfits: the validation loss was {loss_words(low)} in epoch "
        f"{best.epoch} and {loss_words(last.val_loss)} at the end, while that of the training "
        f"images fell to {loss_words(last.train_loss)}. {last.train_accuracy:.0%} of the training "
        f"images and {last.val_accuracy:.0%} of the validation images are correct. The weights of "
        f"epoch {case.trained.best_epoch} were kept. {', or '.join(remedies)}.",
    )
