"""A request to train, and the songs that it names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from nmjax.config import Config
from nmjax.data import DataSource, Song, find_all_songs, find_songs, split_songs
from nmjax.runtime.errors import BadInputError


@dataclasses.dataclass(frozen=True)
class TrainingRequest:
    """A request to train or to fit a network.

    Attributes:
        config: All settings.
        data: Folders of mastered music and CSV files, or the folder of the unmastered inputs.
        out: Run folder.
        target: Folder of the mastered targets, if `data` holds the inputs.
        validation: Music for validation, instead of a fraction of `data`.
        init_from: Run folder for a warm start.
    """

    config: Config
    data: tuple[DataSource, ...]
    out: Path
    target: Path | None = None
    validation: Path | None = None
    init_from: Path | None = None


def load_songs(request: TrainingRequest, report: Callable[[str], None]) -> tuple[list[Song], list[Song]]:
    """The songs for training and those for validation, which may be none.

    Args:
        request: Names the music.
        report: Called with messages about the songs.

    Raises:
        BadInputError: No usable songs, or the same song in both sets.
    """
    config = request.config
    cache_dir = Path(config.data.cache_dir) if config.data.cache_dir else None
    report(f"Scanning {', '.join(str(s.path) for s in request.data)} (every file is analyzed once) …")
    songs = find_all_songs(request.data, request.target, cache_dir, report)
    if request.validation:
        training, held_out = songs, find_songs(request.validation, None, cache_dir, report)
        _check_validation_songs(training, held_out, request.validation)
    else:
        training, held_out = split_songs(songs, config.data.validation_fraction, config.seed)
    training_hours, held_out_hours = (sum(song.seconds for song in subset) / 3600 for subset in (training, held_out))
    if held_out:
        report(
            f"Training on {len(training)} songs ({training_hours:.2f} h), "
            f"validating on {len(held_out)} ({held_out_hours:.2f} h)."
        )
    else:
        plural = "s" * (len(training) > 1)
        report(f"Training on {len(training)} song{plural} ({training_hours:.2f} h), without validation.")
    return training, held_out


def _check_validation_songs(training: list[Song], held_out: list[Song], validation: Path) -> None:
    if any(song.input for song in training) and not all(song.input for song in held_out):
        raise BadInputError(
            f"--data has unmastered inputs, but --validation ({validation}) has none. "
            "Give a CSV with the columns input and target."
        )
    training_paths = {song.target.original_path for song in training}
    if duplicates := [song.name for song in held_out if song.target.original_path in training_paths]:
        raise BadInputError(f"'{duplicates[0]}' is in --data and in --validation. Remove it from one of them.")
