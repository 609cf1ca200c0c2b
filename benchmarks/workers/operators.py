"""What the workers of ``cuda_ops`` share: every case once a run, each with a time of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.cuda_cases import Case, read_cases

Arrays = Mapping[str, np.ndarray]


class OperatorTask:
    """Subclasses say what a case gives and how long it takes. A case that fails leaves out its time and says why."""

    def load(self, folder: str, runs: int, **options: str) -> None:
        """folder: of the cases; runs: that are timed together."""
        self._runs, self._failures = runs, {}
        self.start(**options)
        self._cases = read_cases(folder)

    def start(self, **options: str) -> None:
        """Make the device ready."""
        raise NotImplementedError

    def results(self, case: Case) -> Arrays:
        """What the operator gives, fresh."""
        raise NotImplementedError

    def times(self, case: Case, runs: int) -> Mapping[str, float]:
        """Milliseconds a run of each part of the case, "run" where it has none."""
        raise NotImplementedError

    def run(self) -> Mapping[str, float]:
        """The times of all cases, "case" or "case: part"."""
        found: dict[str, float] = {}
        for case in self._cases:
            times = self._guarded(case, lambda case=case: self.times(case, self._runs))
            found |= {case.name if part == "run" else f"{case.name}: {part}": ms for part, ms in times.items()}
        return found

    def outputs(self) -> Arrays:
        """Every case's results as "case/array", and of one that fails "case/failure"."""
        found: dict[str, np.ndarray] = {}
        for number, case in enumerate(self._cases):
            results = self._guarded(case, lambda case=case: self.results(case))
            if why := self._failures.get(case.name):
                results = {"failure": np.array(why)}
            found |= {f"{number}/{name}": np.asarray(array) for name, array in results.items()}
        return found

    def _guarded(self, case: Case, act: Callable[[], Mapping]) -> Mapping:
        if case.name in self._failures:
            return {}
        try:
            return act()
        except Exception as error:
            self._failures[case.name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            return {}
