"""Which files are to be mastered, and where each master goes."""

from __future__ import annotations

import dataclasses
import glob
import os
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from nmjax import io
from nmjax.errors import BadInputError

Names = Callable[[Path], Sequence[Path]]
"""From a track to the files that its master writes beside it, the audio first."""

_EARLIER = re.compile(r"-mastered(-\w+)?$")  # the end of an output's stem; the word is a delivery's name


@dataclasses.dataclass(frozen=True)
class Job:
    """A track and all the files that its master writes, in one folder, the audio first."""

    track: Path
    files: tuple[Path, ...]

    @property
    def out(self) -> Path:
        """The audio file."""
        return self.files[0]

    @property
    def receipt(self) -> Path:
        """What a worker's temporary note that the master is written is named after (see `catalogue`)."""
        return self.out.with_suffix(".receipt")

    def absolute(self) -> Job:
        """The same from any current folder."""
        return Job(Path(os.path.abspath(self.track)), tuple(Path(os.path.abspath(file)) for file in self.files))


class _Found(NamedTuple):
    """inside: the folders of `--out` that mirror where it was found. searched: found in a folder, not named."""

    track: Path
    inside: Path
    searched: bool


def tracks_of(
    inputs: Sequence[str | Path], names: Names, out_dir: Path | None = None, report: Callable[[str], None] = print
) -> list[Job]:
    """The tracks of files, folders (with all their folders) and globs, each once, in natural order (2 before 10).

    In folders, hidden files, what is in `out_dir` and earlier masters (`*-mastered.*`) are left out; links are
    followed, into each folder once. A named earlier master is left out where its own track is among the inputs.

    Args:
        inputs: globs are for shells that do not expand them; `**` is any depth.
        names: see Names; called with a longer name where two tracks differ in their ending alone.
        out_dir: holds the masters instead, in the same folders as the input (each input's under its name where there
            are several folders); named files lie in it directly.
        report: called with a sentence for what is left out or renamed.

    Raises:
        BadInputError: an input is missing, nothing is found, two masters would be one file, or one a track.
    """
    found = _without_earlier(_without_others(_once(_all(inputs, out_dir, report)), report), report)
    if not found:
        raise BadInputError(f"No tracks in {_listed(inputs)}; give audio files ({', '.join(io.SUFFIXES)}) or folders.")
    found.sort(key=lambda item: _natural(item.track))
    jobs = [Job(item.track, _placed(item, item.track, names, out_dir)) for item in found]
    for group in _colliding(jobs):
        for i in group:
            track = jobs[i].track
            longer = track.with_name(f"{track.stem}-{track.suffix[1:]}{track.suffix}")
            jobs[i] = Job(track, _placed(found[i], longer, names, out_dir))
    _check(jobs)
    for job, item in zip(jobs, found, strict=True):
        if job.files != _placed(item, job.track, names, out_dir):
            report(f"Another track has the name of '{shown(job.track)}' but for its ending: "
                   f"its master is '{shown(job.out)}'.")  # fmt: skip
    return jobs


