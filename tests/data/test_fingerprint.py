"""Every change of any file is another fingerprint, however the system is asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from yolo.data import fingerprint as module
from yolo.data.fingerprint import fingerprint


@pytest.mark.parametrize("slow", [False, True])
def test_what_changes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: bool) -> None:
    monkeypatch.setattr(module, "_CHUNK", 2)
    files = [str(tmp_path / f"{k}\udcff") for k in range(7)]
    for k, file in enumerate(files[:-1]):
        Path(file).write_text("x" * k)
        os.utime(file, ns=(1, 10 + k))
    quick = fingerprint("a", files[:3], files[3:])
    if slow:  # as over a network: several files are asked for at once
        monkeypatch.setattr(module, "_SLOW", 0.0)
    assert fingerprint("a", files[:3], files[3:]) == quick
    seen = {quick, fingerprint("b", files[:3], files[3:]), fingerprint("a", files[:4], files[4:])}
    seen |= {fingerprint("a", files), fingerprint("a", files[::-1]), fingerprint("a", files, []), fingerprint("a")}
    assert len(seen) == 7

    newest = [quick]

    def changed() -> bool:
        newest.append(fingerprint("a", files[:3], files[3:]))
        return newest[-1] != newest[-2]

    for file in files:
        Path(file).write_text("longer than it was")
        assert changed()
        os.utime(file, ns=(1, 99))
        assert changed()
        os.unlink(file)
        assert changed()
    assert not changed()
