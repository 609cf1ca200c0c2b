"""What every page of the project has: head, style, a bar of links, sections, foot; one file that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from yolo import __version__

STYLE = Path(__file__).with_name("page.css")


def document(
    title: str, header: str, sections: Sequence[tuple[str, str, str]], *, refresh: int = 0, after: str = ""
) -> str:
    """A whole page.

    ``title`` is text; ``header``, ``after`` (what stands behind everything) and the last of each section's id, title
    and content are HTML, escaped by whoever made them. ``refresh``: seconds until it is loaded anew, 0 for never.
    """
    links = "".join(f'<a href="#{key}">{name}</a>' for key, name, _ in sections)
    body = "".join(f'<section id="{key}"><h2>{name}</h2>{text}</section>' for key, name, text in sections)
    again = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{again}'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body>"
        f"<header><div>{header}</div></header>"
        f'<nav aria-label="Sections"><div>{links}</div></nav><main>{body}'
        f"<footer>Written by yolo {__version__}. This file needs no network.</footer></main>{after}</body></html>\n"
    )
