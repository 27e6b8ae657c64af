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

from nmjax.audio import reader
from nmjax.runtime.errors import BadInputError

OutputNames = Callable[[Path], Sequence[Path]]
"""From a track to the files that its master writes beside it, the audio first."""

_MASTERED_SUFFIX = re.compile(r"-mastered(-\w+)?$")  # the end of an output's stem; the word is a delivery's name


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
    def done_marker(self) -> Path:
        """What a worker's temporary note that the master is written is named after (see `catalogue`)."""
        return self.out.with_suffix(".receipt")

    def absolute(self) -> Job:
        """The same from any current folder."""
        return Job(Path(os.path.abspath(self.track)), tuple(Path(os.path.abspath(file)) for file in self.files))


class _InputTrack(NamedTuple):
    """inside: the folders of `--out` that mirror where it was found. searched: found in a folder, not named."""

    track: Path
    relative_folder: Path
    from_folder: bool


def find_jobs(
    inputs: Sequence[str | Path],
    output_names: OutputNames,
    out_dir: Path | None = None,
    report: Callable[[str], None] = print,
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
    tracks = _drop_existing_masters(
        _drop_non_audio(_deduplicate(_collect_tracks(inputs, out_dir, report)), report), report
    )
    if not tracks:
        raise BadInputError(
            f"No tracks in {_format_inputs(inputs)}; give audio files ({', '.join(reader.READABLE_SUFFIXES)}) or folders."
        )
    tracks.sort(key=lambda entry: _natural_sort_key(entry.track))
    jobs = [Job(entry.track, _output_paths(entry, entry.track, output_names, out_dir)) for entry in tracks]
    for group in _find_collisions(jobs):
        for i in group:
            track = jobs[i].track
            disambiguated = track.with_name(f"{track.stem}-{track.suffix[1:]}{track.suffix}")
            jobs[i] = Job(track, _output_paths(tracks[i], disambiguated, output_names, out_dir))
    _check_collisions(jobs)
    for job, entry in zip(jobs, tracks, strict=True):
        if job.files != _output_paths(entry, job.track, output_names, out_dir):
            report(f"Another track has the name of '{to_printable(job.track)}' but for its ending: "
                   f"its master is '{to_printable(job.out)}'.")  # fmt: skip
    return jobs


def to_printable(path: str | Path) -> str:
    """A path as text that any terminal can print: bytes that are no text and control characters are replaced."""
    text = os.fsencode(path).decode(errors="replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _format_inputs(inputs: Sequence[str | Path]) -> str:
    suffix = f" and {len(inputs) - 3} more" if len(inputs) > 3 else ""
    return ", ".join(f"'{to_printable(input_path)}'" for input_path in inputs[:3]) + suffix


def _collect_tracks(
    inputs: Sequence[str | Path], out_dir: Path | None, report: Callable[[str], None]
) -> Iterator[_InputTrack]:
    expanded = [match for pattern in inputs for match in _expand_glob(pattern)]
    multiple_folders = len({os.path.realpath(path) for path, _ in expanded if path.is_dir()}) > 1
    for path, relative_folder in expanded:
        if path.is_dir():
            top = relative_folder / path.name if multiple_folders else Path()
            for track in _search_folder(path, out_dir, report):
                yield _InputTrack(track, top / track.relative_to(path).parent, True)
        else:
            yield _InputTrack(path, relative_folder, False)


def _expand_glob(pattern: str | Path) -> Iterator[tuple[Path, Path]]:
    """What an input stands for, each with its folder below the part of a glob that is no pattern."""
    path = Path(pattern)
    if path.exists():
        yield path, Path()
        return
    if not (glob.has_magic(str(pattern)) and (matches := sorted(glob.glob(str(pattern), recursive=True)))):
        raise BadInputError(
            f"'{to_printable(pattern)}' is missing; give audio files, folders or a pattern that fits some."
        )
    glob_root = Path(*path.parts[: next(i for i, part in enumerate(path.parts) if glob.has_magic(part))])
    for match in map(Path, matches):
        yield match, match.relative_to(glob_root).parent


def _search_folder(folder: Path, out_dir: Path | None, report: Callable[[str], None]) -> Iterator[Path]:
    """The audio files below a folder; a folder is entered once, whatever links lead to it."""
    visited = set()
    if out_dir and out_dir.is_dir() and not out_dir.samefile(folder):
        visited.add(_device_and_inode(out_dir))
    pending = deque([folder])
    while pending:
        current = pending.pop()
        try:
            if (identity := _device_and_inode(current)) in visited:
                continue
            visited.add(identity)
            names = os.listdir(current)
        except OSError as error:
            report(f"Left out: '{to_printable(current)}' may not be looked into ({error.strerror}).")
            continue
        for path in (current / name for name in names if not name.startswith(".")):
            if os.path.isdir(path):  # a folder itself before the links to it, so that tracks have their own paths
                (pending.appendleft if path.is_symlink() else pending.append)(path)
            elif path.suffix.lower() in reader.READABLE_SUFFIXES and os.path.isfile(path):
                yield path


def _device_and_inode(folder: Path) -> tuple[int, int]:
    stat = folder.stat()
    return stat.st_dev, stat.st_ino


def _deduplicate(candidates: Iterable[_InputTrack]) -> list[_InputTrack]:
    by_realpath: dict[str, _InputTrack] = {}
    for track in candidates:
        by_realpath.setdefault(os.path.realpath(track.track), track)
    return list(by_realpath.values())


def _drop_non_audio(candidates: list[_InputTrack], report: Callable[[str], None]) -> list[_InputTrack]:
    """Without what a shell's `*` names beside the music: pictures, texts, settings."""
    return _drop_tracks(
        candidates,
        lambda item: item.track.suffix.lower() not in reader.READABLE_SUFFIXES,
        "no audio by its ending",
        report,
    )


def _drop_existing_masters(candidates: list[_InputTrack], report: Callable[[str], None]) -> list[_InputTrack]:
    """Without earlier masters: a second run of the same command finds those of the first."""
    input_stems = {item.track.with_suffix("") for item in candidates}

    def is_existing_master(item: _InputTrack) -> bool:
        suffix_match = _MASTERED_SUFFIX.search(item.track.stem)
        return bool(suffix_match) and (
            item.from_folder or item.track.with_name(item.track.stem[: suffix_match.start()]) in input_stems
        )

    return _drop_tracks(candidates, is_existing_master, "an earlier master by its name", report)


def _drop_tracks(
    candidates: list[_InputTrack],
    should_drop: Callable[[_InputTrack], bool],
    reason: str,
    report: Callable[[str], None],
) -> list[_InputTrack]:
    remaining, dropped = [], []
    for track in candidates:
        (dropped if should_drop(track) else remaining).append(track)
    if dropped:
        suffix = f" (and {len(dropped) - 1} more)" if len(dropped) > 1 else ""
        report(f"Left out: '{to_printable(dropped[0].track)}', {reason}{suffix}.")
    return remaining


def _natural_sort_key(path: Path) -> list[list[str | int]]:
    """Sorts digits as numbers; text and numbers alternate, so that like is compared with like."""
    return [
        [int(token) if i % 2 else token.casefold() for i, token in enumerate(re.split(r"(\d+)", path_part))]
        for path_part in path.parts
    ]


def _output_paths(item: _InputTrack, track: Path, output_names: OutputNames, out_dir: Path | None) -> tuple[Path, ...]:
    return tuple(out_dir / item.relative_folder / path.name if out_dir else path for path in output_names(track))


def _canonical_path(file: Path) -> str:
    """One for each file, however its folder is written; a link as the last part is replaced, not followed."""
    return os.path.join(os.path.realpath(file.parent), file.name)


def _find_collisions(jobs: list[Job]) -> list[list[int]]:
    """Groups of jobs that would write one file."""
    writers = defaultdict(list)
    for i, job in enumerate(jobs):
        for file in job.files:
            writers[_canonical_path(file)].append(i)
    return [group for group in writers.values() if len(group) > 1]


def _check_collisions(jobs: list[Job]) -> None:
    if collisions := _find_collisions(jobs):
        first, second = (jobs[i] for i in collisions[0][:2])
        raise BadInputError(
            f"'{to_printable(first.track)}' and '{to_printable(second.track)}' would both become '{to_printable(first.out)}'; "
            "give the folder that holds them, whose folders --out keeps, or rename one."
        )
    tracks = {os.path.realpath(job.track): job.track for job in jobs}
    for job in jobs:
        if track := next(
            (tracks[_canonical_path(file)] for file in job.files if _canonical_path(file) in tracks), None
        ):
            raise BadInputError(
                f"The master of '{to_printable(job.track)}' would overwrite the track '{to_printable(track)}'; choose another --out."
            )
