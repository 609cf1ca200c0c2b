"""The server as its clients see it: a process of its own behind a socket."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.inference.samples import NAMES, noise
from tests.serving.client import Client, flat_file, form, image_file, server
from yolo.inference.detector import Detector

OK = 'yolo_requests_total{status="200"}'
IMAGE = image_file()
HEAD = "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"


def test_an_answer_is_the_result_as_a_dict(client: Client, detector: Detector) -> None:
    answer = client.detect(IMAGE)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    expected = detector(noise())
    assert answer.json["detections"] == expected.to_dict()["detections"] and len(expected) == 20
    assert set(answer.json) == {*expected.to_dict(), "height", "width", "speed_ms"}
    assert (answer.json["height"], answer.json["width"]) == (48, 64)
    assert set(answer.json["speed_ms"]) == set(expected.speed_ms)


def test_a_form_with_a_file_is_the_same(client: Client) -> None:
    found = client.ask("/v1/detect", *form(IMAGE))
    assert found.status == 200 and found.json["detections"] == client.detect(IMAGE).json["detections"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_formats(client: Client, kind: str) -> None:
    """By their content, whatever the type that the client states."""
    answer = client.detect(image_file(kind, (30, 60)), Content_Type="image/gif")
    assert answer.status == 200 and (answer.json["height"], answer.json["width"]) == (30, 60)


def test_options_of_a_request(client: Client, detector: Detector) -> None:
    rows = detector(noise()).rows
    conf = float(rows[7, 4])
    found = client.detect(IMAGE, f"?conf={conf}").json["detections"]
    assert len(found) == 7 and all(one["conf"] > conf - 1e-5 for one in found)
    assert len(client.detect(IMAGE, "?max_det=3").json["detections"]) == 3
    for query, classes in (("?classes=1", {1}), ("?classes=0,1", {0, 1}), ("?classes=0&classes=1", {0, 1})):
        assert {one["class"] for one in client.detect(IMAGE, query).json["detections"]} == classes
    assert NAMES[1] == client.detect(IMAGE, "?classes=1").json["detections"][0]["name"]


@pytest.mark.parametrize(
    "query, why",
    [
        ("conf=0.0001", "conf: is 0.0001; this server keeps nothing below 0.001"),
        ("conf=1.5", "conf: .*"), ("conf=nan", "conf: .*"), ("conf=much", "conf: .*"),
        ("max_det=21", "max_det: is 21; this server keeps 20 at most"), ("max_det=0", "max_det: .*"),
        ("classes=2", "classes: 2 is none of this server's"),
        ("classes=cat", "classes: .*"), ("classes=", "classes: .*"), ("classes=-1", "classes: .*"),
        ("annotated=perhaps", "annotated: .*"),
        ("iou=0.5", "unknown option 'iou'; there are annotated, classes, conf, max_det"),
    ],
)  # fmt: skip
def test_options_that_are_not_taken(client: Client, query: str, why: str) -> None:
    answer = client.detect(IMAGE, f"?{query}")
    assert answer.status == 422 and re.fullmatch(why, answer.why)


@pytest.mark.parametrize(
    "query, accept, kind, begin",
    [
        ("?annotated=1", "*/*", "image/jpeg", b"\xff\xd8\xff"), ("", "image/*", "image/jpeg", b"\xff\xd8\xff"),
        ("", "image/png, */*", "image/png", b"\x89PNG"), ("?annotated=true", "image/webp;q=1", "image/webp", b"RIFF"),
    ],
)  # fmt: skip
def test_the_drawn_image(client: Client, query: str, accept: str, kind: str, begin: bytes) -> None:
    answer = client.detect(image_file(size=(96, 128)), query, Accept=accept)
    assert (answer.status, answer.headers["content-type"]) == (200, kind) and answer.body.startswith(begin)
    drawn = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert drawn.shape == (96, 128, 3) and (np.abs(drawn.astype(int) - noise((96, 128))) > 60).any()


@pytest.mark.parametrize(
    "image, status, why",
    [
        (b"", 422, "there is no image: the body, or the file in it, is empty"),
        (image_file("JPEG")[:-40], 422, "corrupt image"),
        (IMAGE[:-30], 422, "corrupt image"),
        (image_file("WEBP")[:-30], 422, "corrupt image"),
        (IMAGE[:40] + b"\0" * 20 + IMAGE[60:], 422, "corrupt image"),
        (b"not an image", 415, "not an image in a format that is taken: JPEG, PNG, WebP"),
        (image_file("BMP"), 415, "not an image in a format that is taken: JPEG, PNG, WebP"),
        (flat_file("PNG", (1100, 1000)), 413, "larger than 1 megapixels (--max-megapixels)"),
        (flat_file("PNG", (1100, 1000))[:30], 413, "larger than 1 megapixels (--max-megapixels)"),
    ],
)
def test_images_that_are_refused(client: Client, image: bytes, status: int, why: str) -> None:
    """All but the last two are small; none of them disturbs the next."""
    answer = client.detect(image)
    assert answer.status == status and why in answer.why
    assert client.detect(IMAGE).status == 200


@pytest.mark.parametrize("size", [(1, 1), (1, 600), (600, 1)])
def test_the_smallest_images(client: Client, size: tuple[int, int]) -> None:
    answer = client.detect(image_file(size=size))
    assert answer.status == 200 and (answer.json["height"], answer.json["width"]) == size


@pytest.mark.covers("serve", "max_megabytes", "max_megapixels")
def test_a_body_that_is_too_long(client: Client) -> None:
    """Whether its length is announced or not; nobody reads it to its end."""
    assert client.detect(b"a" * 200_001).why == "the body is larger than 0.2 MB (--max-megabytes)"
    with client.connection() as connection:
        connection.sendall((HEAD % 10**12).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    with client.connection() as connection:
        connection.sendall(HEAD.replace("Content-Length: %d", "Transfer-Encoding: chunked").encode())
        connection.sendall(b"186a1\r\n" + b"a" * 100_001 + b"\r\n" + b"186a0\r\n" + b"a" * 100_000 + b"\r\n0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_types_and_encodings_that_are_not_taken(client: Client) -> None:
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "image/png", "Content-Encoding": "gzip"}):
        assert client.ask("/v1/detect", IMAGE, headers).status == 415
    assert client.ask("/v1/detect", b"--edge", form()[1]).status == 400


@pytest.mark.parametrize("path, status", [("/v1/detect", 405), ("/nothing", 404), ("/../page.js", 404), ("/docs", 404)])
def test_paths(client: Client, path: str, status: int) -> None:
    answer = client.ask(path)
    assert answer.status == status and answer.why


def test_what_is_no_http_is_answered_and_the_next_too(client: Client) -> None:
    for said in (b"\x16\x03\x01\x02\0", b"GET\r\n\r\n", b"POST /v1/detect HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
        with client.connection() as connection:
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100)[:12] in (b"", b"HTTP/1.1 400")
    assert client.ask("/healthz").json == {"status": "ok"}


def test_a_health_check_may_ask_for_the_head_alone(client: Client) -> None:
    answer = client.ask("/healthz", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) == len(client.ask("/healthz").body)


def test_one_connection_serves_many_requests(client: Client) -> None:
    request = (HEAD % len(IMAGE)).encode() + IMAGE
    with client.connection() as connection, connection.makefile("rb") as answers:
        for _ in range(3):
            connection.sendall(request)
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            length = next(int(line[15:]) for line in answers if line.startswith(b"content-length"))
            while answers.readline() != b"\r\n":
                pass
            assert json.loads(answers.read(length))["width"] == 64


@pytest.mark.covers("serve", "receive_seconds")
def test_a_request_whose_body_does_not_come(client: Client) -> None:
    with client.connection() as connection:
        connection.sendall((HEAD % 1000).encode() + b"a")
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
    client.wait_for("yolo_requests_in_progress", 0)


@pytest.mark.parametrize("said", [b"", b"POST /v1/det", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_connection_that_stands_still_is_closed(client: Client, said: bytes) -> None:
    with client.connection() as connection:
        connection.sendall(said)
        connection.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100) == b""


@pytest.mark.covers("serve", "max_queue")
def test_a_full_house(program: Path) -> None:
    """Two that send slowly have both places: whoever comes is told when to come again."""
    with (
        server(program, "--max-queue", "2") as (client, _),
        client.connection() as first,
        client.connection() as second,
    ):
        for connection in (first, second):
            connection.sendall((HEAD % len(IMAGE)).encode() + IMAGE[:10])
        client.wait_for("yolo_requests_in_progress", 2)
        answer = client.detect(IMAGE)
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        assert answer.why == "2 requests are waiting already (--max-queue)"
        for connection in (first, second):
            connection.sendall(IMAGE[10:])
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        assert client.detect(IMAGE).status == 200


@pytest.mark.parametrize("sent", [len(IMAGE) // 2, len(IMAGE)])
def test_a_client_that_goes_away(client: Client, sent: int) -> None:
    """In the middle of its request, or before its answer, with a reset: its place is free again."""
    connection = client.connection()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.sendall((HEAD % len(IMAGE)).encode() + IMAGE[:sent])
    connection.close()
    client.wait_for("yolo_requests_in_progress", 0)
    client.wait_for("yolo_queue_length", 0)
    assert client.detect(IMAGE).status == 200


def test_strange_names_and_pages_are_refused(client: Client) -> None:
    assert client.detect(IMAGE, Host="evil.example").status == 421
    assert client.detect(IMAGE, Origin="http://evil.example").status == 403
    for path in ("/", "/v1/model", "/metrics"):
        assert client.ask(path, headers={"Host": f"evil.example:{client.port}"}).status == 421
    assert client.detect(IMAGE, Origin=client.address).status == 200


def test_what_the_server_says_of_itself(client: Client) -> None:
    model = client.ask("/v1/model").json
    assert model["names"] == {"0": NAMES[0], "1": NAMES[1]} and model["imgsz"] == [64, 64]
    assert (model["conf"], model["max_det"], model["max_bytes"], model["max_queue"]) == (0.001, 20, 200_000, 2)
    assert "/v1/detect" in client.ask("/openapi.json").json["paths"]


def test_every_answer_is_counted(client: Client) -> None:
    names = [f'yolo_requests_total{{status="{status}"}}' for status in (200, 415, 421, 422)]
    before = [client.metric(name) for name in names]
    client.detect(IMAGE)
    client.detect(b"nothing")
    client.detect(IMAGE, Host="evil.example")
    client.detect(IMAGE, "?conf=2")
    assert [client.metric(name) for name in names] == [count + 1 for count in before]
    assert client.metric("yolo_request_seconds_count") == client.metric(OK)


@pytest.mark.covers("serve", "max_delay_ms", "max_batch")
def test_many_at_once_get_their_own_answers(program: Path, detector: Detector) -> None:
    """Of two shapes, in batches: as each alone, but for the rounding that another batch makes."""
    images = [image_file(size=size, seed=seed) for seed in range(8) for size in ((48, 64), (64, 48))]
    sizes = [(48, 64), (64, 48)] * 8
    with (
        server(program, "--max-delay-ms", "1000", "--max-batch", "4") as (client, _),
        ThreadPoolExecutor(16) as threads,
    ):
        answers = list(threads.map(client.detect, images))
        assert client.metric("yolo_batch_size_count") < 16 == client.metric("yolo_batch_size_sum")
        assert client.metric('yolo_batch_size_bucket{le="4"}') == client.metric("yolo_batch_size_count")
    for number, (answer, size) in enumerate(zip(answers, sizes)):
        found = np.array([one["xyxy"] for one in answer.json["detections"]])
        np.testing.assert_allclose(found, detector(noise(size, number // 2)).rows[:, :4], atol=0.02)


def test_nothing_is_left_of_requests_that_fail(client: Client) -> None:
    """Requests that fail at every stage, many at once, and then one that does not."""
    bodies = [b"", b"nothing", IMAGE[:-30], image_file("JPEG")[:-40], flat_file("PNG", (1100, 1000)), IMAGE]
    threads = [threading.Thread(target=client.detect, args=(body,)) for body in bodies * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.detect(IMAGE).status == 200
    assert client.metric("yolo_requests_in_progress") == client.metric("yolo_queue_length") == 0
