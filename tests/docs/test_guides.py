"""The guides' commands are run as they stand, on a small data set with narrow networks; what is not run says why.

Behind a training stands ``--epochs 1`` here, and behind all but the first day's ``--noplots``: the text stays as it is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import socket
from pathlib import Path

import pytest

from tests.docs.guides import GUIDES, TOPICS, Block, anchors_of, blocks_of, links_of
from tests.docs.sandbox import LAUNCHER, ROOT, copied, inside, make_sandbox, run_command
from tests.docs.troubles import PREPARED
from tests.once import made_once
from yolo.config import commands

TROUBLES = "troubleshooting.md"
LANGUAGES = {"sh", "console", "python", "yaml", "text"}
BEHIND = {"yolo.train": "--epochs 1 --noplots", "yolo.val": "--noplots"}
PLACE = "/home/you/helmets"
"""What the guides call the folder that commands run in."""
ELSEWHERE = {"help", "master_port", "node_rank"}
"""Options that are not of one command: of all, and of the launcher."""
FIRST = (
    "python -m yolo.train --data my.yaml --weights yolov5n.pt --imgsz 64 --epochs 1 --noplots",
    "python -m yolo.export --weights runs/train/exp/weights/best.safetensors",
)
"""What has happened in that folder before a guide begins."""
CONFIGS = {
    f"yolo.{name.removesuffix('Config').lower()}": config
    for name, config in vars(commands).items()
    if name.endswith("Config")
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, images and weights, and one training on them as runs/train/exp."""

    def make(folder: Path) -> Path:
        place = make_sandbox(folder / "home")
        (yaml,) = (block for block in blocks_of(GUIDES / "own-data.md") if block.language == "yaml")
        (place / yaml.name).write_text(yaml.text + "\n", encoding="utf-8")
        for line in FIRST:
            done = run_command(line, place)
            assert done.code == 0, done.err
        (place / "runs/train/exp/weights/best.program").rename(place / "detector.program")
        return place

    return made_once(tmp_path_factory, "guides", make)


def put_behind(line: str) -> str:
    """What a test puts behind a command."""
    return next((options for command, options in BEHIND.items() if f"-m {command} " in f"{line} "), "")


def run_block(block: Block, folder: Path) -> None:
    """Run a block that has no reason not to be."""
    if block.language == "yaml":
        (folder / block.name).write_text(block.text + "\n", encoding="utf-8")
    elif block.language == "python":
        with inside(folder), contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})
    elif block.language == "console":
        say_so(block, folder)
    elif block.language == "sh":
        for line in block.commands:
            done = run_command(line, folder, put_behind(line))
            assert done.code == 0, f"{block}: {line}\n{done.err}"


def say_so(block: Block, folder: Path) -> None:
    """The command says the lines of the block, in their order; ``…`` stands for anything."""
    (line,) = block.commands
    behind = "" if "--epochs" in line else put_behind(line)
    done = run_command(line, folder, behind)
    said = f"{done.out}\n{done.err}".replace(str(folder), PLACE).splitlines()
    rest = iter(said)
    for wanted in block.printed:
        pattern = ".*".join(map(re.escape, wanted.rstrip().split("…")))
        assert any(re.fullmatch(pattern, one.rstrip()) for one in rest), f"{block}: {wanted}\n" + "\n".join(said)
    refused = any(one.startswith("yolo.") for one in block.printed)
    codes = (0, 1) if not refused else (1,) if LAUNCHER in line else (2, 3)
    assert done.code in codes and "Traceback" not in done.err, f"{block}: {done.code}\n{done.err}"


@pytest.mark.parametrize("topic", [topic for topic in TOPICS if topic != TROUBLES])
def test_what_a_guide_says_to_type_works(topic: str, home: Path, tmp_path: Path) -> None:
    folder = copied(home, tmp_path / "home")
    ran = 0
    for block in blocks_of(GUIDES / topic):
        if not block.reason:
            run_block(block, folder)
            ran += block.language in ("sh", "python", "console")
    assert ran >= 3


@pytest.mark.parametrize(
    "block",
    [block for block in blocks_of(GUIDES / TROUBLES) if block.language == "console"],
    ids=lambda block: block.heading,
)
def test_an_error_is_said_in_these_words(block: Block, home: Path, tmp_path: Path) -> None:
    if block.reason:
        pytest.skip(block.reason)
    folder = copied(home, tmp_path / "home")
    held = PREPARED.get(block.heading, lambda folder: None)(folder)
    say_so(block, folder)
    if isinstance(held, socket.socket):
        held.close()


def test_each_preparation_is_of_an_entry() -> None:
    assert set(PREPARED) <= {block.heading for block in blocks_of(GUIDES / TROUBLES)}


@pytest.mark.parametrize("topic", TOPICS)
def test_both_languages_say_the_same_commands(topic: str) -> None:
    ours, theirs = (blocks_of(folder / topic) for folder in (GUIDES, GUIDES / "zh"))
    assert [block.language for block in ours] == [block.language for block in theirs]
    for one, other in zip(ours, theirs):
        assert code_of(one) == code_of(other), f"{one}, {other}"
        assert bool(one.reason) == bool(other.reason), f"{one}, {other}"
    levels = [re.findall(r"^#+(?= )", (folder / topic).read_text(), re.MULTILINE) for folder in (GUIDES, GUIDES / "zh")]
    assert levels[0] == levels[1]


def code_of(block: Block) -> list[str]:
    """A block's lines without remarks, which are in the page's language."""
    return [re.sub(r"(^|\s+)# .*$", "", line) for line in block.text.splitlines()]


def test_every_topic_is_there_in_both_languages_and_linked() -> None:
    assert sorted(path.name for path in (GUIDES / "zh").glob("*.md")) == TOPICS
    for page, folder in (("README.md", "docs/guide"), ("README.zh-CN.md", "docs/guide/zh")):
        assert {f"{folder}/{topic}" for topic in TOPICS} <= set(links_of(ROOT / page))


@pytest.mark.parametrize("file", [*GUIDES.rglob("*.md"), ROOT / "README.md", ROOT / "README.zh-CN.md"], ids=str)
def test_links_lead_somewhere(file: Path) -> None:
    for link in links_of(file):
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), f"{file}: {link}"
        assert not anchor or anchor in anchors_of(target), f"{file}: {link}"


@pytest.mark.parametrize("file", GUIDES.rglob("*.md"), ids=lambda file: str(file.relative_to(GUIDES)))
def test_every_block_and_option_is_known(file: Path) -> None:
    blocks = blocks_of(file)
    assert {block.language for block in blocks} <= LANGUAGES
    for line in (line for block in blocks if block.language == "sh" for line in block.commands):
        command = next((word for word in line.split() if word in CONFIGS), None)
        for name in re.findall(r" --([a-z0-9_-]+)", line.partition(command)[2]) if command else ():
            assert is_option(CONFIGS[command], name), f"{file}: {line}: --{name}"
    text = re.sub(r"^```.*?^```$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`--([a-z0-9_-]+)", text)) - ELSEWHERE
    unknown = {name for name in named if not any(is_option(config, name) for config in CONFIGS.values())}
    assert not unknown


def is_option(config: type, name: str) -> bool:
    """Whether the command has it under its name or another one."""
    fields = dataclasses.fields(config)
    others = {alias.lstrip("-") for field in fields for alias in field.metadata["aliases"]}
    return name in others | {field.name.replace("_", "-") for field in fields}
