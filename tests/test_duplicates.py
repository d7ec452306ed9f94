"""The same image twice: equal files, and near duplicates by features."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from fiftyone_gradcam.images.batches import Images
from fiftyone_gradcam.model.backbones import get_backbone
from fiftyone_gradcam.model.weights import create_model
from fiftyone_gradcam.review import duplicates, leaks
from fiftyone_gradcam.review.duplicates import (
    FALSE_PAIRS,
    Leak,
    group_pairs,
    near_duplicates,
    near_pairs,
    same_content,
)
from fiftyone_gradcam.review.leaks import leaks_between
from fiftyone_gradcam.training.recipe import Recipe
from fiftyone_gradcam.training.sources import Labelled, Pictures, compute_features


def test_same_content():
    assert same_content("abca", "xaac").tolist() == [[0, 1], [0, 2], [2, 3]]
    assert same_content("ab", "x").shape == (0, 2)


def test_equal_files_are_found_and_only_files_of_equal_size_are_read(tmp_path, monkeypatch):
    for name, content in {
        "a": b"one",
        "b": b"two",
        "c": b"three",
        "d": b"one",
        "e": b"12345",
        "f": b"four",
    }.items():
        (tmp_path / name).write_bytes(content)
    reads = []
    original = leaks._digest
    monkeypatch.setattr(leaks, "_digest", lambda path: reads.append(path[-1]) or original(path))
    left, right = ([str(tmp_path / n) for n in part] for part in ("abc", "defg"))
    assert leaks_between(left, right) == [Leak(left[0], right[0], "exact")]
    assert sorted(reads) == ["a", "b", "c", "d", "e"]  # four bytes and a lost file have no match


def test_each_watched_image_is_reported_once_and_by_its_own_path(tmp_path):
    rows = np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32)
    paths = [str(tmp_path / f"{n}.png") for n in range(40)]
    for number, path in enumerate(paths):
        with open(path, "w") as file:
            file.write("x" * (number + 1))
    with open(paths[39], "w") as file:
        file.write("x" * 13)  # the file of image 12, whose features are alike as well
    rows[1] = rows[0] + 0.001
    # Image 5 could not be decoded: features have positions of their own.
    train_positions = np.array([n for n in range(31) if n != 5])
    features = ((rows, train_positions), (rows[[0, 12, 20]] + 0.0005, np.array([2, 8, 4])))
    found = leaks_between(paths[:31], paths[31:], features)
    assert found[0] == Leak(paths[12], paths[39], "exact")
    assert sorted((leak.val, leak.kind) for leak in found[1:]) == [
        (paths[33], "near"),
        (paths[35], "near"),
    ]
    own = {leak.val: leak.train for leak in found}
    assert own[paths[33]] in paths[:2]
    assert own[paths[35]] == paths[21]


def tiles() -> list[Image.Image]:
    """Different pictures: parts of scikit-learn's two photos, with what is seen in them."""
    from sklearn.datasets import load_sample_images

    parts = [
        photo[y : y + 80, x : x + 80]
        for photo in load_sample_images().images
        for y in range(0, 347, 80)
        for x in range(0, 560, 80)
    ]
    return [Image.fromarray(part) for part in parts if part.std() > 40]


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def cropped(image: Image.Image) -> Image.Image:
    width, height = image.size
    x, y = round(0.015 * width), round(0.015 * height)
    return image.crop((x, y, width - x, height - y))


