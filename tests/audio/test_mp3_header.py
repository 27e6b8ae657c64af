"""An MP3 is read in its whole length, whatever its header says or lacks; the decoded samples stay what they were."""

import struct

import numpy as np
import pytest
import soundfile

from nmjax.audio import mp3_header, reader
from tests.synthetic_audio import music


def encode_mp3(path, seconds=8.0, rate=44_100, channels=2, mode="VARIABLE", quiet=0.0):
    """An MP3 of music, silent at first; its bytes, and where the frame with the header ends."""
    audio = music(seconds, rate, channels)
    audio[: round(quiet * rate)] = 0.0
    soundfile.write(str(path), audio, rate, format="MP3", compression_level=0.5, bitrate_mode=mode)
    data = path.read_bytes()
    mark = max(data.find(b"Xing"), data.find(b"Info"))
    assert mark > 0
    return data, data.index(data[:2], mark + 100)


def count_frames(path):
    info = reader.probe(path)
    read = sum(len(piece) for piece in reader.read_chunks(path))
    assert read == info.frames
    return read


@pytest.mark.parametrize("quiet", [0.0, 3.0])
@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (44_100, 1), (22_050, 2), (16_000, 1)])
def test_without_a_header_nothing_is_lost(tmp_path, rate, channels, quiet):
    path = tmp_path / "a.mp3"
    data, header = encode_mp3(path, 8.0, rate, channels, quiet=quiet)
    whole = np.concatenate(list(reader.read_chunks(path)))
    path.write_bytes(data[header:])
    result = np.concatenate(list(reader.read_chunks(path)))
    assert 8.0 * rate <= count_frames(path) <= 8.0 * rate + 4 * 1152
    delay = len(result) - len(whole)  # the header also says what the encoder put in front
    starts = range(max(0, delay) + 1)
    assert min(np.abs(result[start + 5000 : start + 9000] - whole[5000:9000]).max() for start in starts) < 1e-6


def test_joined_files_are_read_to_the_end(tmp_path):
    path = tmp_path / "a.mp3"
    data, _ = encode_mp3(path)
    path.write_bytes(data + data)
    assert count_frames(path) >= 16.0 * 44_100


def test_a_header_with_a_wrong_frame_count(tmp_path):
    path = tmp_path / "a.mp3"
    data, _ = encode_mp3(path)
    offset = data.index(b"Xing") + 8
    for frames in (10, 0, 2**31):
        path.write_bytes(data[:offset] + struct.pack(">I", frames) + data[offset + 4 :])
        assert sum(len(piece) for piece in reader.read_chunks(path)) == pytest.approx(8.0 * 44_100, abs=3 * 1152)


def test_tags_and_zeros_in_front(tmp_path):
    path = tmp_path / "a.mp3"
    data, header = encode_mp3(path)
    path.write_bytes(b"ID3\x04\0\0\0\0\x02\0" + b"\0" * 256 + b"\0" * 500 + data[header:])
    assert count_frames(path) >= 8.0 * 44_100


def test_frames_behind_damage_are_counted(tmp_path):
    """libsndfile reads up to the damage; that something is missing can be said."""
    path = tmp_path / "a.mp3"
    data, header = encode_mp3(path)
    data = data[header:]
    path.write_bytes(data[:20_000] + b"\xff" * 700 + data[20_000:])
    assert reader.probe(path).frames >= 8.0 * 44_100


def test_a_right_header_is_left_alone_and_other_files_too(tmp_path):
    path = tmp_path / "a.mp3"
    encode_mp3(path)
    assert mp3_header.libsndfile_source(path) == str(path)
    assert count_frames(path) == soundfile.info(str(path)).frames
    for junk in (b"", b"\xff", b"\xff" * 20_000, b"\xff\xfb\x90\x44" * 5, b"ID3" + b"\x7f" * 50, b"RIFF"):
        path.write_bytes(junk)
        assert mp3_header.libsndfile_source(path) == str(path)
