"""The page, in a browser: an image that is chosen or dropped, the slider, the camera."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.serving.browser import Page, chromium, page
from tests.serving.client import Client, image_file, server

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no chromium here")

STATUS = "document.getElementById('status').textContent"


@pytest.fixture(scope="module")
def client(program: Path) -> Iterator[Client]:
    with server(program) as (client, _):
        yield client


@pytest.fixture(scope="module")
def shown(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with page(client.address, tmp_path_factory.mktemp("profile")) as shown:
        yield shown


def rows(shown: Page) -> int:
    return shown.run("document.querySelectorAll('#found tbody tr').length")


def test_an_image_that_is_chosen(shown: Page, client: Client, tmp_path: Path) -> None:
    """What is drawn on it is what the server found."""
    content = image_file(size=(240, 320))
    (tmp_path / "a.png").write_bytes(content)
    shown.wait("document.getElementById('about').textContent !== ''")
    shown.choose("#file", tmp_path / "a.png")
    shown.wait("!document.getElementById('view').hidden")
    shown.wait("document.getElementById('status').textContent.includes('320 × 240')")  # an earlier image was shown
    found = client.detect(content).json["detections"]
    assert rows(shown) == len(found) == 20
    assert re.fullmatch(r"\d+ × .+ \(320 × 240, [\d.]+ ms\)", shown.run(STATUS))
    assert shown.run("[view.width, view.height]") == [320, 240]
    first = shown.run("[...document.querySelector('#found tbody tr').cells].map((cell) => cell.textContent)")
    assert first == [found[0]["name"], f"{found[0]['conf']:.3f}", *(f"{side:.0f}" for side in found[0]["xyxy"])]
    drawn = np.array(shown.run("[...view.getContext('2d').getImageData(0, 0, 320, 240).data]"), np.uint8)
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    changed = (drawn.reshape(240, 320, 4)[..., :3] != image).any(axis=2)
    left, top, _, bottom = (round(side) for side in found[0]["xyxy"])
    assert changed[(top + bottom) // 2, max(left - 1, 0) : left + 2].any() and 0.01 < changed.mean() < 0.9


def test_the_slider_needs_no_server(shown: Page, client: Client, tmp_path: Path) -> None:
    test_an_image_that_is_chosen(shown, client, tmp_path)
    answered = client.metric('yolo_requests_total{status="200"}')
    shown.run("(() => { conf.value = 0.99; conf.dispatchEvent(new Event('input')); })()")
    assert rows(shown) < 20
    shown.run("(() => { conf.value = conf.min; conf.dispatchEvent(new Event('input')); })()")
    assert rows(shown) == 20
    assert client.metric('yolo_requests_total{status="200"}') == answered


def test_what_the_server_refuses_is_said(shown: Page, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(image_file("BMP"))
    shown.choose("#file", tmp_path / "a.png")
    shown.wait("document.getElementById('status').classList.contains('wrong')")
    assert shown.run(STATUS) == "not an image in a format that is taken: JPEG, PNG, WebP"


def test_an_image_that_is_dropped(shown: Page) -> None:
    script = """(() => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [100, 50];
      canvas.toBlob((blob) => {
        const data = new DataTransfer();
        data.items.add(new File([blob], "a.png", { type: "image/png" }));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
      });
    })()"""
    shown.run(script)
    shown.wait(f"{STATUS}.includes('(100 × 50, ')")


def test_the_camera(shown: Page, client: Client) -> None:
    """Frame after frame, until it is stopped."""
    answered = client.metric('yolo_requests_total{status="200"}')
    shown.run("camera.click()")
    shown.wait("camera.textContent === 'Stop camera' && view.width === 640")
    client.wait_for_more('yolo_requests_total{status="200"}', answered + 3)
    shown.run("camera.click()")
    assert shown.run("camera.textContent") == "Start camera"
    client.wait_for("yolo_requests_in_progress", 0)


def test_nothing_that_the_policy_forbids_and_no_error(shown: Page) -> None:
    """The page needs nothing from elsewhere; what would come from there is not let in."""
    assert [line for line in shown.console if "415" not in line] == []
    shown.run("fetch('https://example.com/').catch(() => {})")
    shown.run("document.body.append(Object.assign(document.createElement('script'), { text: 'window.in = 1' }))")
    assert shown.run("window.in") is None
    assert sum("Content Security Policy" in line for line in shown.console) >= 2
