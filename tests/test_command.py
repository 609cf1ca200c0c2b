"""What every command keeps to: exit codes, one line on stderr, results on stdout, a folder for each run."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from yolo.command import new_run_folder, remove_if_empty, require_source, run_command
from yolo.config.options import option
from yolo.errors import ConfigError, DataError, Interrupted, YoloError


@dataclasses.dataclass(frozen=True)
class Config:
    """Do something."""

    size: int = option(3, "how much", low=1)
    json: bool = option(False, "print JSON")


@pytest.fixture(autouse=True)
def logger():
    """The project's logger as a fresh process has it; afterwards as it was."""
    logger = logging.getLogger("yolo")
    before = (logger.handlers[:], logger.propagate, logger.level)
    logger.handlers, logger.propagate = [], True
    yield logger
    logger.handlers, logger.propagate, logger.level = before


def run(action, *argv):
    return run_command("yolo.thing", Config, action, argv)


def failing(error):
    def action(config):
        raise error

    return action


def test_success_says_nothing_of_itself(capsys):
    assert run(lambda config: {"size": config.size}, "--size", "4") == 0
    assert capsys.readouterr() == ("", "")


def test_sigterm_ends_a_command_as_ctrl_c_does(capsys):
    cleaned = []

    def action(config):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            cleaned.append(config)

    assert run(action) == 128 + signal.SIGTERM and cleaned
    assert capsys.readouterr() == ("", "yolo.thing: interrupted\n")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_whoever_looks_after_sigterm_still_does(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    seen = []
    assert run(lambda config: seen.append(signal.getsignal(signal.SIGTERM)) or {}) == 0
    assert seen == [signal.SIG_DFL]


def test_a_reader_that_goes_away_is_no_error():
    code = "from tests.test_command import run; raise SystemExit(run(lambda config: print('x' * 100000) or {}))"
    root = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root, text=True
    )
    process.stdout.close()
    assert process.wait(60) == 128 + signal.SIGPIPE and process.stderr.read() == ""


def test_another_broken_pipe_is_not_kept_quiet(capsys):
    with pytest.raises(BrokenPipeError):
        run(failing(BrokenPipeError(errno.EPIPE, "a tracker's socket")))


def test_a_process_without_stdout():
    code = "from tests.test_command import run; raise SystemExit(run(lambda config: {}, '--json'))"
    root = Path(__file__).parents[1]
    argv = ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code]
    done = subprocess.run(argv, stderr=subprocess.PIPE, cwd=root, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_json_is_one_object_on_stdout(capsys):
    assert run(lambda config: {"size": config.size, "names": ["血"]}, "--size", "4", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"schema_version": 1, "command": "thing", "size": 4, "names": ["血"]}
    assert (len(out.splitlines()), err) == (1, "")


def test_options_come_from_the_process_when_none_are_given(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["thing.py", "--size", "7"])
    seen = []
    assert run_command("yolo.thing", Config, lambda config: seen.append(config.size)) == 0
    assert seen == [7]


@pytest.mark.parametrize("kind", [YoloError, ConfigError, DataError])
def test_a_users_mistake_is_one_line_and_2(capsys, kind):
    assert run(failing(kind("is\nodd", where="a.yaml", hint="mend it"))) == 2
    assert capsys.readouterr() == ("", "yolo.thing: a.yaml: is odd; mend it\n")


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (
            DataError("is odd", where=Path("a.yaml"), hint="mend it"),
            2,
            {"kind": "DataError", "message": "a.yaml: is odd; mend it", "where": "a.yaml", "mend": "mend it"},
        ),
        (YoloError("odd"), 2, {"kind": "YoloError", "message": "odd", "where": None, "mend": None}),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/x"),
            2,
            {"kind": "OSError", "message": "/data/x: No space left on device", "where": "/data/x", "mend": None},
        ),
        (
            MemoryError("9 GB"),
            2,
            {
                "kind": "MemoryError",
                "message": "not enough memory (9 GB); lower --imgsz or --batch-size",
                "where": None,
                "mend": "lower --imgsz or --batch-size",
            },
        ),
        (
            Interrupted("stopped at epoch 3", signal=15),
            143,
            {"kind": "Interrupted", "message": "stopped at epoch 3", "where": None, "mend": None},
        ),
        (
            KeyboardInterrupt(),
            130,
            {"kind": "Interrupted", "message": "interrupted", "where": None, "mend": None},
        ),
    ],
)
@pytest.mark.parametrize("flag", ["--json", "--jso"])
def test_with_json_an_error_is_an_object(capsys, error, code, told, flag):
    assert run(failing(error), flag) == code
    out, err = capsys.readouterr()
    assert json.loads(out) == {"schema_version": 1, "command": "thing", "error": told, "exit_code": code}
    assert (len(out.splitlines()), err) == (1, f"yolo.thing: {told['message']}\n")


