"""Figures of training: speed beside hand-written loops, time to an accuracy, accuracies.

python tests/benchmarks/training.py WHAT ... --data DATA --weights WEIGHTS

WHAT is any of speed, tutorial, frozen, accuracy, cracks, recipes.

DATA holds hymenoptera (train|val/ants|bees) and cracks (Positive|Negative), WEIGHTS the files
squeezenet1_1.pth and mobilenet_v2.pth of ImageNet weights.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import binomtest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fiftyone_gradcam.folders.assignment import assign
from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.device import pick_device
from fiftyone_gradcam.model.weights import create_model
from fiftyone_gradcam.training.augment import augment
from fiftyone_gradcam.training.history import Hooks, Trained
from fiftyone_gradcam.training.known_recipes import RECIPES
from fiftyone_gradcam.training.loop import train
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.recipes import make_recipe
from fiftyone_gradcam.training.sources import Labelled

SEEDS = (0, 1, 2)
NETWORKS = ("squeezenet1_1", "mobilenet_v2")
DEVICE = pick_device()


def photos(folder: Path, recipe: Recipe, cache: int = 1 << 30) -> Labelled:
    """All images of a folder of class folders."""
    paths = sorted(p for p in folder.glob("*/*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    classes = sorted({p.parent.name for p in paths})
    images = Images([str(p) for p in paths], recipe.image_size, cache, resize=recipe.resize)
    return Labelled(images, np.array([classes.index(p.parent.name) for p in paths]))


def wait() -> float:
    """The time, when all that was asked for is done."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def bare_epochs(recipe: Recipe, batches: list, epochs: int) -> float:
    """Seconds of an epoch of a hand-written loop over batches in memory."""
    backbone = get_backbone(recipe.backbone)
    torch.manual_seed(0)
    model = create_model(recipe.backbone, 2, recipe.weights).to(
        DEVICE, memory_format=torch.channels_last
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate)
    mean = torch.tensor(backbone.mean, device=DEVICE).view(1, 3, 1, 1) * 255
    std = torch.tensor(backbone.std, device=DEVICE).view(1, 3, 1, 1) * 255
    random, seconds = np.random.default_rng(0), []
    model.train()
    for _ in range(epochs):
        start = wait()
        for images, labels in batches:
            x = (augment(images.to(DEVICE), recipe, random) - mean) / std
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=DEVICE.type == "cuda"):
                loss = F.cross_entropy(model(x), labels.to(DEVICE))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds.append(wait() - start)
    return statistics.median(seconds)


def speed(data: Path, weights: Path, rounds: int = 3) -> None:
    """Epochs beside a bare loop, the first one (with decoding) too."""
    print("epochs: seconds of a bare loop, ours / bare (asked 1.05), first epoch / bare (1.25)")
    for name in NETWORKS:
        recipe = make_recipe(
            backbone=name, weights=str(weights / f"{name}.pth"), epochs=4, resize="crop"
        )
        recipe = make_recipe(recipe, head_epochs=0, ema=0.0)
        source = photos(data / "hymenoptera" / "train", recipe)
        order = np.random.default_rng(0).permutation(len(source))
        batches = [
            (batch.images, torch.from_numpy(source.labels[batch.positions]))
            for batch in source.images.batches(recipe.batch_size, order)
        ]
        bare, ours, first = [], [], []
        for _ in range(rounds):
            bare.append(bare_epochs(recipe, batches, 3))
            fresh = photos(data / "hymenoptera" / "train", recipe)
            rows = train(recipe, 2, fresh).history
            first.append(rows[0].seconds)
            ours.append(statistics.median(row.seconds for row in rows[1:]))
        # Of each round, so that a machine that is now faster and now slower is so for all of them.
        ratios = [
            statistics.median(one / own for one, own in zip(seconds, bare, strict=True))
            for seconds in (ours, first)
        ]
        base = statistics.median(bare)
        print(f"  {name}  {base:.2f}  {ratios[0]:.3f}  {ratios[1]:.3f}", flush=True)


def time_to(data: Path, recipe: Recipe, goal: float) -> tuple[float | None, float, Trained]:
    """Seconds until a validation reaches an accuracy (None: never), all seconds, the training."""
    reached, start = [], time.perf_counter()

    def look(done, total, epoch) -> None:
        if epoch is not None and (epoch.val_accuracy or 0.0) >= goal:  # None: not validated in it
            reached.append(time.perf_counter() - start)

    folders = [photos(data / "hymenoptera" / part, recipe) for part in ("train", "val")]
    found = train(recipe, 2, *folders, hooks=Hooks(on_step=look))
    return (reached or [None])[0], time.perf_counter() - start, found


