"""Wraps the paragraphs and list items of Markdown files at 100 characters; `make format` calls it.

    python scripts/wrap_docs.py           # all tracked Markdown files
    python scripts/wrap_docs.py FILE …

Code, tables, headings, images and HTML stay as they are, and so do inline code and links: a longer one is a line of its
own. Only lines that are too long are a reason to change a paragraph, so a reviewer sees no other changes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WIDTH = 100
LIST_ITEM = re.compile(r"(\s*)((?:[-*+]|\d+[.)])\s+)(.*)")
FENCE = re.compile(r"\s*(```|~~~)")
UNBREAKABLE = re.compile(r"`[^`]*`|\]\([^)]*\)")
FIXED = re.compile(r"\s*(?:\||#|<|!\[|:::|\[[^\]]+\]:|---)")  # lines that are no paragraph
MARKER = re.compile(r"(?:[-+*#>|]|\d+[.)])$")  # a word that would begin a list or a heading


def wrap_text(text: str) -> str:
    """A Markdown text with its long paragraphs wrapped."""
    result: list[str] = []
    paragraph: list[str] = []
    fenced = in_list = False
    for line in [*text.split("\n"), ""]:
        if FENCE.match(line):
            fenced = not fenced
        is_code = fenced or FENCE.match(line) or (not in_list and not paragraph and line.startswith("    "))
        if is_code or not line.strip() or FIXED.match(line):
            result += [*wrap_paragraph(paragraph), line]
            paragraph = []
            in_list = in_list and (not line.strip() or line.startswith(" "))
        elif item := LIST_ITEM.match(line):
            result += wrap_paragraph(paragraph)
            paragraph, in_list = [line], bool(item)
        else:
            paragraph.append(line)
            in_list = in_list and (len(paragraph) > 1 or line.startswith(" "))
    return "\n".join(result[:-1])


def wrap_paragraph(lines: list[str]) -> list[str]:
    """The lines of a paragraph or list item; unchanged where all are short."""
    if all(len(line) <= WIDTH for line in lines):
        return lines
    item = LIST_ITEM.match(lines[0])
    indent, marker = (item[1], item[2]) if item else (lines[0][: len(lines[0]) - len(lines[0].lstrip())], "")
    text = " ".join([(item[3] if item else lines[0]).strip(), *(line.strip() for line in lines[1:])])
    words: list[str] = []
    for word in UNBREAKABLE.sub(lambda match: match.group().replace(" ", "\0"), text).split():
        if words and MARKER.match(word):
            words[-1] += f"\0{word}"
        else:
            words.append(word)
    wrapped = [indent + marker + words[0]]
    for word in words[1:]:
        if len(wrapped[-1]) + 1 + len(word) <= WIDTH:
            wrapped[-1] += f" {word}"
        else:
            wrapped.append(indent + " " * len(marker) + word)
    return [line.replace("\0", " ") for line in wrapped]


def main(names: list[str]) -> None:
    tracked = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    for path in [Path(name) for name in names] or [ROOT / name for name in tracked.stdout.splitlines()]:
        text = path.read_text(encoding="utf-8")
        if (wrapped := wrap_text(text)) != text:
            path.write_text(wrapped, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