def test_with_json_our_own_mistakes_leave_stdout_alone(capsys):
    with pytest.raises(ZeroDivisionError):
        run(failing(ZeroDivisionError()), "--json")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("rank", "objects"), [("0", 1), ("1", 0)])
def test_of_several_ranks_one_prints_the_object(capsys, monkeypatch, rank, objects):
    for name, value in {"WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank}.items():
        monkeypatch.setenv(name, value)
    error = DataError("is odd")
    error.own = True
    assert run(failing(error), "--json") == 2
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), err) == (objects, "yolo.thing: is odd\n")


@pytest.mark.parametrize("argv", [["--size", "0"], ["--size", "x"], ["--siez", "1"], ["--size"], ["image.jpg"]])
def test_a_wrong_command_line_is_one_line_and_2(capsys, argv):
    assert run(failing(AssertionError("not to be called")), *argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("yolo.thing: ") and len(err.splitlines()) == 1
    assert run(failing(AssertionError("not to be called")), "--json", *argv) == 2
    out, err = capsys.readouterr()
    assert f"yolo.thing: {json.loads(out)['error']['message']}\n" == err


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.EPERM, errno.EIO])
def test_a_failing_disk_is_one_line_and_2(capsys, code):
    assert run(failing(OSError(code, os.strerror(code), "/data/last.pt"))) == 2
    assert capsys.readouterr() == ("", f"yolo.thing: /data/last.pt: {os.strerror(code)}\n")


@pytest.mark.parametrize("code", [errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY])
def test_what_is_in_the_way_is_named_as_the_user_knows_it(capsys, code):
    assert run(failing(OSError(code, os.strerror(code), "/data/.best.k3bd92xa.onnx", None, "/data/best.onnx"))) == 2
    hint = "move what is in the way elsewhere, or choose another place"
    assert capsys.readouterr() == ("", f"yolo.thing: /data/best.onnx: {os.strerror(code)}; {hint}\n")


@pytest.mark.parametrize(("name", "said"), [("/data/.best.k3bd92xa.onnx", "/data"), (".best.onnx.k3bd92xa", ".")])
def test_of_a_temporary_file_the_folder_is_named(capsys, name, said):
    assert run(failing(OSError(errno.EROFS, os.strerror(errno.EROFS), name))) == 2
    assert capsys.readouterr() == ("", f"yolo.thing: {said}: {os.strerror(errno.EROFS)}\n")


@pytest.mark.parametrize("action", ["lambda config: {}", "failing(DataError('is odd'))"])
def test_a_full_disk_behind_stdout_is_one_line(action):
    code = f"from tests.test_command import DataError, failing, run; raise SystemExit(run({action}, '--json'))"
    with open("/dev/full", "w") as full:
        argv = [sys.executable, "-c", code]
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, cwd=Path(__file__).parents[1], text=True)
    said = "is odd" if "odd" in action else "disk: No space left on device"
    assert (done.returncode, done.stderr) == (2, f"yolo.thing: {said}\n")


