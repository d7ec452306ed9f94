"""Links are followed once, loops are not, and a folder of other files ends the walk."""

import os

import pytest
from test_plans import make, read

import fiftyone_gradcam as fg
from fiftyone_gradcam.folders import planning, walking


def test_folders_on_another_disk_are_read_once_and_named(tmp_path):
    disk = make(tmp_path / "disk", "dogs/1.jpg", "dogs/puppies/2.jpg", "birds/3.jpg")
    root = make(tmp_path / "root", "cat/1.jpg")
    (root / "dog").symlink_to(disk / "dogs")
    (root / "hound").symlink_to(disk / "dogs")
    plan = fg.plan_import(str(root))
    assert read(plan) == {
        "cat/1.jpg": ("cat", None),
        "dog/1.jpg": ("dog", None),
        "dog/puppies/2.jpg": ("dog", None),
    }
    reported = str(plan)
    assert f"dog is a link to {disk / 'dogs'}, which is read" in reported
    assert (
        "hound is the same folder as dog, through a link: its files are imported once" in reported
    )
    assert plan.passed_over == {"links to a folder that is already read": 1}


def test_a_folder_is_read_where_it_stands_and_not_where_a_link_shows_it(tmp_path):
    make(tmp_path, "cat/1.jpg", "dog/2.jpg", ".store/3.jpg")
    (tmp_path / "best").symlink_to("cat")  # sorted before cat
    (tmp_path / "cow").symlink_to(".store")  # hidden: found through the link alone
    plan = fg.plan_import(str(tmp_path))
    assert read(plan) == {
        "cat/1.jpg": ("cat", None),
        "cow/3.jpg": ("cow", None),
        "dog/2.jpg": ("dog", None),
    }
    assert "best is the same folder as cat, through a link" in str(plan)


def test_loops_are_not_followed(tmp_path):
    disk = make(tmp_path / "disk", "dogs/1.jpg", "other/2.jpg")
    root = make(tmp_path / "root", "cat/1.jpg")
    (root / "cat" / "up").symlink_to(root)
    (root / "cat" / "itself").symlink_to(root / "cat")
    (root / "cat" / "all").symlink_to(tmp_path)
    (root / "dog").symlink_to(disk / "dogs")
    (disk / "dogs" / "up").symlink_to(disk)
    (root / "endless").symlink_to(root / "endless")
    plan = fg.plan_import(str(root))
    assert read(plan) == {"cat/1.jpg": ("cat", None), "dog/1.jpg": ("dog", None)}
    assert plan.passed_over == {"links to a folder around this one": 4}
    assert list(plan.reasons().values()) == [1]  # endless


def test_a_link_to_a_folder_and_one_to_all_around_it(tmp_path):
    disk = make(tmp_path / "disk", "dogs/1.jpg", "birds/2.jpg")
    root = make(tmp_path / "root", "cat/1.jpg")
    (root / "all").symlink_to(disk)
    (root / "dog").symlink_to(disk / "dogs")
    plan = fg.plan_import(str(root))
    assert read(plan) == {
        "all/birds/2.jpg": ("all", None),
        "all/dogs/1.jpg": ("all", None),
        "cat/1.jpg": ("cat", None),
    }
    assert f"dog is the same folder as {os.path.join('all', 'dogs')}" in str(plan)


