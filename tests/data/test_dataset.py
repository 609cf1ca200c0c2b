import os

import pytest

from tests.data.samples import make_dataset, save_image
from yolo.data.listing import label_files, label_path, list_images
from yolo.data.load import load_dataset
from yolo.errors import DataError


def write(folder, text, name="data.yaml"):
    path = folder / name
    path.write_text(text)
    return path


def test_the_usual_file(tmp_path):
    dataset = make_dataset(tmp_path, names="{0: cat, 1: dog}")
    assert dataset.names == ("cat", "dog") and dataset.nc == 2
    assert dataset.root == tmp_path
    assert dataset.entries("train") == (tmp_path / "images" / "train",)
    with pytest.raises(DataError, match=r"data\.yaml: no split 'test'"):
        dataset.entries("test")


BASE = "path: .\ntrain: images\nval: images\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "mapping"),
        ("- a", "mapping"),
        ("a: [", r"data\.yaml:1: not valid YAML"),
        ("a: 2024-99-99", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        (BASE, "names"),
        (BASE + "names: []", "names"),
        (BASE + "names: cat", "names"),
        (BASE + "names: [a, a]", "occurs twice"),
        (BASE + "names: [yes, no]", "quotes"),
        (BASE + "names: [[a]]", "not text"),
        (BASE + "names: {0: a, 2: b}", "none is numbered 1"),
        (BASE + "names: {a: 0}", "none is numbered 0"),
        (BASE + "names: cat", "a list of class names is meant"),
        (BASE + "names: [a]\nnc: 2", "'nc' is 2 but there are 1"),
        (BASE + "names: [a]\nnc: one", "'nc'"),
        ("names: [a]", "no split"),
        ("names: [a]\ntrain: 5", "'train' must be"),
        ("names: [a]\ntrain: [images, 5]", "'train' must be"),
        ("names: [a]\ntrain: images\npath: [x]", "'path' must be text"),
        ("names: [a]\ntrain: nowhere", "nowhere does not exist"),
        ("names: [a]\ntrain: images\npath: nowhere", "does not exist"),
        ("names: [a]\ntrain: x\ndownload: echo hello", "not a URL"),
        ('names: [a]\ntrain: x\ndownload: |\n  import os\n  os.system("x")', "not a URL"),
        ("names: [a]\ntrain: x\ndownload: https://x.y/data.html", "no zip or tar"),
        ("names: [a]\ntrain: x\ndownload: 'http://[x.zip'", "not a valid URL"),
        ("names: [a]\ntrain: x\ndownload: 'file:///etc/passwd.zip'", "not a URL"),
        ("names: [a]\ntrain: x\ngenerator: shapes", "mapping"),
        ("names: [a]\ntrain: x\ngenerator: {name: other}", "no generator 'other'"),
        ("names: [a]\ntrain: x\ngenerator: {name: shapes, images: 3}", "no parameter 'images'"),
        ("names: [a]\ntrain: x\ngenerator: {name: shapes, size: 5}", "'size'"),
    ],
)
def test_a_broken_file_is_one_line_of_error(tmp_path, monkeypatch, text, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=reason) as caught:
        load_dataset(write(tmp_path, text))
    assert "\n" not in str(caught.value) and "data.yaml" in str(caught.value)


