"""``yolo.train`` on cores of its own: CORES "0,1/2,3" are those of the first and second process of this machine."""

from __future__ import annotations

import os
import sys


def main(cores: str, *words: str) -> int:
    """Pin this process, then train; "" pins to nothing."""
    if cores:
        own = cores.split("/")[int(os.environ.get("LOCAL_RANK", "0"))]
        os.sched_setaffinity(0, map(int, own.split(",")))
    # Only now: threads that a library starts have the cores of their time.
    from yolo.train import main as train

    return train(list(words))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
