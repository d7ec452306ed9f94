"""Folders as people have them: each file's class and split, what is left out, and what is said.

`python tests/trees.py` prints how many are read right.
"""

import tempfile
from pathlib import Path

from drawn_trees import (
    MASK,
    UNLABELLED,
    Tree,
    dark_photo,
    differences,
    drawing,
    empty_mask,
    gray_photo,
    label_map,
    mask,
    night,
    same_photo,
    save,
    soft_mask,
    tile,
)
from PIL import Image

CRACKS = ("crack", "spall", "rust", "dent", "scratch", "stain")
TREES = {
    "masks of the same stem": Tree(
        {f"{name}/Imgs/exp1_num_{i}.jpg": (name, None) for name in CRACKS for i in range(3)}
        | {f"{name}/Imgs/exp1_num_{i}.png": MASK for name in CRACKS for i in range(3)},
        says=(
            r"Skipped: 18 masks beside images",
            r"18 masks of images left out, such as crack/Imgs/exp1_num_0.png, the "
            r"mask of crack/Imgs/exp1_num_0.jpg\. To import them too, pass keep_masks=True",
        ),
    ),
    "masks that are kept": Tree(
        {f"{x}/1.{kind}": (x, None) for x in ("a", "b") for kind in ("jpg", "png")},
        given={"keep_masks": True},
        drawn={"*.png": mask},
    ),
    "maps of labels": Tree(
        {f"images/{x}_{i}.jpg": (x, None) for x in ("Abyssinian", "pug") for i in range(3)}
        | {f"annotations/trimaps/{x}_{i}.png": MASK for x in ("Abyssinian", "pug") for i in "012"},
        drawn={"*.png": label_map},
    ),
    "soft masks of one channel": Tree(
        {f"{x}/{i}.jpg": (x, None) for x in ("a", "b") for i in range(3)}
        | {f"{x}/{i}.png": MASK for x in ("a", "b") for i in range(3)},
        drawn={"*.png": soft_mask},
    ),
    "masks of night photos": Tree(
        {f"{x}/images/{i}.png": (x, None) for x in ("a", "b") for i in range(3)}
        | {f"{x}/masks/{i}.png": MASK for x in ("a", "b") for i in range(3)},
        drawn={"*/images/*": night},
    ),
    "colored masks of night photos": Tree(
        {f"{x}/images/{i}.png": (x, None) for x in ("a", "b") for i in range(3)}
        | {f"{x}/masks/{i}.png": MASK for x in ("a", "b") for i in range(3)},
        drawn={"*/images/*": night, "*": drawing},
    ),
    "masks of dark tiles, most of them empty": Tree(
        {f"{x}/Imgs/{i}.jpg": (x, None) for x in ("free", "blowhole") for i in range(8)}
        | {f"{x}/Imgs/{i}.png": MASK for x in ("free", "blowhole") for i in range(8)},
        drawn={"*.jpg": tile, "free/*.png": empty_mask},
    ),
    "masks of other names than the images": Tree(
        {f"images/{x}{i}.jpg": (x, None) for x in ("cat", "dog") for i in range(3)}
        | {f"masks/m{i}.png": MASK for i in range(6)},
    ),
    "empty masks of plain pictures": Tree(
        {f"{x}/{i}.jpg": (x, None) for x in ("a", "b") for i in range(3)}
        | {f"{x}/{i}.png": MASK for x in ("a", "b") for i in range(3)},
        drawn={"*.jpg": lambda path: save(Image.new("RGB", (64, 48), "orange"), path)},
    ),
    "one photo in two formats": Tree(
        {
            f"{x}/{x}{i}.{kind}": (x, None)
            for x in "ab"
            for i in range(3)
            for kind in ("jpg", "png")
        },
        drawn={"*": same_photo},
    ),
    "one photo in color and in gray": Tree(
        {
            f"{x}/{x}{i}.{kind}": (x, None)
            for x in "ab"
            for i in range(3)
            for kind in ("jpg", "png")
        },
        drawn={"*.jpg": same_photo, "*.png": gray_photo},
    ),
    "one photo in color and in darker gray": Tree(
        {
            f"{x}/{x}{i}.{kind}": (x, None)
            for x in "ab"
            for i in range(3)
            for kind in ("jpg", "png")
        },
        drawn={"*.jpg": same_photo, "*.png": dark_photo},
    ),
    "one drawing in two formats": Tree(
        {f"{x}/{i}.{kind}": (x, None) for x in "ab" for i in range(3) for kind in ("jpg", "png")},
        drawn={"*": drawing},
    ),
    "black and white digits": Tree(
        {f"{x}/{i}.png": (x, None) for x in "0123456789" for i in range(2)}, drawn={"*": mask}
    ),
    "black and white drawings of masks and of letters": Tree(
        {f"mask/m{i}.png": ("mask", None) for i in range(4)}
        | {f"letter/l{i}.png": ("letter", None) for i in range(4)},
        drawn={"*": mask},
    ),
    "black and white digits, called labels": Tree(
        {f"labels/{x}/{i}.png": (x, None) for x in "012" for i in range(2)}, drawn={"*": mask}
    ),
    "masks of some classes": Tree(
        {f"crack/{i}.jpg": ("crack", None) for i in range(5)}
        | {f"crack/{i}.png": MASK for i in range(5)}
        | {f"fine/{i}.jpg": ("fine", None) for i in range(5)},
    ),
    "masks of some files, photos in two formats of others": Tree(
        {f"crack/{i}.jpg": ("crack", None) for i in range(8)}
        | {f"crack/{i}.png": MASK if i % 2 else ("crack", None) for i in range(8)}
        | {f"fine/{i}.jpg": ("fine", None) for i in range(4)},
    ),
    "Images and Masks in each class": Tree(
        {f"{x}/Images/{i}.jpg": (x, None) for x in ("COVID", "Normal") for i in range(4)}
        | {f"{x}/Masks/{i}.png": MASK for x in ("COVID", "Normal") for i in range(4)},
        says=("Skipped: 8 masks in a folder of their own",),
    ),
    "images and masks around the classes": Tree(
        {f"images/{x}/{i}.jpg": (x, None) for x in ("cat", "dog") for i in range(3)}
        | {f"masks/{x}/{i}_mask.png": MASK for x in ("cat", "dog") for i in range(3)},
        says=("The folder images contains everything",),
    ),
    "MVTec: ground_truth beside train and test": Tree(
        {f"train/good/{i:03d}.png": ("good", "train") for i in range(6)}
        | {f"test/good/{i:03d}.png": ("good", "test") for i in range(3)}
        | {f"test/broken/{i:03d}.png": ("broken", "test") for i in range(3)}
        | {f"ground_truth/broken/{i:03d}_mask.png": MASK for i in range(3)},
        says=("Skipped: 3 masks in a folder of their own",),
    ),
    "BUSI: endings, with and without a number": Tree(
        {f"{x}/{x} ({i}).png": (x, None) for x in ("benign", "normal") for i in (1, 2)}
        | {f"{x}/{x} ({i})_mask.png": MASK for x in ("benign", "normal") for i in (1, 2)}
        | {"benign/benign (1)_mask_1.png": MASK},
    ),
    "train and train_masks (JPEG masks)": Tree(
        {f"train/{x}_{i}.jpg": (x, "train") for x in ("car", "bus") for i in range(4)}
        | {f"train_masks/{x}_{i}.jpg": MASK for x in ("car", "bus") for i in range(4)}
    ),
    "face masks are a class": Tree(
        {f"{x}/{i}.jpg": (x, None) for x in ("mask", "without_mask") for i in range(4)}
    ),
    "a face with and without a mask": Tree(
        {f"{x}/face.jpg": (x, None) for x in ("ann", "bob")}
        | {f"{x}/face_mask.jpg": (x, None) for x in ("ann", "bob")}
    ),
    "training_set and test_set": Tree(
        {
            "training_set/cats/1.jpg": ("cats", "train"),
            "training_set/dogs/1.jpg": ("dogs", "train"),
            "test_set/cats/2.jpg": ("cats", "test"),
            "test_set/dogs/2.jpg": ("dogs", "test"),
        },
        says=("the outer folder is the split",),
    ),
    "training_set/training_set": Tree(
        {f"training_set/training_set/{x}/1.jpg": (x, "train") for x in ("cats", "dogs")}
        | {f"test_set/test_set/{x}/2.jpg": (x, "test") for x in ("cats", "dogs")},
    ),
    "dogs and cats by name": Tree(
        {
            "train/cat.0.jpg": ("cat", "train"),
            "train/dog.1.jpg": ("dog", "train"),
            "test1/1.jpg": (None, "test"),
        },
        says=("the beginning of the file name", "1 image has no class"),
    ),
    "dogs and cats, unpacked into folders": Tree(
        {
            f"dogs-vs-cats/train/train/{x}.{i}.jpg": (x, "train")
            for x in ("cat", "dog")
            for i in "12"
        }
        | {f"dogs-vs-cats/test1/test1/{i}.jpg": (None, "test") for i in range(9)},
    ),
    "seg_train, seg_test, seg_pred": Tree(
        {f"seg_train/seg_train/{x}/1.jpg": (x, "train") for x in ("sea", "forest")}
        | {f"seg_test/seg_test/{x}/2.jpg": (x, "test") for x in ("sea", "forest")}
        | {"seg_pred/seg_pred/3.jpg": UNLABELLED},
        says=("1 image has no class",),
    ),
    "chest X-rays: val and test, packed once more": Tree(
        {
            f"chest_xray/{split}/{x}/{i}.jpeg": (x, split)
            for split in ("train", "val", "test")
            for x in ("NORMAL", "PNEUMONIA")
            for i in range(2)
        },
        others={"__MACOSX/chest_xray/train/NORMAL/._1.jpeg": "x"},
        says=("The folder chest_xray contains everything",),
    ),
    "Training, Testing (tumors)": Tree(
        {
            f"{folder}/{x}/1.jpg": (x, split)
            for folder, split in (("Training", "train"), ("Testing", "test"))
            for x in ("glioma", "no_tumor")
        }
    ),
    "Train Data, holdout, dev": Tree(
        {
            f"{folder}/{x}/1.jpg": (x, split)
            for folder, split in (("Train Data", "train"), ("dev", "val"), ("HoldOut", "test"))
            for x in ("a", "b")
        }
    ),
    "train, val and eval": Tree(
        {
            f"{folder}/{x}/1.jpg": (x, split)
            for folder, split in (("train", "train"), ("val", "val"), ("eval", "test"))
            for x in ("a", "b")
        }
    ),
    "train and eval": Tree(
        {f"train/{x}/1.jpg": (x, "train") for x in "ab"}
        | {f"eval/{x}/1.jpg": (x, "val") for x in "ab"}
    ),
    "train2017, val2017 of COCO, class folders inside images": Tree(
        {
            f"images/{folder}/{x}/1.jpg": (x, split)
            for folder, split in (("train2017", "train"), ("val2017", "val"))
            for x in ("a", "b")
        }
    ),
    "Fruits-360: a folder beside the splits": Tree(
        {
            f"{folder}/{x}/1.jpg": (x, split)
            for folder, split in (("Training", "train"), ("Test", "test"))
            for x in ("Apple", "Kiwi")
        }
        | {"papers/scan.jpg": UNLABELLED},
        says=("Not in any of the splits: papers", "1 image has no class"),
    ),
    "images around the classes in each split": Tree(
        {f"{split}/images/{x}/1.jpg": (x, split) for split in ("train", "val") for x in "ab"}
    ),
    "tiny ImageNet: validation images without classes": Tree(
        {f"train/{x}/images/{x}_{i}.jpg": (x, "train") for x in ("n01", "n02") for i in range(2)}
        | {f"val/images/val_{i}.jpg": (None, "val") for i in range(2)},
        others={"val/val_annotations.txt": "val_0.jpg n01"},
    ),
    "a class that is called test": Tree(
        {f"{x}/1.jpg": (x, None) for x in ("test", "cat", "dog")},
        says=("Classes are called test. If these are splits",),
    ),
    "classes that end in a split's word": Tree(
        {f"{x}/1.jpg": (x, None) for x in ("steam_train", "crash_test")},
    ),
    "splits in the classes": Tree(
        {
            f"{x}/{folder}/1.jpg": (x, split)
            for x in ("cat", "dog")
            for folder, split in (("train_set", "train"), ("test_set", "test"))
        },
        says=("the inner folder is the split",),
    ),
    "class and split in one name": Tree(
        {
            f"{x}_{split}/1.jpg": (f"{x}_{split}", None)
            for x in ("cat", "dog")
            for split in ("train", "test")
        },
        error=r"'cat_test', 'cat_train', .*which combine classes and splits.*by a pattern",
    ),
    "class and split in one name, by a pattern": Tree(
        {f"{x}_{split}/1.jpg": (x, split) for x in ("cat", "dog") for split in ("train", "test")},
        given={"pattern": r"(?P<label>[^/]+)_(?P<split>[^/_]+)/"},
    ),
    "splits are never classes": Tree(
        {"training_set/1.jpg": ("training_set", None), "test_set/2.jpg": ("test_set", None)},
        given={"label_from": "folder", "split_from": "nothing"},
        error=r"The classes would be 'test_set', 'training_set', which are splits.*split_from.*"
        r"label_from",
    ),
    "splits without classes": Tree(
        {"training_set/1.jpg": (None, "train"), "test_set/2.jpg": (None, "test")},
        error="No image has a class",
    ),
    "a parent of the classes": Tree(
        {"photos/a/1.jpg": ("a", None), "photos/b/2.jpg": ("b", None)},
        says=("The folder photos contains everything else: the classes are found inside it",),
    ),
    "a parent of a parent": Tree(
        {f"archive/raw-img/{x}/1.jpg": (x, None) for x in ("cane", "gatto")}
        | {"archive/cover.jpg": UNLABELLED},
        says=("The folder archive, archive/raw-img contains everything",),
    ),
    "a parent of names": Tree(
        {f"flowers/{x}_{i}.jpg": (x, None) for x in ("rose", "tulip") for i in range(3)}
    ),
    "numbers in brackets": Tree(
        {f"{x} ({i}).jpg": (x, None) for x in ("rose", "tulip") for i in range(3)}
    ),
    "two cameras": Tree(
        {f"{x}_{i}.jpg": UNLABELLED for x in ("IMG", "DSC") for i in range(3)},
        error="No image has a class",
    ),
    "packed classes": Tree(
        others={"cats.zip": "PK", "dogs.zip": "PK"},
        error=r"Unpack the 2 archives, such as 'cats.zip'",
    ),
    "one class unpacked": Tree(
        {"cats/1.jpg": ("cats", None)},
        others={"dogs.tar.gz": "x"},
        error=r"Only one class.*Unpack the 1 archives, such as 'dogs.tar.gz'",
    ),
    "variants of the same classes": Tree(
        {f"{kind}/{x}/1.jpg": (kind, None) for kind in ("color", "gray") for x in ("rust", "scab")},
        says=("Each class contains folders with the same names, such as rust, scab",),
    ),
    "unlabelled beside classes": Tree(
        {"_unlabeled/1.jpg": UNLABELLED, "a/1.jpg": ("a", None), "b/1.jpg": ("b", None)}
    ),
}


if __name__ == "__main__":
    right = 0
    for title, tree in TREES.items():
        with tempfile.TemporaryDirectory() as folder:
            wrong = differences(tree, Path(folder))
        right += not wrong
        for line in wrong:
            print(f"{title}: {line}")
    print(f"{right} of {len(TREES)} trees are read as a person reads them")
