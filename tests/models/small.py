"""A small model configuration for tests that need speed and not accuracy."""

from __future__ import annotations

from typing import Any


def small_mapping(**instead: Any) -> dict[str, Any]:
    """A two-level network of a few thousand parameters, stride 4 and 8, two classes."""
    return {
        "nc": 2,
        "depth_multiple": 1.0,
        "width_multiple": 1.0,
        "anchors": [[5, 6, 8, 14], [15, 11, 30, 40]],
        "backbone": [
            [-1, 1, "Conv", [8, 3, 2]],
            [-1, 1, "Conv", [8, 3, 2]],
            [-1, 1, "C3", [8]],
            [-1, 1, "Conv", [16, 3, 2]],
            [-1, 1, "SPPF", [16, 5]],
        ],
        "head": [
            [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
            [[-1, 2], 1, "Concat", [1]],
            [-1, 1, "C3", [8, False]],
            [[7, 4], 1, "Detect", ["nc", "anchors"]],
        ],
        **instead,
    }