COPIES = {
    "jpeg": lambda image: jpeg(image, 60),
    "crop": cropped,
    "size": lambda image: image.resize((image.width * 6 // 10, image.height * 6 // 10)),
    "brightness": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "flip": ImageOps.mirror,
}


def thumbnails(images) -> np.ndarray:
    small = [np.asarray(i.resize((8, 8), Image.Resampling.BOX), np.float32) for i in images]
    return np.stack(small).reshape(len(small), -1)


def test_near_duplicates_of_photos_are_found_and_nothing_else():
    pictures = tiles()
    train_part, val_part = pictures[::2], pictures[1::2]
    kinds = [kind for kind in COPIES if kind != "flip"]  # which thumbnails do not see through
    copies = [COPIES[kinds[n % 4]](image) for n, image in enumerate(train_part[:12])]
    pairs, cosines = near_duplicates(thumbnails(train_part), thumbnails([*val_part, *copies]))
    found = {(int(i), int(j) - len(val_part)) for i, j in pairs}
    assert found == {(n, n) for n in range(12)}
    assert (np.diff(cosines) <= 0).all()
    assert cosines.min() >= 0.85
    # An image that has copies among the training images is found as well.
    twice = thumbnails([*train_part, *(jpeg(i, 80) for i in train_part)])
    pairs, _ = near_duplicates(twice, thumbnails([*val_part, *copies]))
    found = {int(j) - len(val_part) for _, j in pairs}
    assert len(found) >= 10
    assert found <= set(range(12))


def test_thumbnails_see_through_light_colour_and_size():
    small = np.zeros((1, 3, 32, 32), np.uint8)
    small[:, :, :, 16:] = 200
    half = duplicates.thumbnails(torch.from_numpy(small)).reshape(16, 16)
    # Half of it is as far below the mean as the other is above; torch's deviation is of n - 1.
    assert half == pytest.approx(np.sign(np.arange(16) - 7.5)[None].repeat(16, 0), abs=0.01)
    both = torch.from_numpy(np.concatenate([small, small[..., ::-1].copy()]))
    assert (duplicates.thumbnails(both) == np.stack([half.ravel(), -half.ravel()])).all()
    plain = torch.full((1, 3, 40, 40), 9, dtype=torch.uint8)
    assert (duplicates.thumbnails(plain) == 0).all()
    grey = torch.zeros(1, 3, 16, 16)
    grey[:, 1, 3, 4] = 250.0  # a green point, and the same in grey
    point = duplicates.thumbnails(grey.to(torch.uint8))
    grey[:, :, 3, 4] = 250 * 0.587
    assert point == pytest.approx(duplicates.thumbnails(grey.to(torch.uint8)), rel=0.01, abs=1e-3)


def test_pairs_of_several_kinds_are_joined_and_groups_are_made_of_them():
    random = np.random.default_rng(0)
    one, two = (random.normal(size=(40, 20)).astype(np.float32) for _ in "ab")
    one[7] = one[3] + 0.001
    two[9] = two[3] + 0.001
    two[20] = np.nan  # could not be decoded
    assert sorted(near_pairs([one, two])) == [(3, 7), (3, 9)]
    assert near_pairs([one]) == [(3, 7)]
    assert sorted(near_pairs([one, two], [one[[7, 0]] + 1e-4, two[[1, 9]] + 1e-4])) == [
        (0, 1), (1, 0), (3, 0), (3, 1), (7, 0), (9, 1),
    ]  # fmt: skip
    groups = group_pairs(7, [(5, 3), (1, 0), (3, 1)])
    assert groups == [0, 0, 2, 0, 4, 0, 6]
    assert group_pairs(2, []) == [0, 1]


def test_kinds_share_the_pairs_that_chance_may_find():
    """With two kinds of features, each may find half as many pairs by chance."""
    random = np.random.default_rng(35)
    one = random.normal(size=(60, 3)).astype(np.float32)
    alone, half = (
        {tuple(sorted(pair)) for pair in near_duplicates(one, false_pairs=share)[0].tolist()}
        for share in (FALSE_PAIRS, FALSE_PAIRS / 2)
    )
    assert half < alone
    assert set(near_pairs([one])) == alone
    assert set(near_pairs([one, one])) == half


def test_members_of_one_class_are_no_near_duplicates():
    # A tight class: every cosine is above the least one, and none is outstanding.
    random = np.random.default_rng(0)
    centres = np.repeat(random.normal(size=(2, 64)), 100, 0)
    rows = (centres + 0.1 * random.normal(size=(200, 64))).astype(np.float32)
    order = random.permutation(200)
    a, b = rows[order[:120]], rows[order[120:]]
    standard = (a - a.mean(0)) / a.std(0)
    standard /= np.linalg.norm(standard, axis=1, keepdims=True)
    assert np.quantile((standard @ standard.T).max(1), 0.1) > 0.85
    assert len(near_duplicates(a, b)[0]) == 0
    pairs, cosines = near_duplicates(a, np.concatenate([b, a[:3]]))
    assert sorted(map(tuple, pairs)) == [(0, 80), (1, 81), (2, 82)]
    assert cosines == pytest.approx([1, 1, 1])


def test_images_that_are_only_akin_are_no_near_duplicates():
    # Cosines of about 0.83, where those of unrelated ones are 0.2: far nearer than usual.
    random = np.random.default_rng(0)
    a = random.normal(size=(200, 400))
    b = a[:20] + 0.67 * random.normal(size=(20, 400))
    pairs, cosines = near_duplicates(a, b, similar=0.7)
    assert sorted(map(tuple, pairs)) == [(n, n) for n in range(20)]
    assert 0.8 < cosines.min() < 0.85
    least = float(np.median(cosines))
    assert near_duplicates(a, b, similar=least)[0].tolist() == pairs[:10].tolist()


@pytest.mark.parametrize("dimension", [2, 6, 12])
def test_the_number_of_directions_is_read_off_the_data(dimension):
    random = np.random.default_rng(0)
    rows = random.normal(size=(3000, dimension + 1))  # on a sphere of so many dimensions
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    wide = rows @ np.linalg.qr(random.normal(size=(40, dimension + 1)))[0].T
    # Of many directions it finds too few, as is known of it: the test gets stricter by that.
    assert duplicates._dimension(wide.astype(np.float32)) == pytest.approx(dimension, rel=0.15)


def test_near_duplicates_by_blocks_and_of_little(monkeypatch):
    random = np.random.default_rng(1)
    a, b = random.normal(size=(50, 20)), random.normal(size=(30, 20))
    b[[3, 17, 29]] = a[[40, 8, 8]] + 0.01
    a[:, 5], b[:, 5] = 1.0 + 1e-9 * random.random(50), 7.0  # says nothing of a
    whole = near_duplicates(a, b)
    assert sorted(map(tuple, whole[0])) == [(8, 17), (8, 29), (40, 3)]
    monkeypatch.setattr(duplicates, "BLOCK", 2)
    parts = near_duplicates(a, b)
    assert sorted(map(tuple, parts[0])) == sorted(map(tuple, whole[0]))
    assert len(near_duplicates(a[:11], a[:11])[0]) == 0  # too few to tell what is usual
    assert len(near_duplicates(a[:12], a[:12])[0]) == 12
    assert near_duplicates(a, b[:0])[0].shape == (0, 2)


@pytest.mark.parametrize(
    "backbone", ["squeezenet1_1", pytest.param("mobilenet_v2", marks=pytest.mark.slow)]
)
def test_near_duplicates_of_real_photos(real, tmp_path, backbone):
    chosen = Recipe(backbone, str(real / "weights" / f"{backbone}.pth"))
    photos = sorted((real / "data" / "hymenoptera" / "val").glob("*/*.jpg"))
    train_paths, val_paths = map(list, (photos[::2], photos[1::2]))
    planted = {}
    for number, path in enumerate(train_paths[:40]):
        copy = tmp_path / f"{number:02d}.png"
        COPIES[list(COPIES)[number % 5]](Image.open(path).convert("RGB")).save(copy)
        planted[str(copy)] = str(path)
    averages = []
    model = create_model(backbone, 2, chosen.weights)
    for paths in (train_paths, [*val_paths, *planted]):
        data = Labelled(Images([str(p) for p in paths], 224), np.zeros(len(paths), np.int64))
        source = Pictures(data, chosen, 2, get_backbone(backbone), torch.device("cpu"))
        averages.append(compute_features(model, source, lambda _: None).averages())
    paths = [*map(str, val_paths), *planted]
    leaks = leaks_between([str(p) for p in train_paths], paths, tuple(averages))
    assert {leak.kind for leak in leaks} == {"near"}
    assert all(planted.get(leak.val) == leak.train for leak in leaks)
    assert len(leaks) >= 36


def strewn(count: int, seed: int) -> np.ndarray:
    """Features (n, 64) most of whose variance is in a dozen directions, the last 40 images being
    the first ones again, nearly."""
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.normal(size=(64, 64)))[0]
    features = (random.normal(size=(count, 64)) * 0.9 ** np.arange(64)) @ turn
    features[-40:] = features[:40] + 0.01 * random.normal(size=(40, 64))
    return features.astype(np.float32)


@pytest.mark.parametrize("similar", [0.85, 0.4])
def test_short_vectors_sort_out_no_pair(similar, monkeypatch):
    a, b = strewn(3000, 0), strewn(1500, 1)
    b[:30] = a[200:230] + 0.01
    b[40:50] = a[40:50] + 0.01  # of the same places, which are other images
    cosines = []
    for few in (2**60, 0):
        monkeypatch.setattr(duplicates, "FEW", few)
        cosines.append([near_duplicates(a, b, similar), near_duplicates(a, None, similar)])
    for direct, sorted_out in zip(*cosines, strict=True):
        assert set(map(tuple, direct[0].tolist())) == set(map(tuple, sorted_out[0].tolist()))
        assert np.allclose(np.sort(direct[1]), np.sort(sorted_out[1]), atol=1e-6)
    found = set(map(tuple, cosines[1][0][0].tolist()))
    assert {(200 + i, i) for i in range(30)} | {(i, i) for i in range(40, 50)} <= found
    twins = {(i, 2960 + i) for i in range(40)}
    found = set(map(tuple, cosines[1][1][0].tolist()))
    assert twins <= found
    assert not any(i == j for i, j in found)


def test_only_rows_with_a_candidate_are_compared_in_full(monkeypatch):
    monkeypatch.setattr(duplicates, "FEW", 0)
    a = strewn(3000, 0)
    mean, deviation = a.mean(0), a.std(0)
    vectors = (a - mean) / deviation
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    having = np.flatnonzero(cosines.max(1) >= 0.85)
    asked = duplicates._rows_with_candidates(vectors, vectors, 0.85)
    assert set(having) <= set(asked)
    assert len(asked) < 1.2 * len(having) < 600


def test_without_candidates_no_row_is_compared(monkeypatch):
    monkeypatch.setattr(duplicates, "FEW", 0)
    vectors = strewn(200, 0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert duplicates._rows_with_candidates(vectors, vectors, 1.5).tolist() == []


def test_only_files_of_a_common_size_have_digests(tmp_path):
    for name, content in (("a", "one"), ("b", "two"), ("c", "one"), ("d", "four")):
        (tmp_path / name).write_text(content)
    paths = [str(tmp_path / name) for name in "abcdxy"]  # the last two cannot be read
    first, second, again, *rest = leaks.equal_files(paths)
    assert first == again != second
    assert None not in (first, second)
    assert rest == [None, f"unreadable: {paths[4]}", f"unreadable: {paths[5]}"]


def test_the_more_images_are_looked_up_the_nearer_a_pair_must_be():
    random = np.random.default_rng(0)
    searched = random.normal(size=(100, 4))
    like = searched[:1] + 0.05 * random.normal(size=(1, 4))
    pairs, _ = near_duplicates(searched, like)
    assert pairs.tolist() == [[0, 0]]
    others = np.repeat(-3 * searched[:1], 3000, 0)  # of which chance makes some pairs
    pairs, _ = near_duplicates(searched, np.concatenate([like, others]))
    assert len(pairs) == 0


def test_of_too_few_images_none_are_near_duplicates():
    for count in (0, 1, 11):
        pairs, cosines = near_duplicates(np.ones((count, 4)) * np.arange(count)[:, None])
        assert (pairs.tolist(), cosines.tolist()) == ([], [])
        assert (pairs.shape, pairs.dtype, cosines.dtype) == ((0, 2), np.int64, np.float32)
