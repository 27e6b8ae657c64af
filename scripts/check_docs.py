"""Checks of the documentation.

    python scripts/check_docs.py site FOLDER    # the built site loads nothing from elsewhere
    python scripts/check_docs.py run [PAGE …]   # runs the commands of tutorials and how-to guides

A fenced block that begins with ```bash is run, a block without a language is not: it needs music, time or another
machine. The blocks of a page share one folder with `track.wav`, `verse.wav`, `chorus.wav` and `other.wav`, sections of
the example track; `nmjax` and `python` are those of the PATH.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "settlers-routine.flac"
SECTIONS = {"track": (0, 10), "verse": (0, 8), "chorus": (12, 22), "other": (7, 14)}  # seconds
TIMEOUT_S = 900
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LOADED = re.compile(r"<(?:script|img|iframe|source|audio|video)[^>]*\ssrc=\"?(?:https?:)?//[^\s\">]+", re.IGNORECASE)
LINKED = re.compile(
    r"<link[^>]*rel=\"?(?:stylesheet|preload|preconnect|icon)[^>]*href=\"?(?:https?:)?//", re.IGNORECASE
)
# A master that misses its loudness is written all the same (exit code 3).
PROLOGUE = 'set -euo pipefail\nnmjax() { command nmjax "$@" || [ $? -eq 3 ]; }\n'


def check_site(folder: Path) -> int:
    """Report what pages load from other servers; a link that a reader may follow is not loaded."""
    pages = sorted(folder.rglob("*.html"))
    problems = [
        f"{page}: {match.group()[:120]}"
        for page in pages
        for pattern in (LOADED, LINKED)
        for match in pattern.finditer(page.read_text(encoding="utf-8"))
    ]
    print("\n".join(problems) or f"{len(pages)} pages load nothing from elsewhere.")
    return 1 if problems or not pages else 0


def page_script(page: Path) -> str:
    """The commands of a page; empty where none can be run."""
    return "\n".join(BLOCK.findall(page.read_text(encoding="utf-8")))


def run_page(page: Path) -> bool:
    """Run the commands of a page in a folder of their own; print the end of the output where one fails."""
    script, start = page_script(page), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for name, (first, last) in SECTIONS.items():
            rate = soundfile.info(EXAMPLE).samplerate
            audio, _ = soundfile.read(EXAMPLE, start=first * rate, stop=last * rate, dtype="int16")
            soundfile.write(Path(folder) / f"{name}.wav", audio, rate)
        result = subprocess.run(
            ["bash", "-c", PROLOGUE + script],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
        )
    status = "ok" if result.returncode == 0 else f"exit code {result.returncode}"
    print(f"{page.relative_to(ROOT)}: {status}, {time.monotonic() - start:.0f} s", flush=True)
    if result.returncode:
        print(result.stdout[-3000:])
    return result.returncode == 0


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["site"]:
        return check_site(Path(arguments[1]))
    if arguments[:1] != ["run"]:
        sys.exit(__doc__)
    pages = [Path(name).resolve() for name in arguments[1:]]
    pages = pages or sorted([*ROOT.glob("docs/tutorials/*.md"), *ROOT.glob("docs/how-to/*.md")])
    return 0 if all([run_page(page) for page in pages if page_script(page)]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