def tutorial_time_to(data: Path, weights: Path, seed: int, goal: float, epochs: int = 25):
    """The same of the loop of PyTorch's tutorial on transfer learning, in batches of 16."""
    from torchvision import datasets, transforms

    normalize = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    ways = {
        "train": [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()],
        "val": [transforms.Resize(256), transforms.CenterCrop(224)],
    }
    torch.manual_seed(seed)
    start, best = time.perf_counter(), 0.0
    loaders = {
        part: torch.utils.data.DataLoader(
            datasets.ImageFolder(
                str(data / "hymenoptera" / part),
                transforms.Compose([*steps, transforms.ToTensor(), normalize]),
            ),
            batch_size=16,
            shuffle=True,
            num_workers=2,
        )
        for part, steps in ways.items()
    }
    model = create_model("squeezenet1_1", 2, str(weights / "squeezenet1_1.pth")).to(DEVICE)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    for _ in range(epochs):
        for part, loader in loaders.items():
            model.train(part == "train")
            right = 0
            for batch in loader:
                images, labels = (tensor.to(DEVICE) for tensor in batch)
                optimizer.zero_grad()
                with torch.set_grad_enabled(part == "train"):
                    logits = model(images)
                    loss = F.cross_entropy(logits, labels)
                    if part == "train":
                        loss.backward()
                        optimizer.step()
                right += int((logits.argmax(1) == labels).sum())
            if part == "train":
                scheduler.step()
        best = max(best, right / len(loader.dataset))
        if best >= goal:
            return time.perf_counter() - start, best
    return None, best


def tutorial(data: Path, weights: Path, goal: float = 0.92) -> None:
    """Time to an accuracy on hymenoptera with squeezenet1_1, beside the tutorial's loop."""
    print(f"seconds to {goal} on hymenoptera, squeezenet1_1: ours, the tutorial's loop")
    ours, theirs = [], []
    for seed in SEEDS:
        file = str(weights / "squeezenet1_1.pth")
        recipe = make_recipe(backbone="squeezenet1_1", weights=file, seed=seed, resize="crop")
        mine, whole, found = time_to(data, recipe, goal)
        other, best = tutorial_time_to(data, weights, seed, goal)
        ours.append(mine if mine is not None else float("inf"))
        theirs.append(other if other is not None else float("inf"))
        print(
            f"  seed {seed}: {mine and round(mine, 1)} (whole {whole:.0f} s, best "
            f"{found.val_accuracy:.3f}); {other and round(other, 1)} (best {best:.3f})",
            flush=True,
        )
    print(f"  medians {statistics.median(ours):.1f}, {statistics.median(theirs):.1f}; asked 1/3")


def frozen(data: Path, weights: Path) -> None:
    """30 epochs of the new layers alone, beside one pass over the images."""
    print("frozen backbone, 30 epochs / one pass (asked 1.3): decoding and forward; forward alone")
    for name in NETWORKS:
        file = str(weights / f"{name}.pth")
        recipe = make_recipe("linear-probe", backbone=name, weights=file, resize="crop")
        backbone = get_backbone(name)
        model = create_model(name, 2, file).eval().to(DEVICE, memory_format=torch.channels_last)
        passes, forwards, whole = [], [], []
        for _ in range(3):
            sets = [photos(data / "hymenoptera" / part, recipe) for part in ("train", "val")]
            for seconds in (passes, forwards):  # the second time all images are in memory
                start = wait()
                with torch.no_grad():
                    for source in sets:
                        for batch in source.images.batches(recipe.batch_size):
                            model(backbone.normalize(batch.images.to(DEVICE)))
                seconds.append(wait() - start)
            sets = [photos(data / "hymenoptera" / part, recipe) for part in ("train", "val")]
            start = wait()
            found = train(recipe, 2, *sets)
            whole.append(wait() - start)
        base, forward, ours = map(statistics.median, (passes, forwards, whole))
        print(
            f"  {name}  {ours:.2f} s: {ours / base:.2f}, {ours / forward:.2f} "
            f"(val accuracy {found.val_accuracy:.3f})",
            flush=True,
        )


def interval(accuracy: float, count: int) -> str:
    """An accuracy with its 95% interval."""
    low, high = binomtest(round(accuracy * count), count).proportion_ci(0.95, "wilson")
    return f"{accuracy:.3f} ({low:.2f} to {high:.2f})"