def shown(path: str | Path) -> str:
    """A path as text that any terminal can print: bytes that are no text and control characters are replaced."""
    text = os.fsencode(path).decode(errors="replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _listed(inputs: Sequence[str | Path]) -> str:
    more = f" and {len(inputs) - 3} more" if len(inputs) > 3 else ""
    return ", ".join(f"'{shown(text)}'" for text in inputs[:3]) + more


def _all(inputs: Sequence[str | Path], out_dir: Path | None, report: Callable[[str], None]) -> Iterator[_Found]:
    expanded = [pair for text in inputs for pair in _expanded(text)]
    several = len({os.path.realpath(path) for path, _ in expanded if path.is_dir()}) > 1
    for path, inside in expanded:
        if path.is_dir():
            top = inside / path.name if several else Path()
            for track in _searched(path, out_dir, report):
                yield _Found(track, top / track.relative_to(path).parent, True)
        else:
            yield _Found(path, inside, False)


def _expanded(text: str | Path) -> Iterator[tuple[Path, Path]]:
    """What an input stands for, each with its folder below the part of a glob that is no pattern."""
    path = Path(text)
    if path.exists():
        yield path, Path()
        return
    if not (glob.has_magic(str(text)) and (matches := sorted(glob.glob(str(text), recursive=True)))):
        raise BadInputError(f"'{shown(text)}' is missing; give audio files, folders or a pattern that fits some.")
    fixed = Path(*path.parts[: next(i for i, part in enumerate(path.parts) if glob.has_magic(part))])
    for match in map(Path, matches):
        yield match, match.relative_to(fixed).parent


def _searched(folder: Path, out_dir: Path | None, report: Callable[[str], None]) -> Iterator[Path]:
    """The audio files below a folder; a folder is entered once, whatever links lead to it."""
    entered = set()
    if out_dir and out_dir.is_dir() and not out_dir.samefile(folder):
        entered.add(_identity(out_dir))
    waiting = deque([folder])
    while waiting:
        here = waiting.pop()
        try:
            if (identity := _identity(here)) in entered:
                continue
            entered.add(identity)
            names = os.listdir(here)
        except OSError as error:
            report(f"Left out: '{shown(here)}' may not be looked into ({error.strerror}).")
            continue
        for path in (here / name for name in names if not name.startswith(".")):
            if os.path.isdir(path):  # a folder itself before the links to it, so that tracks have their own paths
                (waiting.appendleft if path.is_symlink() else waiting.append)(path)
            elif path.suffix.lower() in io.SUFFIXES and os.path.isfile(path):
                yield path


def _identity(folder: Path) -> tuple[int, int]:
    stat = folder.stat()
    return stat.st_dev, stat.st_ino


def _once(found: Iterable[_Found]) -> list[_Found]:
    first: dict[str, _Found] = {}
    for item in found:
        first.setdefault(os.path.realpath(item.track), item)
    return list(first.values())


def _without_others(found: list[_Found], report: Callable[[str], None]) -> list[_Found]:
    """Without what a shell's `*` names beside the music: pictures, texts, settings."""
    return _without(found, lambda item: item.track.suffix.lower() not in io.SUFFIXES, "no audio by its ending", report)


def _without_earlier(found: list[_Found], report: Callable[[str], None]) -> list[_Found]:
    """Without earlier masters: a second run of the same command finds those of the first."""
    tracks = {item.track.with_suffix("") for item in found}

    def is_earlier(item: _Found) -> bool:
        end = _EARLIER.search(item.track.stem)
        return bool(end) and (item.searched or item.track.with_name(item.track.stem[: end.start()]) in tracks)

    return _without(found, is_earlier, "an earlier master by its name", report)


def _without(
    found: list[_Found], unwanted: Callable[[_Found], bool], what: str, report: Callable[[str], None]
) -> list[_Found]:
    kept, left = [], []
    for item in found:
        (left if unwanted(item) else kept).append(item)
    if left:
        more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
        report(f"Left out: '{shown(left[0].track)}', {what}{more}.")
    return kept


def _natural(path: Path) -> list[list[str | int]]:
    """Sorts digits as numbers; text and numbers alternate, so that like is compared with like."""
    return [[int(x) if i % 2 else x.casefold() for i, x in enumerate(re.split(r"(\d+)", p))] for p in path.parts]


def _placed(item: _Found, named: Path, names: Names, out_dir: Path | None) -> tuple[Path, ...]:
    return tuple(out_dir / item.inside / path.name if out_dir else path for path in names(named))


def _key(file: Path) -> str:
    """One for each file, however its folder is written; a link as the last part is replaced, not followed."""
    return os.path.join(os.path.realpath(file.parent), file.name)


def _colliding(jobs: list[Job]) -> list[list[int]]:
    """Groups of jobs that would write one file."""
    writers = defaultdict(list)
    for i, job in enumerate(jobs):
        for file in job.files:
            writers[_key(file)].append(i)
    return [group for group in writers.values() if len(group) > 1]


def _check(jobs: list[Job]) -> None:
    if groups := _colliding(jobs):
        first, second = (jobs[i] for i in groups[0][:2])
        raise BadInputError(
            f"'{shown(first.track)}' and '{shown(second.track)}' would both become '{shown(first.out)}'; "
            "give the folder that holds them, whose folders --out keeps, or rename one."
        )
    tracks = {os.path.realpath(job.track): job.track for job in jobs}
    for job in jobs:
        if track := next((tracks[_key(file)] for file in job.files if _key(file) in tracks), None):
            raise BadInputError(
                f"The master of '{shown(job.track)}' would overwrite the track '{shown(track)}'; choose another --out."
            )
