"""``--evolve``: a genetic search over the hyperparameters, one training a generation."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from yolo.command import new_run_folder, remove_if_empty
from yolo.config.commands import TrainConfig
from yolo.config.hyp import load_hyperparameters, recipe
from yolo.config.options import to_yaml
from yolo.engine.evolution.generation import Generation, GenerationError, TrainingProcess
from yolo.engine.evolution.mutation import choose_parent, mutate, within_ranges
from yolo.engine.evolution.table import METRICS, EvolutionTable
from yolo.engine.resume import NEWEST, OF_THE_MACHINE, merged, own_options
from yolo.engine.run_files import GENERATIONS
from yolo.errors import ConfigError
from yolo.io.files import held, write_text_atomic

logger = logging.getLogger("yolo")

PROJECT = "runs/evolve"
"""Where searches go unless --project says otherwise."""
MOST_FAILURES = 3
"""So many trainings in a row without a result, and something else than the hyperparameters is wrong."""
_NO_RESULT = (0.0,) * 4 + (float("nan"),) * 3
_POLL_SECONDS = 0.1

_CHANGEABLE = ("evolve", "parallel", "bucket", *OF_THE_MACHINE)
"""Options that a search which goes on takes from the command line."""

Launch = Callable[[int, int, Mapping[str, float]], Generation]
"""Starts the training of generation number … in slot number …, with these hyperparameters."""


@dataclasses.dataclass
class _Running:
    values: dict[str, float]
    training: Generation
    begin: float


def evolve(
    config: TrainConfig, launch: Launch | None = None, listeners: Sequence[Callable[[Path], None]] = ()
) -> dict[str, Any]:
    """Search until ``evolve.csv`` has ``config.evolve`` generations; give the command's JSON object without its head.

    A search that was stopped goes on when it is run again in its folder, with the options of ``resumed_search``.
    ``listeners`` get the folder after each generation, with ``evolve.csv`` and ``hyp_evolve.yaml`` up to date.
    """
    values = starting_values(config)
    folder = _folder(config)
    with held(folder, "another search is at work here", "use --parallel for trainings side by side"):
        try:
            table = EvolutionTable(folder / "evolve.csv", list(values))
            search = Search(config, folder, table, values, launch or _launcher(config, folder), listeners)
            try:
                search.run()
            finally:
                search.close()
        except BaseException:
            remove_if_empty(folder)
            raise
    return _result(config, folder, table)


def resumed_search(asked: TrainConfig) -> TrainConfig:
    """The search that ``asked.resume`` means: its own options, with as many generations as are asked for.

    Raises ConfigError where there is none.
    """
    folder = _folder(asked)
    return dataclasses.replace(merged(own_options(folder), asked, folder, _CHANGEABLE), resume=str(folder))


def starting_values(config: TrainConfig) -> dict[str, float]:
    """The recipe that the search starts from, brought into the ranges that it keeps to."""
    given = recipe(load_hyperparameters(config.hyp))
    if config.noautoanchor:
        given.pop("anchors", None)
    values = within_ranges(given)
    moved = [f"{name} {given[name]:g} to {values[name]:g}" for name in given if abs(given[name] - values[name]) > 1e-5]
    if moved:
        logger.info("clipped to the ranges of the search: %s", ", ".join(moved))
    return values


class Search:
    """Trainings side by side, each the child of one of the best before it; a line in the table for each."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        table: EvolutionTable,
        start: Mapping[str, float],
        launch: Launch,
        listeners: Sequence[Callable[[Path], None]] = (),
    ) -> None:
        self._config, self._folder, self._table, self._launch = config, folder, table, launch
        self._start, self._listeners = dict(start), listeners
        self._running: dict[int, _Running] = {}
        self._next, self._failures = len(table), 0
        self._new = not (folder / "opt.yaml").exists()

    def run(self) -> None:
        """Train until there are enough generations; raises GenerationError when trainings cannot succeed."""
        wanted, begun = self._config.evolve, len(self._table)
        write_text_atomic(self._folder / "opt.yaml", to_yaml(dataclasses.replace(self._config, resume="")))
        if begun:
            logger.info("%d generations are there already, in %s", begun, self._folder)
        while len(self._table) < wanted:
            for slot in range(self._config.parallel):
                if slot not in self._running and len(self._table) + len(self._running) < wanted:
                    self._begin(slot)
            if not any([self._look_at(slot) for slot in list(self._running)]):
                time.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """Stop what is running, and draw what was found."""
        for running in self._running.values():
            running.training.stop()
        left = len(self._running)
        shutil.rmtree(self._folder / GENERATIONS, ignore_errors=True)
        if not len(self._table):
            if self._new:
                (self._folder / "opt.yaml").unlink(missing_ok=True)
            return
        if not self._config.noplots:
            from yolo.plots.evolution import plot_evolution

            plot_evolution(self._table, self._folder / "evolve.png")
        if left:
            logger.info("%d generations are kept; to go on: --resume %s", len(self._table), self._folder)

    def _begin(self, slot: int) -> None:
        number, self._next = self._next, self._next + 1
        values = self._values(number)
        training = self._launch(number, slot, values)
        self._running[slot] = _Running(values, training, time.monotonic())

    def _values(self, number: int) -> dict[str, float]:
        """The hyperparameters of a generation: the recipe's own, then children; the seed decides."""
        if number == 0:
            return self._start
        rng = np.random.default_rng([self._config.seed, number])
        table = self._table
        return mutate(table.values(choose_parent(table.fitness(), rng)) if len(table) else self._start, rng)

    def _look_at(self, slot: int) -> bool:
        """Note the slot's training if it has ended; say whether it has."""
        running = self._running[slot]
        try:
            metrics = running.training.poll()
        except GenerationError as error:
            metrics = self._failed(error)
        if metrics is None:
            return False
        del self._running[slot]
        running.training.stop()
        self._note(running, metrics)
        return True

    def _failed(self, error: GenerationError) -> tuple[float, ...]:
        """A training that gave up is a generation without fitness, unless nothing else than that happens."""
        self._failures += 1
        if not error.diverged or not len(self._table) or self._failures >= MOST_FAILURES:
            raise error
        logger.warning("generation %d has no result: %s", len(self._table), error)
        return _NO_RESULT

    def _note(self, running: _Running, metrics: tuple[float, ...]) -> None:
        if metrics is not _NO_RESULT:
            self._failures = 0
        self._table.append(metrics, running.values)
        self._table.write_best(self._folder / "hyp_evolve.yaml")
        fitness, best = self._table.fitness(), self._table.best()
        logger.info(
            "generation %d (%d of %d): fitness %.4f in %.0f s; best %.4f (generation %d)",
            *(len(fitness) - 1, len(fitness), self._config.evolve, fitness[-1]),
            *(time.monotonic() - running.begin, fitness[best], best),
        )
        for listener in self._listeners:
            listener(self._folder)