def test_one_file_under_two_classes_or_in_two_splits_is_reported(tmp_path):
    root = make(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", "test/dog/3.jpg", "test/cat/4.jpg")
    (root / "train/dog/also.jpg").symlink_to(root / "train/cat/1.jpg")
    os.link(root / "test/dog/3.jpg", root / "train/dog/hard.jpg")
    (root / "test/cat/same.jpg").symlink_to(root / "test/cat/4.jpg")  # in one class and split
    plan = fg.plan_import(str(root))
    first = (
        f"{os.path.join('train', 'cat', '1.jpg')} and {os.path.join('train', 'dog', 'also.jpg')}"
    )
    assert f"1 file is under two classes through links, such as {first}" in str(plan)
    first = f"{os.path.join('test', 'dog', '3.jpg')} and {os.path.join('train', 'dog', 'hard.jpg')}"
    assert f"1 file is in two splits through links, such as {first}" in str(plan)
    assert len(plan.items) == 7


def test_many_links_are_reported_in_a_few_lines(tmp_path):
    disk = make(tmp_path / "disk", *(f"c{i}/1.jpg" for i in range(30)))
    root = make(tmp_path / "root")
    root.mkdir()
    for i in range(30):
        (root / f"c{i}").symlink_to(disk / f"c{i}")
    plan = fg.plan_import(str(root))
    assert len(plan.classes) == 30
    assert sum("is a link to" in warning for warning in plan.warnings) == 20
    assert "10 more folders are links" in plan.warnings


def test_a_folder_that_cannot_be_opened_is_reported(tmp_path, monkeypatch):
    make(tmp_path, "a/1.jpg", "b/1.jpg", "shut/1.jpg")
    scandir = os.scandir

    def refuse(folder):
        if os.path.basename(folder) == "shut":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(walking.os, "scandir", refuse)
    plan = fg.plan_import(str(tmp_path))
    assert plan.skipped == [
        (str(tmp_path / "shut"), "a folder that cannot be opened (permission denied)")
    ]
    assert plan.classes == ["a", "b"]


@pytest.fixture
def soon(monkeypatch):
    """The walk is stopped after 100 files instead of 100,000."""
    monkeypatch.setattr(walking, "FIRST", 100)


def test_a_tree_of_other_files_stops_with_a_note(tmp_path, soon):
    names = [f"lib/{i // 50}/{i}.{kind}" for i in range(150) for kind in ("so", "py")]
    make(tmp_path, *names, *(f"bin/{i}" for i in range(90)), *(f"icons/{i}.png" for i in range(9)))
    plan = fg.plan_import(str(tmp_path))
    assert plan.items == []
    with pytest.raises(ValueError, match=r"Stopped after \d+ files, of which hardly any are im"):
        plan.check()
    assert "Note: Stopped after" in str(plan)


@pytest.mark.parametrize(
    "images",
    [
        [f"z/{x}/{i}.jpg" for x in "ab" for i in range(60)],  # to come
        [f"a/{x}/{i}.jpg" for x in "ab" for i in range(60)],  # among many files of labels
    ],
)
def test_images_among_or_after_files_of_labels_do_not_stop_it(tmp_path, soon, images):
    make(tmp_path, *images, *(f"labels/{i}.txt" for i in range(300)))
    plan = fg.plan_import(str(tmp_path))
    assert len(plan.items) == 120
    assert plan.classes == ["a", "b"]


def test_images_without_extensions_do_not_stop_it(tmp_path, soon):
    for name in (f"{x}/{i}" for x in "ab" for i in range(60)):
        make(tmp_path, name)
        (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0 a JPEG file begins so")
    assert len(fg.plan_import(str(tmp_path)).items) == 120


def test_a_plan_can_be_interrupted_between_all_its_steps(tmp_path, monkeypatch):
    """Before each folder, and between listing, splitting into parts, and guessing."""
    root, steps = make(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg"), []
    for place, name in ((planning, "find_files"), (planning, "guess"), (planning, "with_choices")):
        step = getattr(place, name)

        def noted(*args, step=step, name=name, **options):
            steps.append(name)
            found = step(*args, **options)
            steps.append("done")
            return found

        monkeypatch.setattr(place, name, noted)
    with walking.interruptible(lambda: steps.append("check")):
        plan = fg.plan_import(str(root))
    walked, read = 4 * ["check"], 4 * ["check"]  # of four folders
    assert steps == [
        *("find_files", *walked, *read, "done", "check", "check"),
        *("guess", "done", "check", "with_choices", "done"),
    ]
    assert plan.classes == ["cat", "dog"]
    for number in range(steps.count("check")):
        left = [None] * number + [KeyboardInterrupt()]

        def check(left=left):
            if (error := left.pop(0)) is not None:
                raise error

        with pytest.raises(KeyboardInterrupt), walking.interruptible(check):
            fg.plan_import(str(root))
    steps.clear()
    fg.plan_import(str(root))  # nothing is checked outside of it
    assert "check" not in steps


def test_a_folder_that_was_read_through_a_link_is_not_read_again(tmp_path, monkeypatch):
    disk = make(tmp_path / "disk", "dogs/1.jpg", "birds/2.jpg")
    root = make(tmp_path / "root", "cat/1.jpg", ".hidden/x.jpg", "cat/.x.jpg", "cat/Thumbs.db")
    (root / "a_dog").symlink_to(disk / "dogs")
    (root / "b_all").symlink_to(disk)  # holds the folder of the link before
    (root / "cat" / "2.jpg").symlink_to(root / "cat" / "1.jpg")
    (root / "cat" / "endless").symlink_to(root / "cat" / "endless")
    (root / "z_lost").symlink_to(disk / "birds")
    resolve = os.path.realpath

    def lost(path):
        if os.path.basename(path) == "z_lost":
            raise OSError(2, "No such file or directory")
        return resolve(path)

    monkeypatch.setattr(walking.os.path, "realpath", lost)
    found = walking.walk(str(root))
    assert found.folders == [
        (str(root), []),
        (str(root / "a_dog"), ["1.jpg"]),
        (str(root / "b_all"), []),
        (str(root / "b_all" / "birds"), ["2.jpg"]),
        (str(root / "cat"), ["1.jpg", "2.jpg", "endless"]),
    ]
    assert found.links == [
        (str(root / "a_dog"), str(disk / "dogs")),
        (str(root / "b_all"), str(disk)),
    ]
    assert found.repeated == [(str(root / "b_all" / "dogs"), str(root / "a_dog"))]
    assert found.closed == [
        (str(root / "z_lost"), "a link that leads nowhere (No such file or directory)")
    ]
    assert found.linked_files == {str(root / "cat" / "2.jpg"), str(root / "cat" / "endless")}
    assert (found.hidden, found.around, found.stopped_after) == (2, [], None)


@pytest.mark.parametrize(
    ("counts", "stopped"),
    [
        ({"py": 91, "jpg": 9}, 100),
        ({"py": 90, "jpg": 10}, None),  # one in ten is an image
        ({"txt": 50, "py": 45, "JPG": 5}, None),  # labels do not count
        ({"txt": 50, "py": 46, "jpg": 4}, 100),
        ({"txt": 100}, 100),
        ({"py": 99}, None),
    ],
)
def test_the_walk_stops_if_fewer_than_one_in_ten_files_are_images(tmp_path, soon, counts, stopped):
    make(tmp_path, *(f"{i}.{kind}" for kind, count in counts.items() for i in range(count)))
    found = walking.walk(str(tmp_path))
    assert found.stopped_after == stopped
    assert [len(names) for _, names in found.folders] == [sum(counts.values())]


def test_the_next_folders_are_looked_into_before_the_walk_stops(tmp_path, soon, monkeypatch):
    make(tmp_path, *(f"{i}.py" for i in range(100)), "b/1.jpg", *(f"b/{i}.py" for i in range(8)))
    (tmp_path / "a").mkdir()
    scandir = os.scandir

    def refuse(folder):
        if os.path.basename(folder) == "a":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    def stopped() -> int | None:
        return walking.walk(str(tmp_path)).stopped_after

    monkeypatch.setattr(walking.os, "scandir", refuse)
    assert stopped() is None  # one of nine in b
    make(tmp_path, "b/8.py")
    assert stopped() == 100  # one of ten
    make(tmp_path, "b/c/2.jpg", "b/c/no_extension")
    assert stopped() is None
    monkeypatch.setattr(walking, "PEEK_FOLDERS", 2)  # a, b
    assert stopped() == 100
    monkeypatch.setattr(walking, "PEEK_FOLDERS", 3)
    assert stopped() is None
    monkeypatch.setattr(walking, "PEEK_FILES", 0)
    assert stopped() == 100


def test_only_files_are_opened_to_see_how_they_begin(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("image", "text", "pipe", "gone")]
    paths[0].write_bytes(b"BM12345678")
    paths[1].write_bytes(b"AM")
    os.mkfifo(paths[2])
    pipe = os.open(paths[2], os.O_RDWR)
    os.write(pipe, b"\xff\xd8\xff\xe0 JPEG")
    begin = [walking._begins_as_image(str(path)) for path in (*paths, tmp_path)]
    assert begin == [True, False, False, False, False]
    os.close(pipe)

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(walking, "open", refuse, raising=False)
    assert walking._begins_as_image(str(paths[0])) is False
