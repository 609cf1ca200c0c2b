"""The metrics' definitions as plain loops: slow, and easy to read."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

THRESHOLDS = [np.float32(0.5 + 0.05 * i) for i in range(10)]


def iou(a, b) -> np.float32:
    a, b = [np.float32(v) for v in a], [np.float32(v) for v in b]
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(width, np.float32(0)) * max(height, np.float32(0))
    area_a = max(a[2] - a[0], np.float32(0)) * max(a[3] - a[1], np.float32(0))
    area_b = max(b[2] - b[0], np.float32(0)) * max(b[3] - b[1], np.float32(0))
    union = area_a + area_b - overlap
    return overlap / union if union > 0 else np.float32(0)


def match(detections, labels, thresholds=THRESHOLDS):
    correct = [[False] * len(thresholds) for _ in detections]
    ranking = sorted(range(len(detections)), key=lambda i: -detections[i][4])
    for column, threshold in enumerate(thresholds):
        taken = set()
        for i in ranking:
            best, best_iou = None, None
            for j, label in enumerate(labels):
                overlap = iou(detections[i][:4], label[1:])
                if label[0] != detections[i][5] or overlap < threshold:
                    continue
                if best is None or overlap >= best_iou:
                    best, best_iou = j, overlap
            if best is not None and best not in taken:
                taken.add(best)
                correct[i][column] = True
    return np.array(correct, bool).reshape(len(detections), len(thresholds))


def average_precision(hits, labels) -> float:
    """``hits``: one bool a detection of a class, most confident first."""
    points, right = [(0.0, 1.0)], 0
    for seen, hit in enumerate(hits, 1):
        right += hit
        points.append((right / labels, right / seen))
    points.append((1.0, 0.0))
    best, envelope = 0.0, []
    for recall, precision in reversed(points):
        best = max(best, precision)
        envelope.append((recall, best))
    envelope.reverse()
    heights = []
    for x in np.linspace(0, 1, 101):
        last = max(i for i, (recall, _) in enumerate(envelope) if recall <= x)
        if last == len(envelope) - 1:
            heights.append(envelope[last][1])
            continue
        (x0, y0), (x1, y1) = envelope[last], envelope[last + 1]
        heights.append(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
    return sum((a + b) / 2 / 100 for a, b in pairwise(heights))


def ap_by_class(images) -> dict[int, list[float]]:
    """``images``: pairs of detections and labels. Class -> AP at each threshold."""
    detections = []
    for rows, labels in images:
        for row, correct in zip(rows, match(rows, labels)):
            detections.append((row[4], int(row[5]), correct))
    detections.sort(key=lambda entry: -entry[0])
    classes = sorted({int(label[0]) for _, labels in images for label in labels})
    result = {}
    for category in classes:
        count = sum(int(label[0]) == category for _, labels in images for label in labels)
        mine = [correct for _, other, correct in detections if other == category]
        result[category] = [average_precision([c[t] for c in mine], count) if mine else 0.0 for t in range(10)]
    return result


def confusion(images, classes, conf=0.25, threshold=0.45):
    matrix = np.zeros((classes + 1, classes + 1), int)
    for rows, labels in images:
        rows = [row for row in rows if row[4] > conf]
        offers = {}
        for i, row in enumerate(rows):
            overlaps = [iou(row[:4], label[1:]) for label in labels]
            if not overlaps or max(overlaps) <= threshold:
                continue
            j = max(range(len(labels)), key=lambda j: (overlaps[j], j))
            if j not in offers or overlaps[j] > offers[j][1]:
                offers[j] = (i, overlaps[j])
        for j, label in enumerate(labels):
            predicted = int(rows[offers[j][0]][5]) if j in offers else classes
            matrix[predicted, int(label[0])] += 1
        winners = {i for i, _ in offers.values()}
        for i, row in enumerate(rows):
            if i not in winners:
                matrix[int(row[5]), classes] += 1
    return matrix