def test_a_missing_file_names_what_there_is(tmp_path):
    with pytest.raises(DataError, match=r"coco128, .*shapes"):
        load_dataset(tmp_path / "none.yaml")
    with pytest.raises(DataError, match="no such data set file"):
        load_dataset(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(DataError, match="not valid YAML"):
        load_dataset(tmp_path / "bytes.yaml")


def test_the_data_is_looked_for_beside_the_file_then_here_then_in_datasets(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    source = write(tmp_path / "configs", "path: set\ntrain: images\nnames: [a]\n")
    places = [tmp_path / "work" / "datasets" / "set", tmp_path / "work" / "set", tmp_path / "configs" / "set"]
    for place in places:
        save_image(place / "images" / "0.png")
        assert load_dataset(source).root == place
    (places[2] / "images" / "0.png").unlink()
    (places[2] / "images").rmdir()
    assert load_dataset(source).root == places[1], "an empty folder of the right name is not the data"


def test_relative_parent_paths_of_exports_are_understood(tmp_path):
    save_image(tmp_path / "train" / "images" / "0.png")
    dataset = load_dataset(write(tmp_path, "train: ../train/images\nnames: [a]\n"))
    assert len(list_images(dataset, "train")) == 1


def test_folders_lists_files_and_patterns(tmp_path):
    for name in ("images/a/1.png", "images/a/deep/2.PNG", "images/b/3.png", "other/4.png"):
        save_image(tmp_path / name)
    (tmp_path / "images" / "a" / "notes.md").write_text("")
    (tmp_path / "images" / "a" / "._1.png").write_text("")
    (tmp_path / "images" / "a" / "loop").symlink_to(tmp_path / "images" / "a")
    (tmp_path / "lists").mkdir()
    write(tmp_path / "lists", "images/b/3.png\n\n./../other/4.png\n" + str(tmp_path / "images/a/1.png"), "x.txt")
    text = "train: [images/a, images/b]\nval: lists/x.txt\ntest: ['images/*/*.png', other/4.png]\nnames: [a]"
    dataset = load_dataset(write(tmp_path, text))
    assert [os.path.basename(path) for path in list_images(dataset, "train")] == ["1.png", "2.PNG", "3.png"]
    assert sorted(os.path.basename(path) for path in list_images(dataset, "val")) == ["1.png", "3.png", "4.png"]
    assert sorted(os.path.basename(path) for path in list_images(dataset, "test")) == ["1.png", "3.png", "4.png"]


@pytest.mark.parametrize("name", ["set [v1]", "a*b?", "[!x]", "plain"])
def test_a_pattern_begins_below_the_folders_that_exist(tmp_path, name):
    folder = tmp_path / name
    for file in ("images/1.png", "images/sub/2.png", "images/3.bmp"):
        save_image(folder / file)
    text = f"path: .\ntrain: images/*.png\nval: images/**/*.png\ntest: '{folder}/images/[3].*'\nnames: [a]"
    dataset = load_dataset(write(folder, text))

    def found(split):
        return [os.path.relpath(path, folder) for path in list_images(dataset, split)]

    assert found("train") == ["images/1.png"] and found("test") == ["images/3.bmp"]
    assert found("val") == ["images/1.png", "images/sub/2.png"]
    absent = write(folder, "path: .\ntrain: images/*.png\nval: absent\nnames: [a]", "absent.yaml")
    with pytest.raises(DataError, match="the data is not there"):
        load_dataset(absent)


def test_a_pattern_is_looked_for_in_every_place_too(tmp_path, monkeypatch):
    (tmp_path / "configs/set").mkdir(parents=True)
    save_image(tmp_path / "set/images/0.png")
    monkeypatch.chdir(tmp_path)
    source = write(tmp_path / "configs", "path: set\ntrain: images/*.png\nnames: [a]\n")
    assert load_dataset(source).root == tmp_path / "set"
    source = write(tmp_path, "train: ../set/images/*.png\nnames: [a]\n")
    assert len(list_images(load_dataset(source), "train")) == 1


@pytest.mark.parametrize("text", ["path: .\ntrain: IN", "path: IN\ntrain: .", "path: ABOVE/IN\ntrain: ."])
@pytest.mark.parametrize("link", ["images", "pictures"])
@pytest.mark.parametrize("real", ["images", "pictures"])
@pytest.mark.parametrize("beside", ["link", "folder"])
def test_labels_lie_beside_a_link_or_the_folder_that_it_leads_to(tmp_path, text, link, real, beside):
    here, there = tmp_path / "set", tmp_path / "store"
    save_image(there / real / "0.png")
    save_image(there / real / "none.png")
    here.mkdir()
    (here / link).symlink_to(there / real)
    name = link if beside == "link" else real
    labels = (here if beside == "link" else there) / ("labels" if name == "images" else name)
    labels.mkdir(exist_ok=True)
    (labels / "0.txt").write_text("0 .5 .5 .5 .5")
    text = text.replace("ABOVE", str(here)).replace("IN", link)
    images = list_images(load_dataset(write(here, f"{text}\nnames: [a]")), "train")
    files = label_files(images)
    assert [os.path.isfile(file) for file in files] == [True, False] and os.path.samefile(files[0], labels / "0.txt")
    assert files[1] == str(label_path(images[1]))


def test_a_label_beside_the_link_comes_first(tmp_path):
    for folder in ("set", "store"):
        (tmp_path / folder / "labels").mkdir(parents=True)
        (tmp_path / folder / "labels/0.txt").write_text("")
    save_image(tmp_path / "store/images/0.png")
    (tmp_path / "set/images").symlink_to(tmp_path / "store/images")
    assert label_files([str(tmp_path / "set/images/0.png")]) == [str(tmp_path / "set/labels/0.txt")]


def test_numbers_in_quotes_are_numbers(tmp_path):
    assert make_dataset(tmp_path, names="{'0': cat, '1': dog}").names == ("cat", "dog")
    for keys in ("{0: cat, '0': dog}", f"{{0: cat, '{'9' * 1000}': dog}}"):
        with pytest.raises(DataError, match="none is numbered 1"):
            make_dataset(tmp_path, names=keys)


def test_lines_of_a_list_may_be_relative_to_the_current_folder(tmp_path, monkeypatch):
    """As YOLOv5 takes them; the data set's own folder comes first."""
    save_image(tmp_path / "set/images/b.png", (20, 20), (1, 2, 3))
    write(tmp_path / "set", "set/images/absent.png\nset/images/b.png\n", "x.txt")
    monkeypatch.chdir(tmp_path)
    dataset = load_dataset(write(tmp_path / "set", "train: x.txt\nnames: [a]\n"))

    def found():
        return [os.path.relpath(path, tmp_path) for path in list_images(dataset, "train")]

    assert found() == ["set/images/absent.png", "set/images/b.png"]
    save_image(tmp_path / "set/set/images/b.png", (20, 20), (1, 2, 3))
    assert found() == ["set/set/images/absent.png", "set/set/images/b.png"]


def test_no_image_is_an_error(tmp_path):
    (tmp_path / "images").mkdir()
    dataset = load_dataset(write(tmp_path, "train: images\ntest: nowhere\nnames: [a]"))
    with pytest.raises(DataError, match="no image for split 'train'"):
        list_images(dataset, "train")
    with pytest.raises(DataError, match="nowhere does not exist"):
        list_images(dataset, "test")


def test_label_paths():
    assert str(label_path("/x/images/y/images/a.b.jpg")) == "/x/images/y/labels/a.b.txt"
    assert str(label_path("/x/pictures/a.jpg")) == "/x/pictures/a.txt"


@pytest.mark.parametrize("name", ["coco", "coco128.yaml", "shapes"])
def test_presets_are_sound(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("yolo.data.load.fetch", lambda url, root, source, **_: save_image(root / "0.png"))
    monkeypatch.setattr("yolo.data.load.make_shapes", lambda root, spec, source: save_image(root / "0.png"))
    with pytest.raises(DataError, match=r"train.* does not exist"):
        load_dataset(name)