def test_a_full_disk_without_a_name(capsys):
    assert run(failing(OSError(errno.ENOSPC, "No space left on device"))) == 2
    assert capsys.readouterr().err == "yolo.thing: disk: No space left on device\n"


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError(errno.EBADF, "odd"), KeyError("x")])
def test_our_own_mistakes_are_not_hidden(error):
    with pytest.raises(type(error)):
        run(failing(error))


def test_an_interrupt_is_130(capsys):
    assert run(failing(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "yolo.thing: interrupted\n")


def test_help_is_a_result(capsys):
    with pytest.raises(SystemExit) as caught:
        run(failing(AssertionError("not to be called")), "--help")
    out, err = capsys.readouterr()
    assert (caught.value.code, err) == (0, "")
    assert "Do something." in out and "--size" in out


def test_log_lines_go_to_stderr_once(capsys, logger):
    def action(config):
        logging.getLogger("yolo.data").info("at work")
        return {}

    assert run(action) == run(action) == 0
    assert capsys.readouterr() == ("", "at work\nat work\n")


def test_folders_are_numbered(tmp_path):
    project = tmp_path / "runs" / "train"
    assert [new_run_folder(str(project), "exp", False).name for _ in range(3)] == ["exp", "exp2", "exp3"]
    assert sorted(path.name for path in project.iterdir()) == ["exp", "exp2", "exp3"]


def test_a_number_is_never_used_twice(tmp_path):
    for name in ("exp", "exp2", "exp10", "exp10x", "explore99", "my-exp50"):
        (tmp_path / name).mkdir()
    assert new_run_folder(str(tmp_path), "exp", False).name == "exp11"


def test_a_name_is_not_a_pattern(tmp_path):
    for name in ("a.b", "axb7"):
        (tmp_path / name).mkdir()
    assert new_run_folder(str(tmp_path), "a.b", False).name == "a.b2"


def test_exist_ok_writes_into_the_folder(tmp_path):
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp" / "kept").touch()
    for _ in range(2):
        assert new_run_folder(str(tmp_path), "exp", True) == tmp_path / "exp"
    assert (tmp_path / "exp" / "kept").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["exp"]


def test_a_file_of_the_runs_name_is_left_alone(tmp_path):
    (tmp_path / "exp").write_text("kept")
    assert new_run_folder(str(tmp_path), "exp", False).name == "exp2"
    with pytest.raises(ConfigError, match="exp: is a file, not a folder; choose another --project"):
        new_run_folder(str(tmp_path), "exp", True)
    assert (tmp_path / "exp").read_text() == "kept"


@pytest.mark.parametrize("exist_ok", [False, True])
@pytest.mark.parametrize("below", ["", "deep/er"])
def test_a_file_in_the_way(tmp_path, below, exist_ok):
    (tmp_path / "runs").write_text("kept")
    with pytest.raises(ConfigError, match="is a file, not a folder"):
        new_run_folder(str(tmp_path / "runs" / below), "exp", exist_ok)
    assert (tmp_path / "runs").read_text() == "kept"


def test_a_name_of_several_folders(tmp_path):
    names = [new_run_folder(str(tmp_path), "cars/small", False) for _ in range(3)]
    assert [path.relative_to(tmp_path).as_posix() for path in names] == ["cars/small", "cars/small2", "cars/small3"]


def test_a_name_no_disk_takes_is_the_users_mistake(tmp_path, capsys):
    assert run(lambda config: new_run_folder(str(tmp_path), "x" * 300, False)) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_only_an_empty_folder_is_taken_away(tmp_path):
    folder = new_run_folder(str(tmp_path), "exp", False)
    (folder / "kept").touch()
    remove_if_empty(folder)
    assert (folder / "kept").exists()
    (folder / "kept").unlink()
    remove_if_empty(folder)
    assert not folder.exists()
    remove_if_empty(folder)


def test_a_source_is_needed():
    assert require_source("a.jpg", "--source") == "a.jpg"
    with pytest.raises(DataError, match=r"^--source: nothing to work on"):
        require_source("", "--source")
