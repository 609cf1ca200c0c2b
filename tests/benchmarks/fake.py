"""A contender for the driver's tests: as slow, wrong or fragile as its options say."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import numpy as np

from benchmarks.workers.serve import serve


class Fake:
    """Sleeps ``ms`` milliseconds a run."""

    def load(self, ms: float, value: float = 1.0, fault: str = "", order: str = "", letter: str = "") -> None:
        """fault: load, run or end, where it fails; order: a file to which every run appends ``letter``."""
        print("a library talks on stdout")
        self.ms, self.value, self.fault, self.order, self.letter = ms, value, fault, order, letter
        if fault == "load":
            raise ValueError("lacks\nwhat it needs")

    def run(self) -> Mapping[str, float]:
        if self.fault == "run":
            raise RuntimeError("a run fails")
        if self.fault == "end":
            os.write(2, b"something went wrong\n")
            os._exit(3)
        if self.order:
            with open(self.order, "a", encoding="utf-8") as stream:
                stream.write(self.letter)
        time.sleep(self.ms / 1000)
        return {"inner_ms": self.ms / 2}

    def outputs(self) -> Mapping[str, np.ndarray]:
        return {"head0": np.full((2, 3), self.value, np.float32)}


if __name__ == "__main__":
    serve(Fake())
