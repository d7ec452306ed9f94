"""The pointing game: does a map's peak lie in a box of the object that it is a map of?

python tests/benchmarks/pointing.py FRUITS NAME=WEIGHTS [NAME=WEIGHTS ...] [--seeds 0 1 2]

FRUITS holds `train` and `test` folders of images called <class>_<number>.jpg (or mixed_<number>)
with Pascal VOC boxes beside them (.xml). A network is fine-tuned on the images of one class of
`train`; on `test` each class that has boxes in an image is a question, its own map the answer.
Beside it: the package grad-cam on the same network as its documentation shows it (resize to 256,
crop to 224, the map stretched over the whole image), and the centre of the image.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import fiftyone as fo
import numpy as np
import torch

import fiftyone_gradcam as fg
from fiftyone_gradcam.explain.cam import explain_network
from fiftyone_gradcam.images.decode import decode
from fiftyone_gradcam.images.geometry import seen_box, to_frame, to_square
from fiftyone_gradcam.model.network import Network

MIXED = "mixed"


@dataclass(frozen=True)
class Question:
    """An image and a class in it, with the boxes (left, top, right, bottom) in shares."""

    path: str
    label: str
    boxes: np.ndarray
    mixed: bool


def questions(folder: Path) -> list[Question]:
    """One for each class in each image of a folder."""
    found = []
    for file in sorted(folder.glob("*.xml")):
        path = file.with_suffix(".jpg")
        if not path.exists():
            continue
        decoded = decode(str(path))
        boxes: dict[str, list] = {}
        for item in ElementTree.parse(file).getroot().iter("object"):
            corners = [
                float(item.find(f"bndbox/{k}").text) for k in ("xmin", "ymin", "xmax", "ymax")
            ]
            boxes.setdefault(item.find("name").text, []).append(corners)
        size = np.array([decoded.width, decoded.height] * 2)
        for label, corners in boxes.items():
            mixed = path.name.startswith(MIXED)
            found.append(Question(str(path), label, np.array(corners) / size, mixed))
    return found


def hit(question: Question, x: float, y: float) -> bool:
    """Whether a point, in shares of the image, lies in one of the boxes."""
    left, top, right, bottom = question.boxes.T
    return bool(((left <= x) & (x <= right) & (top <= y) & (y <= bottom)).any())


def peak(frame: np.ndarray) -> tuple[float, float]:
    """Where a map of the whole image is highest, in shares."""
    row, column = np.unravel_index(frame.argmax(), frame.shape)
    return (column + 0.5) / frame.shape[1], (row + 0.5) / frame.shape[0]


def ours(network: Network, question: Question, target: int) -> tuple[float, float]:
    """The peak of our map, in its place in the image."""
    image = decode(question.path).image
    resize, size = network.resize, network.image_size
    square = torch.from_numpy(to_square(image, size, resize).copy()).permute(2, 0, 1)[None]
    pixels = network.normalize(square)
    cam = explain_network(network, pixels, [torch.tensor([target])]).maps[0][0].cpu().numpy()
    return peak(to_frame(cam, image.width, image.height, seen_box(resize, *image.size)))


def theirs(model, layer, question: Question, target: int) -> tuple[float, float]:
    """The peak of the package's map of the usual crop, stretched over the image."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from torchvision import transforms

    prepare = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    with GradCAM(model, [layer]) as cam:
        image = prepare(decode(question.path).image)[None]
        return peak(cam(image, [ClassifierOutputTarget(target)])[0])


def play(
    folder: Path, backbone: str, weights: str, seed: int, resize: str
) -> dict[str, np.ndarray]:
    """Train once, and answer all questions; rows of hits, and which questions are mixed."""
    name = "benchmark pointing"
    if fo.dataset_exists(name):
        fo.delete_dataset(name)
    dataset = fo.Dataset(name)
    paths = [p for p in sorted((folder / "train").glob("*.jpg")) if not p.name.startswith(MIXED)]
    dataset.add_samples(
        [
            fo.Sample(
                str(p), ground_truth=fo.Classification(label=p.name.split("_")[0]), tags=["train"]
            )
            for p in paths
        ],
        progress=False,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        run = fg.fine_tune(
            dataset,
            "fruit",
            backbone=backbone,
            weights=weights,
            seed=seed,
            resize=resize,
            progress=False,
        )
    network = run.network()
    model = run.load_model()
    layer = model.get_submodule(network.layer)
    asked = questions(folder / "test")
    answers: dict[str, list] = {"ours": [], "grad-cam": [], "centre": [], "mixed": []}
    for question in asked:
        target = run.classes.index(question.label)
        answers["ours"].append(hit(question, *ours(network, question, target)))
        answers["grad-cam"].append(hit(question, *theirs(model, layer, question, target)))
        answers["centre"].append(hit(question, 0.5, 0.5))
        answers["mixed"].append(question.mixed)
    dataset.delete()
    return {key: np.array(values) for key, values in answers.items()}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("backbones", nargs="+", metavar="NAME=WEIGHTS")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--resize", default="squash")
    options = parser.parse_args()
    print(f"{'hits (mixed images)':<22}{'questions':>14}{'ours':>16}{'grad-cam':>16}{'centre':>16}")
    for item in options.backbones:
        backbone, _, weights = item.partition("=")
        for seed in options.seeds:
            found = play(options.folder, backbone, weights, seed, options.resize)
            mixed = found["mixed"]
            cells = [
                f"{found[key].mean():.3f} ({found[key][mixed].mean():.3f})"
                for key in ("ours", "grad-cam", "centre")
            ]
            print(
                f"{backbone + f', seed {seed}':<22}{f'{len(mixed)} ({mixed.sum()})':>14}"
                + "".join(f"{cell:>16}" for cell in cells),
                flush=True,
            )


if __name__ == "__main__":
    main()
