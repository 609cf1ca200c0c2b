"""The guides as a reader sees them: blocks of code, what stands before them, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.docs.sandbox import ROOT

GUIDES = ROOT / "docs" / "guide"
TOPICS = sorted(path.name for path in GUIDES.glob("*.md"))
NOT_RUN = re.compile(r"\*(?:Not run by the tests: |测试不运行：)(?P<reason>.{8,})\*")
"""The line before a block that no test runs."""
_FENCE = re.compile(r"^```(\w*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block; reason: why no test runs it, '' where one does."""

    file: Path
    line: int
    language: str
    text: str
    reason: str
    heading: str

    @property
    def commands(self) -> list[str]:
        """Of ``sh`` its lines, of ``console`` those behind a ``$``; continued lines are joined, comments left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            return [line[2:] for line in lines if line.startswith("$ ")]
        return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]

    @property
    def printed(self) -> list[str]:
        """Of ``console`` what the command says."""
        return [line for line in self.text.splitlines() if line and not line.startswith("$ ")]

    @property
    def name(self) -> str:
        """The file that a block of YAML is, as its first line says."""
        return self.text.split("\n", 1)[0].removeprefix("# ").strip()

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


def blocks_of(file: Path) -> list[Block]:
    """All blocks of a guide, in order."""
    found, before, heading, start = [], "", "", None
    lines = file.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        fence = _FENCE.match(line)
        if start is None and fence:
            start, language, reason = number, fence[1], NOT_RUN.fullmatch(before)
        elif start is not None and line == "```":
            text = "\n".join(lines[start : number - 1])
            found.append(Block(file, start, language, text, reason["reason"] if reason else "", heading))
            start, before = None, ""
        elif start is None and line.strip():
            before = line.strip()
            heading = line.lstrip("# ") if line.startswith("#") else heading
    assert start is None, f"{file}: a block without an end"
    return found


def links_of(file: Path) -> list[str]:
    """Targets of the links in a page's text, without those to the web."""
    text = re.sub(r"^```.*?^```$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def anchors_of(file: Path) -> set[str]:
    """What a link may name behind ``#``, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
