"""Finds words that the project does not use, in identifiers and in prose, and names the better ones.

    python scripts/check_words.py            # all tracked files
    python scripts/check_words.py FILE …

Identifiers are split at underscores and capitals, so `spill_colour` and `ColourMap` are found like "colour". The list
holds metaphors for what has a name in the field, and British spellings. A word that is right in some context (a
third-party name, a title) has a pattern below that is taken out of the line first.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("nmjax", "tests", "benchmarks", "scripts", "docs", "configs", "examples")
SUFFIXES = {".py", ".md", ".yaml", ".toml", ".ipynb", ".j2", ".html", ".js", ".css", ".cff"}
# This list itself, and what quotes the words on purpose.
EXCLUDED = {"scripts/check_words.py", "CHANGELOG.md"}

# Lower-case word or phrase -> the better one. A trailing * stands for any ending.
BANNED = {
    # American spelling
    "analys(e|ed|er|ers|ing)": "analyze",
    "behaviour*": "behavior",
    "cancell(ed|ing)": "canceled",
    "catalogue*": "catalog",
    "centr(e|es|ed|ing)": "center",
    "colour*": "color",
    "equalis*": "equalize",
    "favour*": "favor",
    "grey": "gray",
    "initialis*": "initialize",
    "labell(ed|ing)": "labeled",
    "licence*": "license",
    "metre*": "meter",
    "modell(ed|ing)": "modeled",
    "neighbour*": "neighbor",
    "normalis*": "normalize",
    "optimis*": "optimize",
    "programme*": "program",
    "quantis*": "quantize",
    "recognis*": "recognize",
    "regularis*": "regularize",
    "summaris*": "summarize",
    "synthesis(e|ed|es|er|ing)": "synthesize",
    "vectoris*": "vectorize",
    # Metaphors and words of our own
    "absurd": "the plain reason",
    "anew": "again",
    "answer": "predict, return",
    "answers": "predicts, returns",
    "aim": "target",
    "aims": "targets",
    "belief*": "prior, confidence",
    "believ*": "trust, apply, assume",
    "bell": "peaking filter",
    "bells": "peaking filters",
    "brought": "matched, moved, scaled",
    "carry": "transfer, keep",
    "carried": "transferred, kept",
    "carries": "transfers, keeps",
    "dice": "random inputs",
    "doubt*": "uncertainty, noise",
    "ear": "encoder input, listener",
    "ears": "encoder inputs",
    "fault": "degradation, error",
    "faults": "degradations, errors",
    "faulty": "degraded",
    "hear": "analyze, encode",
    "heard": "analyzed, encoded",
    "hearing": "analysis",
    "hears": "analyzes, encodes",
    "kept": "stored, cached, unchanged",
    "lies": "is",
    "mend": "repair, fix",
    "mends": "repairs",
    "mended": "repaired",
    "slot": "segment",
    "slots": "segments",
    "spoil*": "corrupt, affect",
    "settle": "decode, converge",
    "settles": "converges",
    "settled": "converged",
    "stands": "is",
    "story": "report",
    "stories": "reports",
    "stretch": "section",
    "stretches": "sections",
    "taught": "fitted",
    "teach*": "fit",
    "tier": "condition",
    "tiers": "conditions",
    "verdict*": "compliance",
    "wanted": "target, expected",
    "wish": "request",
    "wishes": "requests",
    "what is absurd": "plain words",
    "to the bit": "bit-identical",
    "is said": "active voice",
    "are said": "active voice",
    "goes on": "continues",
    "go on": "continue",
    "gone on": "continued",
}

# What these patterns match is not looked at: URLs, third-party names, idioms of the field.
ALLOWED = (
    r"https?://\S+",
    r"\bpage faults?\b",
    r"\bstands for\b",
    r"^Equaliser: Generic",  # a line of REW's files
    r'"Bell"',  # a filter's type in EasyEffects
    r"\baria-labelledby\b",
    r"\bAnalyserNode\b",  # of WebAudio
    r"\bcarry\b(?=.*\bscan\b|[,)\]]| =)|(?<=scan).*\bcarry\b|return carry\b|= carry$",  # of lax.scan
)
# Words that are right in files whose path matches.
ALLOWED_IN = {"answer": "listening_test", "answers": "listening_test"}


def word_pattern(banned: str) -> str:
    if " " in banned:
        return rf"\b{banned}\b"
    return rf"(?<![a-z]){banned.removesuffix('*')}{'[a-z]*' if banned.endswith('*') else ''}(?![a-z])"


PATTERNS = [(re.compile(word_pattern(word)), better) for word, better in BANNED.items()]
SKIPPED = re.compile("|".join(ALLOWED), re.IGNORECASE)


def split_identifiers(line: str) -> str:
    """Lower case, with `snake_case` and `CamelCase` as separate words."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", line)
    return re.sub(r"\s+", " ", spaced.replace("_", " ")).lower()


def check_file(path: Path) -> list[str]:
    """One message for each banned word of a file."""
    messages = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = split_identifiers(SKIPPED.sub(" ", line))
        for pattern, better in PATTERNS:
            for match in pattern.finditer(words):
                if ALLOWED_IN.get(match.group(), "no file") in path.name:
                    continue
                messages.append(f"{path.relative_to(ROOT)}:{number}: {match.group()} → {better}")
    return messages


def tracked_files() -> list[Path]:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [
        ROOT / name
        for name in names
        if Path(name).suffix in SUFFIXES
        and (name.split("/")[0] in FOLDERS or "/" not in name)
        and (ROOT / name).is_file()
    ]


def main(names: list[str]) -> int:
    paths = [Path(name).resolve() for name in names] or tracked_files()
    paths = [p for p in paths if p.suffix in SUFFIXES and str(p.relative_to(ROOT)) not in EXCLUDED]
    messages = [message for path in paths for message in check_file(path)]
    print("\n".join(messages))
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
