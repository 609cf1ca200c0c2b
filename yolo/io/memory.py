"""How much memory a process may still take: what the machine has free, within the limits of its control groups."""

from __future__ import annotations

from pathlib import Path

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")

_UNLIMITED = 2**60  # version 1 says "no limit" by a number about as large as this


def free_memory(proc: Path = PROC, cgroup: Path = CGROUP, *, most: bool = False) -> int:
    """Bytes that can be taken without pushing anything out; files that are only kept for speed count as free.

    The least of what the machine offers and what this process's control group, and those around it, leave (version 2,
    or the memory controller of version 1). Where nothing is told: no limit, 2 ** 60. ``most``: what a group's files in
    use would give up, too, so that more than this cannot be had.
    """
    return min([_of_machine(proc), *(_of_group(folder, most) for folder in _groups(proc, cgroup))])


def _of_machine(proc: Path) -> int:
    for line in _text(proc / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return _UNLIMITED


def _groups(proc: Path, cgroup: Path) -> list[Path]:
    """The folders of this process's groups, from the innermost to the root."""
    found = []
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or "memory" in controllers.split(","):
            root = cgroup / "memory" if controllers else cgroup
            inner = root / path.lstrip("/")
            found += [folder for folder in (inner, *inner.parents) if folder == root or root in folder.parents]
    # Inside a container the path may be the host's, which is not there; the root is then the container's own group.
    return found


def _of_group(folder: Path, files_in_use: bool) -> int:
    """What one group leaves."""
    for limit, used, total in (
        ("memory.max", "memory.current", ""),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
    ):
        most = _number(folder / limit)
        if most is None or most >= _UNLIMITED:
            continue
        kept = [f"{total}inactive_file", *([f"{total}active_file"] if files_in_use else [])]
        lines = (line.split() for line in _text(folder / "memory.stat").splitlines())
        dropped = sum(int(words[1]) for words in lines if words and words[0] in kept)
        return max(most - (_number(folder / used) or 0) + dropped, 0)
    return _UNLIMITED


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