def accuracy(data: Path, weights: Path) -> None:
    """Validation accuracy on hymenoptera by the default recipe."""
    print("val accuracy on hymenoptera, default recipe, seeds 0, 1, 2 (asked .94 and .95)")
    for name in NETWORKS:
        found = []
        for seed in SEEDS:
            file = str(weights / f"{name}.pth")
            recipe = make_recipe(backbone=name, weights=file, seed=seed, resize="crop")
            _, seconds, trained = time_to(data, recipe, 2.0)
            found.append(trained.val_accuracy)
            print(f"  {name} seed {seed}: {found[-1]:.3f}, {seconds:.0f} s", flush=True)
        print(f"  {name} median {interval(statistics.median(found), 153)}", flush=True)


def grouped_split(source: Labelled, weights: Path, fractions: dict, seed: int) -> list[str | None]:
    """Split images, near duplicates on one side: groups are split by their first image."""
    from fiftyone_gradcam.review.duplicates import near_duplicates
    from fiftyone_gradcam.training.sources import Pictures, compute_features

    name = "mobilenet_v2"
    recipe = Recipe(name, str(weights / f"{name}.pth"))
    backbone = get_backbone(name)
    model = create_model(name, 2, recipe.weights)
    images = Images(source.images.paths, recipe.image_size)
    pictures = Pictures(Labelled(images, source.labels), recipe, 2, backbone, torch.device("cpu"))
    vectors, _ = compute_features(model, pictures, lambda count: None).averages()
    pairs, _ = near_duplicates(vectors, vectors)
    group = np.arange(len(source))
    for a, b in pairs:
        if a != b:
            group[group == group[b]] = group[a]
    firsts = np.unique(group)
    print(f"  {len(source)} images in {len(firsts)} groups of near duplicates")
    assigned = assign([str(source.labels[i]) for i in firsts], fractions, seed)
    split = dict(zip(firsts, assigned, strict=True))
    return [split[g] for g in group]


def cracks(data: Path, weights: Path) -> None:
    """Test accuracy on cracks: a tenth for training, a tenth watched, the rest for test."""
    print("cracks, a tenth for training: test accuracy (asked .99)")
    fractions = {"train": 0.1, "val": 0.1, "test": 0.8}
    for label, recipe_name in (("default", "default"), ("matlab-cracks", "matlab-cracks")):
        for seed in SEEDS:
            file = str(weights / "squeezenet1_1.pth")
            recipe = make_recipe(
                recipe_name, backbone="squeezenet1_1", weights=file, seed=seed
            ).with_resize("crop")
            source = photos(data / "cracks", recipe)
            parts = np.array(grouped_split(source, weights, fractions, seed))
            sets = [
                Labelled(source.images, source.labels, np.flatnonzero(parts == part))
                for part in fractions
            ]
            start = time.perf_counter()
            trained = train(recipe, 2, sets[0], sets[1])
            seconds = time.perf_counter() - start
            right = test_right(trained, recipe, sets[2])
            print(
                f"  {label} seed {seed}: {interval(right / len(sets[2]), len(sets[2]))}, trained "
                f"on {len(sets[0])}, {seconds:.0f} s",
                flush=True,
            )


@torch.no_grad()
def test_right(trained: Trained, recipe: Recipe, source: Labelled) -> int:
    """How many images of a set are predicted right."""
    backbone, right = get_backbone(recipe.backbone), 0
    for batch in source.images.batches(recipe.batch_size, source.positions):
        logits = trained.model(backbone.normalize(batch.images.to(DEVICE)))
        right += int((logits.argmax(1).cpu().numpy() == source.labels[batch.positions]).sum())
    return right


def recipes(data: Path, weights: Path) -> None:
    """Each named recipe as it stands on hymenoptera, with the weights at hand."""
    print("named recipes on hymenoptera: val accuracy")
    squeezenet, mobilenet = NETWORKS
    at_hand = dict.fromkeys(("default", "linear-probe", "matlab-cracks"), squeezenet)
    at_hand["sommelier"] = mobilenet
    for name in RECIPES:
        backbone = at_hand.get(name)
        choices = {"weights": "none"}
        if backbone:
            choices = {"backbone": backbone, "weights": str(weights / f"{backbone}.pth")}
        recipe = make_recipe(name, **choices).with_resize("crop")
        _, seconds, trained = time_to(data, recipe, 2.0)
        start = "ImageNet" if backbone else "from scratch"
        print(
            f"  {name} ({recipe.backbone}, {start}): {interval(trained.val_accuracy, 153)}, "
            f"{seconds:.0f} s",
            flush=True,
        )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    choices = {f.__name__: f for f in (speed, tutorial, frozen, accuracy, cracks, recipes)}
    parser.add_argument("what", nargs="+", choices=choices)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    options = parser.parse_args()
    for what in options.what:
        choices[what](options.data, options.weights)


if __name__ == "__main__":
    main()
