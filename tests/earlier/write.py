# ruff: noqa: E402 (settings of FiftyOne go before its import)
"""Write a small dataset with runs, predictions, heatmaps and reviews, as files.

PYTHONPATH=CHECKOUT python tests/earlier/write.py INTO.tar.xz

CHECKOUT is that of the version whose files are wanted. INTO, a .tar.xz file, gets the documents of
the database, in which "{root}" stands for a folder, and what is in that folder: images, weights,
heatmaps; but for pictures of curves and the state of the training, which are large.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

root = Path(tempfile.mkdtemp()).resolve()
os.environ["FIFTYONE_DATABASE_DIR"] = str(root / "database")
os.environ["FIFTYONE_DEFAULT_DATASET_DIR"] = str(root / "files" / "datasets")
os.environ["FIFTYONE_SHOW_PROGRESS_BARS"] = "false"

import fiftyone.core.odm as foo
import numpy as np
import torch
from bson import json_util
from PIL import Image
from sklearn.datasets import load_digits

import fiftyone_gradcam as fg

LEFT_OUT = ("state.pt", "watch.png", "curves.png")
TRAINING = {
    **{"backbone": "small_cnn", "weights": "none", "epochs": 3, "batch_size": 8, "watch": 2},
    **{"image_size": 16, "horizontal_flip": False, "translation": 0, "resize": "squash"},
}


def make_small(checkpoint: str) -> None:
    """Leave the larger half of the weights, in few bits each, so that the file is small."""
    content = torch.load(checkpoint, weights_only=True)
    for weight in content["state_dict"].values():
        if weight.numel() > 1000:
            least = weight.abs().flatten().kthvalue(int(0.5 * weight.numel())).values
            step = float(weight.abs().max()) / 32
            weight.copy_(torch.where(weight.abs() > least, (weight / step).round() * step, 0.0))
    torch.save(content, checkpoint)


def main() -> None:
    """Write it."""
    into = Path(sys.argv[1])
    digits = load_digits()
    for label in range(3):
        folder = root / "files" / "images" / f"digit {label}"
        folder.mkdir(parents=True)
        for number, pixels in enumerate(digits.images[digits.target == label][:12]):
            image = Image.fromarray((pixels * (255 / 16)).astype(np.uint8))
            image.resize((24, 16)).save(folder / f"{number:02d}.png")
    dataset = fg.import_folders(str(root / "files" / "images"), "earlier")
    fg.split(dataset)
    fg.fine_tune(dataset, "small", **TRAINING)
    make_small(fg.load_run(dataset, "small").checkpoint)
    kinds = ("predicted", "label", "contrast")
    fg.predict(dataset, "small", heatmaps=kinds)
    fg.find_label_issues(dataset, folds=2, backbone="small_cnn", weights="none", epochs=1)
    fg.explanation_quality(dataset.limit(6), "small", steps=2)
    database = foo.get_db_conn()
    found = {"datasets": list(database.datasets.find({"_id": dataset._doc.id}))}
    found[dataset._sample_collection_name] = list(database[dataset._sample_collection_name].find())
    runs = list(found["datasets"][0]["runs"].values())
    found["runs"] = list(database.runs.find({"_id": {"$in": runs}}))
    results = [run["results"] for run in found["runs"]]
    found["fs.files"] = list(database["fs.files"].find({"_id": {"$in": results}}))
    found["fs.chunks"] = list(database["fs.chunks"].find({"files_id": {"$in": results}}))
    text = json_util.dumps(found).replace(json.dumps(str(root / "files"))[1:-1], "{root}")
    assert str(root) not in text
    with tarfile.open(into, "w:xz") as archive:
        member = tarfile.TarInfo("documents.json")
        member.size = len(text.encode())
        archive.addfile(member, io.BytesIO(text.encode()))
        for path in sorted((root / "files").rglob("*")):
            if path.is_file() and path.name not in LEFT_OUT:
                archive.add(path, f"files/{path.relative_to(root / 'files')}")
    dataset.delete()
    shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