def _launcher(config: TrainConfig, folder: Path) -> Launch:
    """Trainings as processes; side by side, each has its share of the cores, or one of the devices."""
    cores = sorted(os.sched_getaffinity(0))
    count = min(config.parallel, len(cores))
    devices = config.device.split(",")

    def launch(number: int, slot: int, values: Mapping[str, float]) -> Generation:
        mine = cores[slot % count :: count] if count > 1 else None
        options = dataclasses.replace(config, device=devices[slot % len(devices)].strip())
        return TrainingProcess(options, folder / GENERATIONS / str(number), values, mine)

    return launch


def _folder(config: TrainConfig) -> Path:
    """Where the search goes: a new folder, or that of the search that --resume means."""
    project = PROJECT if config.project == TrainConfig.project else config.project
    if not config.resume:
        return new_run_folder(project, config.name, config.exist_ok)
    hint = "name a search's folder: --evolve N --resume FOLDER"
    if config.resume == NEWEST:
        tables = sorted(Path(project).glob("*/evolve.csv"), key=lambda table: table.stat().st_mtime_ns)
        if not tables:
            raise ConfigError(f"no search in {project}", where="--resume", hint=hint)
        return tables[-1].parent
    folder = Path(config.resume)
    if not (folder / "opt.yaml").is_file() or not own_options(folder).evolve:
        raise ConfigError("is not a search folder", where=f"--resume {folder}", hint=hint)
    return folder


def _result(config: TrainConfig, folder: Path, table: EvolutionTable) -> dict[str, Any]:
    best = table.best()
    row = table.rows[best]
    logger.info("hyperparameters of generation %d: %s", best, folder / "hyp_evolve.yaml")
    if not config.json:
        print((folder / "hyp_evolve.yaml").read_text(encoding="utf-8"), end="")
    names = ("precision", "recall", "map50", "map50_95")
    return {
        "save_dir": str(folder),
        "generations": len(table),
        "best_generation": best,
        "fitness": table.fitness()[best],
        "metrics": dict(zip(names, (row[name] for name in METRICS[:4]))),
        "hyp": table.values(best),
    }
