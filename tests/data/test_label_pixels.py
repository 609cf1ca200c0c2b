"""Labels must say where the pixels are: coloured rectangles are drawn, augmented, and found again."""

import cv2
import numpy as np
import pytest

from tests.data.samples import hyperparameters, rendered
from yolo.data.images import write_image
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.data.loader import val_loader
from yolo.data.planner import Planner

# Each image has a colour of its own, told apart by which channels are above the half.
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255)]
IMGSZ = 320


def build(folder, polygons, suffix=".png"):
    (folder / "labels").mkdir()
    rng = np.random.default_rng(7)
    for k, colour in enumerate(COLOURS):
        height, width = [(240, 320), (320, 240), (300, 300)][k % 3]
        image = np.zeros((height, width, 3), np.uint8)
        lines = []
        for column in range(2):  # one object in each half, so that they never touch
            w, h = (int(value) for value in rng.integers(60, width // 2 - 12, 2))
            x = int(rng.integers(4, width // 2 - w - 4)) + column * width // 2
            y = int(rng.integers(4, height - h - 4))
            image[y : y + h, x : x + w] = colour
            values = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
            if polygons:
                corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
                values = [value for cx, cy in corners for value in (cx / width, cy / height)]
            lines.append(f"{k} " + " ".join(f"{value:.6f}" for value in values))
        write_image(folder / "images" / f"{k}{suffix}", image, quality=100)
        (folder / "labels" / f"{k}.txt").write_text("\n".join(lines))
    (folder / "data.yaml").write_text("train: images\nval: images\nnames: [a, b, c, d, e, f]\n")
    return index_split(load_dataset(folder / "data.yaml"), "train", use_cache=False)


@pytest.fixture(scope="module", params=[False, True], ids=["boxes", "polygons"])
def index(request, tmp_path_factory):
    return build(tmp_path_factory.mktemp("blobs"), request.param)


def blobs(image, label):
    """Boxes (xyxy) of the connected parts that have the colour of class ``label``."""
    mask = ((image > 127) == (np.array(COLOURS[label]) > 127)).all(-1).astype(np.uint8)
    stats = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:]
    return np.array([(x, y, x + w, y + h) for x, y, w, h, area in stats if area > 60], float).reshape(-1, 4)


def iou(box, others):
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    inter = (high - low).clip(0).prod(1)
    return inter / ((box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - inter)


def overlaps(image, rows, inside_only=False):
    """The best IoU of each label with a blob of its colour, and of each large blob with a label."""
    height, width = image.shape[:2]
    boxes = np.concatenate([rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2], axis=1)
    boxes *= (width, height, width, height)
    inside = (boxes > 1).all(1) & (boxes[:, 2] < width - 1) & (boxes[:, 3] < height - 1)
    found = []
    for label in range(len(COLOURS)):
        seen, own = blobs(image, label), boxes[rows[:, 0] == label]
        for box in boxes[(rows[:, 0] == label) & (inside | (not inside_only))]:
            found.append(iou(box, seen).max(initial=0))
        if not inside_only:
            for blob in seen:
                if min(blob[2:] - blob[:2]) > 60:
                    found.append(iou(blob, own).max(initial=0))
    return found


CASES = {
    "letterbox": {},
    "flips": {"fliplr": 0.5, "flipud": 0.5},
    "affine": {"scale": 0.4, "translate": 0.2, "fliplr": 0.5},
    "mosaic": {"mosaic": 1.0},
    "mosaic and affine": {"mosaic": 1.0, "scale": 0.4, "translate": 0.1, "fliplr": 0.5},
    "rotation": {"degrees": 30, "scale": 0.2},
    "shear": {"shear": 10},
    "perspective": {"perspective": 0.0008},
    "all": {"mosaic": 1, "degrees": 15, "shear": 5, "perspective": 0.0003, "scale": 0.3, "flipud": 0.5},
}


@pytest.mark.parametrize("case", CASES)
def test_labels_match_the_pixels(index, case):
    hyp = hyperparameters(**CASES[case])
    # A turned box that is cut by the border is looser than its pixels, unless its polygon is known.
    turned = {"degrees", "shear", "perspective"} & set(CASES[case]) and not len(index.segments[0][0])
    planner = Planner(index, hyp, IMGSZ, seed=1)
    found = []
    for epoch in range(4):
        for i in range(len(index)):
            plan = planner.plan(epoch, i)
            found += overlaps(rendered(plan, index.paths), plan.labels, bool(turned))
    assert len(found) > 20
    assert np.mean(found) > 0.95, f"mean IoU {np.mean(found):.3f} of {len(found)}"
    assert np.mean(np.array(found) > 0.8) > 0.97


def test_pasted_copies_are_labelled_and_drawn(index):
    planner = Planner(index, hyperparameters(mosaic=1, copy_paste=1.0), IMGSZ, seed=1)
    pasted, found = 0, []
    for i in range(len(index)):
        for epoch in range(4):
            plan = planner.plan(epoch, i)
            if any(np.bincount([tile.image for tile in plan.views[0].tiles]) > 1):
                continue  # copies of the same colour may touch
            pasted += len(plan.views[0].pastes)
            found += overlaps(rendered(plan, index.paths), plan.labels)
    if not len(index.segments[0][0]):
        assert pasted == 0
        return
    # A copy may hide up to 30 % of another object or touch one of its own colour, so the bar is lower.
    assert pasted > 10 and np.mean(found) > 0.85


@pytest.mark.parametrize("rect", [True, False])
@pytest.mark.parametrize("imgsz", [160, 320, 480])
def test_validation_labels_and_the_way_back(index, rect, imgsz):
    found = []
    for batch in val_loader(index, imgsz=imgsz, batch_size=4, workers=0, rect=rect).batches():
        for image, rows, i, box in zip(batch.images, batch.labels, batch.indices, batch.letterboxes):
            found += overlaps(image.transpose(1, 2, 0), rows)
            height, width = box.size
            original = index.labels[i]
            x = (rows[:, 1] * width - box.pad[0]) / box.ratio[1] / box.original[1]
            y = (rows[:, 2] * height - box.pad[1]) / box.ratio[0] / box.original[0]
            np.testing.assert_allclose(x, original[:, 1], atol=1e-4)
            np.testing.assert_allclose(y, original[:, 2], atol=1e-4)
            assert box.original == tuple(index.shapes[i])
    assert np.mean(found) > 0.95
