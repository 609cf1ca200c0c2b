from pathlib import Path

import pytest

from yolo.io.memory import free_memory

MACHINE = 8 * 2**30


@pytest.fixture
def system(tmp_path: Path):
    """Writes files below a root; gives the free memory that they amount to."""

    def make(groups: str = "", most: bool = False, **files: str) -> int:
        proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
        (proc / "self").mkdir(parents=True)
        (proc / "meminfo").write_text(f"MemTotal: 9999999 kB\nMemAvailable: {MACHINE // 1024} kB\n")
        (proc / "self" / "cgroup").write_text(groups)
        for name, text in files.items():
            path = cgroup / name.replace("__", "/").replace("memory_", "memory.")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return free_memory(proc, cgroup, most=most)

    return make


def test_without_groups_it_is_the_machines(system):
    assert system() == MACHINE


def test_files_that_may_be_dropped_count_as_free(system):
    stat = "anon 5\ninactive_file 300\nactive_file 7\n"
    assert system("0::/job\n", job__memory_max="1000\n", job__memory_current="800\n", job__memory_stat=stat) == 500


def test_files_in_use_count_where_it_is_asked_what_could_be_had_at_most(system):
    stat = "anon 5\ninactive_file 300\nactive_file 7\n"
    files = {"job__memory_max": "1000\n", "job__memory_current": "800\n", "job__memory_stat": stat}
    assert system("0::/job\n", most=True, **files) == 507


def test_the_tightest_group_around_decides(system):
    files = {"a__b__memory_max": "max\n", "a__memory_max": "900\n", "a__memory_current": "100\n"}
    assert system("0::/a/b\n", **files) == 800


def test_in_a_container_the_root_is_the_group(system):
    assert system("0::/docker/elsewhere\n", memory_max="700", memory_current="650") == 50


def test_version_one(system):
    files = {"memory__x__memory_limit_in_bytes": "600", "memory__x__memory_usage_in_bytes": "700"}
    assert system("5:cpu,memory:/x\n3:cpuset:/y\n0::/z\n", **files) == 0


def test_no_limit_is_none(system):
    assert system("5:memory:/x\n", memory__x__memory_limit_in_bytes=str(2**63 - 4096)) == MACHINE


def test_of_this_machine():
    assert 2**20 < free_memory() <= 2**60
    assert free_memory(Path("/nowhere"), Path("/nowhere")) == 2**60
