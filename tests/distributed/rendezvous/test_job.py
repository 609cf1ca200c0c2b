"""What a rank knows of its job: whether all are of this machine, and the secret, which is its user's alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from yolo.distributed.ranks import Ranks
from yolo.distributed.rendezvous.job import Job, read_secret
from yolo.errors import ConfigError

RANKS = Ranks(1, 2)
TEXT = "0123456789abcdef"


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no launcher had started this process."""
    monkeypatch.setattr("yolo.distributed.rendezvous.job.launcher_of_all", str)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_behind_a_loopback_address_is_this_machine_alone(host: str) -> None:
    job = Job.of(RANKS, {"MASTER_ADDR": host})
    assert job.local and not job.open_to_all and job.ports == (29500,) and job.place == f"{host}:29500"


@pytest.mark.parametrize("host", ["10.0.0.1", "box", "localhost.example.org", "0.0.0.0"])
def test_other_addresses_are_open_to_all_without_a_secret(host: str) -> None:
    job = Job.of(RANKS, {"MASTER_ADDR": host, "MASTER_PORT": "2000"})
    assert not job.local and job.open_to_all and job.ports == (2000, 2001) and job.place == f"{host}:2001"
    assert not Job.of(RANKS, {"MASTER_ADDR": host, "YOLO_JOB_SECRET": TEXT}).open_to_all


def test_one_launcher_of_all_ranks_is_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.distributed.rendezvous.job.launcher_of_all", lambda: "pid:[1] 7 8")
    job = Job.of(RANKS, {"MASTER_ADDR": "10.0.0.1"})
    assert job.local and job.launcher == "pid:[1] 7 8" and job.launcher_digest != Job.of(Ranks(), {}).launcher


@pytest.mark.parametrize("port", ["", "0", "-1", "x", "65536", "99999"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^environment: MASTER_PORT={port} is not a port; give one from 1 to 65535$"
    ):
        Job.of(RANKS, {"MASTER_PORT": port})


def test_across_machines_the_port_behind_it_is_one_too() -> None:
    with pytest.raises(ConfigError, match="give one from 1 to 65534"):
        Job.of(RANKS, {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "65535"})


def secret_file(folder: Path, mode: int = 0o600, text: str = f"{TEXT}\n") -> dict[str, str]:
    path = folder / "secret"
    path.write_text(text)
    path.chmod(mode)
    return {"YOLO_JOB_SECRET_FILE": str(path)}


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_the_secret_is_in_the_environment_or_in_a_file(tmp_path: Path, mode: int) -> None:
    assert read_secret({}) == b"" == read_secret({"YOLO_JOB_SECRET": ""})
    assert read_secret({"YOLO_JOB_SECRET": TEXT}) == TEXT.encode() == read_secret(secret_file(tmp_path, mode))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666, 0o601])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    given = secret_file(tmp_path, mode)
    with pytest.raises(ConfigError, match=rf"is not this user's alone \(mode {mode:o}, .*; run: chmod 600 "):
        read_secret(given)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    given = secret_file(tmp_path)
    os.chown(given["YOLO_JOB_SECRET_FILE"], 12345, -1)
    with pytest.raises(ConfigError, match=r"is not this user's alone \(mode 600, user 12345\)"):
        read_secret(given)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="is not this user's alone"):
        read_secret({"YOLO_JOB_SECRET_FILE": str(tmp_path / "pipe")})
    with pytest.raises(ConfigError, match="No such file or directory; give all ranks the same file"):
        read_secret({"YOLO_JOB_SECRET_FILE": str(tmp_path / "none")})
    with pytest.raises(ConfigError, match="Is a directory"):
        read_secret({"YOLO_JOB_SECRET_FILE": str(tmp_path)})


def test_one_that_can_be_guessed_is_refused_and_never_shown(tmp_path: Path) -> None:
    line = "has 6 characters, 16 at least are needed; make one: python -c 'import secrets"
    with pytest.raises(ConfigError, match=f"^YOLO_JOB_SECRET: {line}") as refusal:
        read_secret({"YOLO_JOB_SECRET": "qwerty"})
    assert "qwerty" not in str(refusal.value)
    with pytest.raises(ConfigError, match="has 0 characters"):
        read_secret(secret_file(tmp_path, text="\n"))
    with pytest.raises(ConfigError, match="YOLO_JOB_SECRET_FILE: YOLO_JOB_SECRET is given too; unset one of them"):
        read_secret({"YOLO_JOB_SECRET": TEXT, "YOLO_JOB_SECRET_FILE": "x"})
