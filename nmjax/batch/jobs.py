"""Finds the tracks to master and names the files of their masters."""

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
from nmjax.runtime.text import to_printable

OutputNames = Callable[[Path], Sequence[Path]]
"""From a track to the files written beside it: the masters, then the settings file."""

_MASTERED_SUFFIX = re.compile(r"-mastered(-\w+)?$")  # end of a master's stem; the word names a delivery


@dataclasses.dataclass(frozen=True)
class Job:
    """A track and the files to write, all in one folder: the masters, then the settings file."""

    track: Path
    files: tuple[Path, ...]

    @property
    def out(self) -> Path:
        """The first master."""
        return self.files[0]

    @property
    def done_marker(self) -> Path:
        """Name from which that of a worker's temporary marker file is made (see `dask_runner`)."""
        return self.out.with_suffix(".done")

    def absolute(self) -> Job:
        """An equal job that is valid in any current folder."""
        return Job(Path(os.path.abspath(self.track)), tuple(Path(os.path.abspath(file)) for file in self.files))


class _InputTrack(NamedTuple):
    """A track.

    Attributes:
        track: its path.
        relative_folder: subfolder of `out_dir` that mirrors where the track was found.
        from_folder: whether it was found in a folder, rather than named.
    """

    track: Path
    relative_folder: Path
    from_folder: bool


def find_jobs(
    inputs: Sequence[str | Path],
    output_names: OutputNames,
    out_dir: Path | None = None,
    report: Callable[[str], None] = print,
) -> list[Job]:
    """Jobs for the tracks of files, folders (with subfolders) and globs, each once, in natural order (2 before 10).

    In folders, hidden files, the contents of `out_dir` and earlier masters (`*-mastered.*`) are left out; each linked
    folder is entered once. An earlier master that is named is left out where its own track is among the inputs.

    Args:
        inputs: paths, or globs for shells that do not expand them; `**` is any depth.
        output_names: called with a longer track name where two masters would have the same name.
        out_dir: holds the masters in the same subfolders as the inputs (each input's under its own name where there
            are several folders); masters of named files go directly into it.
        report: called with a message for each track that is left out or whose master is renamed.

    Raises:
        BadInputError: an input is missing, there are no tracks, or a master would overwrite a track or another master.
    """
    tracks = _deduplicate(_collect_tracks(inputs, out_dir, report))
    tracks = _drop_existing_masters(_drop_non_audio(tracks, report), report)
    if not tracks:
        raise BadInputError(
            f"No tracks in {_format_inputs(inputs)}; "
            f"give folders or audio files ({', '.join(reader.READABLE_SUFFIXES)})."
        )
    tracks.sort(key=lambda entry: _natural_sort_key(entry.track))
    jobs = [Job(entry.track, _output_paths(entry, entry.track, output_names, out_dir)) for entry in tracks]
    for group in _find_collisions(jobs):
        for i in group:
            track = jobs[i].track
            longer_name = track.with_name(f"{track.stem}-{track.suffix[1:]}{track.suffix}")
            jobs[i] = Job(track, _output_paths(tracks[i], longer_name, output_names, out_dir))
    _check_collisions(jobs)
    for job, entry in zip(jobs, tracks, strict=True):
        if job.files != _output_paths(entry, job.track, output_names, out_dir):
            report(
                f"Another master has the same name as that of '{to_printable(job.track)}', "
                f"which is written as '{to_printable(job.out)}'."
            )
    return jobs


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
    """The paths that an input names, each with its folder relative to the fixed part of a glob."""
    path = Path(pattern)
    if path.exists():
        yield path, Path()
        return
    if not (glob.has_magic(str(pattern)) and (matches := sorted(glob.glob(str(pattern), recursive=True)))):
        raise BadInputError(
            f"'{to_printable(pattern)}' is missing; give audio files, folders or a pattern that matches some."
        )
    glob_root = Path(*path.parts[: next(i for i, part in enumerate(path.parts) if glob.has_magic(part))])
    for match in map(Path, matches):
        yield match, match.relative_to(glob_root).parent


def _search_folder(folder: Path, out_dir: Path | None, report: Callable[[str], None]) -> Iterator[Path]:
    """The audio files below a folder; each folder is entered once, also where several links lead to it."""
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
            report(f"Left out: '{to_printable(current)}' cannot be read ({error.strerror}).")
            continue
        for path in (current / name for name in names if not name.startswith(".")):
            if os.path.isdir(path):  # folders before links to them, so that tracks keep their own paths
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
    """Without pictures, texts and settings, which a shell's `*` also names."""
    return _drop_tracks(
        candidates,
        lambda item: item.track.suffix.lower() not in reader.READABLE_SUFFIXES,
        "not an audio file by its extension",
        report,
    )


def _drop_existing_masters(candidates: list[_InputTrack], report: Callable[[str], None]) -> list[_InputTrack]:
    """Without the masters of earlier runs."""
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
    """Sort key in which digits count as numbers; texts and numbers alternate, so that equal types are compared."""
    return [
        [int(token) if i % 2 else token.casefold() for i, token in enumerate(re.split(r"(\d+)", path_part))]
        for path_part in path.parts
    ]


def _output_paths(item: _InputTrack, track: Path, output_names: OutputNames, out_dir: Path | None) -> tuple[Path, ...]:
    return tuple(out_dir / item.relative_folder / path.name if out_dir else path for path in output_names(track))


def _canonical_path(file: Path) -> str:
    """One path for each file; a link in the last part is not resolved, since writing replaces it."""
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
            f"'{to_printable(first.track)}' and '{to_printable(second.track)}' would both become "
            f"'{to_printable(first.out)}'; "
            "rename one, or give the folder that holds them, whose subfolders --out keeps."
        )
    tracks = {os.path.realpath(job.track): job.track for job in jobs}
    for job in jobs:
        if track := next(
            (tracks[_canonical_path(file)] for file in job.files if _canonical_path(file) in tracks), None
        ):
            raise BadInputError(
                f"The master of '{to_printable(job.track)}' would overwrite the track '{to_printable(track)}'; "
                "choose another --out."
            )
