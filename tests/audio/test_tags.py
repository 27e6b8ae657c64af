"""Tags written by libsndfile, copied by nmjax and read by libsndfile; and damaged tags."""

import random
import struct

import numpy as np
import pytest
import soundfile

from nmjax.audio.tags import Picture, Tags, copy_tags
from nmjax.audio.tags.id3 import encode_id3
from nmjax.audio.tags.transfer import read_tags
from tests.synthetic_audio import music

FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "rf64.wav": ("RF64", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
STRINGS = {
    "title": "Nächte & <b>",
    "artist": "Ånd 音",
    "album": "Two",
    "date": "2024",
    "genre": "Dub",
    "tracknumber": "7",
}
COVER = Picture(3, "image/png", "front ü", b"\x89PNG\r\n\x1a\n" + random.Random(0).randbytes(150_000))


def write_audio_file(path, strings=None, seconds=0.3):
    container, subtype = FORMATS[path.name.split(".", 1)[1]]
    audio = music(seconds, 48_000)
    with soundfile.SoundFile(str(path), "w", 48_000, 2, subtype, format=container) as file:
        for name, value in (strings or {}).items():
            setattr(file, name, value)
        file.write(audio)
    return path


def write_tagged(path, texts, pictures=()):
    """An MP3 with the given tags in front of its audio."""
    write_audio_file(path)
    path.write_bytes(
        encode_id3(Tags({name: [value] for name, value in texts.items()}, list(pictures))) + path.read_bytes()
    )
    return path


def read_samples(path):
    return soundfile.read(str(path))[0]


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", ["wav", "flac", "ogg", "opus", "mp3", "aiff"])
def test_tags_written_by_libsndfile_are_copied(tmp_path, source, target):
    a, b = write_audio_file(tmp_path / f"a.{source}", STRINGS), write_audio_file(tmp_path / f"b.{target}")
    before = read_samples(b)
    assert copy_tags(a, b) == []
    np.testing.assert_array_equal(read_samples(b), before)
    with soundfile.SoundFile(str(a)) as source_file, soundfile.SoundFile(str(b)) as result:
        copied = {name: getattr(source_file, name) for name in STRINGS if getattr(source_file, name)}
        assert len(copied) >= (2 if source == "aiff" else 4)
        if target != "aiff":  # libsndfile reads no ID3 there
            assert {name: getattr(result, name) for name in copied} == copied
    ours = read_tags(b).texts
    assert all(ours[name.upper()] == [value] for name, value in copied.items())


@pytest.mark.parametrize("target", FORMATS)
def test_pictures_and_text_tags_round_trip(tmp_path, target):
    """From an MP3 to each format and from there into a new MP3."""
    texts = {"TITLE": "T", "TRACKNUMBER": "3", "TRACKTOTAL": "12", "COMMENT": "c", "MY OWN": "x", "ALBUMARTIST": "aa"}
    first = write_tagged(tmp_path / "a.mp3", texts, [COVER])
    middle, last = write_audio_file(tmp_path / f"b.{target}"), write_audio_file(tmp_path / "c.mp3")
    before = read_samples(middle)
    assert copy_tags(first, middle) == [] and copy_tags(middle, last) == []
    for path in (middle, last):
        result = read_tags(path)
        assert {name: values[0] for name, values in result.texts.items()} == texts
        assert result.pictures == [COVER]
    np.testing.assert_array_equal(read_samples(middle), before)


def test_a_long_ogg_keeps_all_its_pages(tmp_path):
    """The cover shifts the number of every page: each needs its checksum again, or nothing after it decodes."""
    for suffix in ("ogg", "opus"):
        path = write_audio_file(tmp_path / f"b.{suffix}", seconds=5.0)
        before = read_samples(path)
        copy_tags(write_tagged(tmp_path / "a.mp3", {"TITLE": "T"}, [COVER]), path)
        np.testing.assert_array_equal(read_samples(path), before)
        assert len(before) == 240_000


def test_tags_that_describe_the_old_audio_are_dropped(tmp_path):
    a = write_tagged(tmp_path / "a.mp3", {"TITLE": "T", "REPLAYGAIN_TRACK_GAIN": "-7 dB", "ENCODER": "x"})
    b = write_audio_file(tmp_path / "b.flac")
    copy_tags(a, b)
    assert list(read_tags(b).texts) == ["TITLE"]


def id3_frame(name, content, size):
    return name + size + b"\0\0" + content


def test_id3_of_version_2_3_in_utf_16_and_unsynchronized(tmp_path):
    text = b"\x01" + "Ünï".encode("utf-16")
    image = b"\x00image/jpeg\0\x03\0" + b"\xff\xd8\xff\xe0picture"
    body = b"".join(id3_frame(n, c, struct.pack(">I", len(c))) for n, c in ((b"TIT2", text), (b"APIC", image)))
    for flags, stored in ((0, body), (0x80, body.replace(b"\xff", b"\xff\x00"))):
        path = write_audio_file(tmp_path / "a.mp3")
        size = bytes((len(stored) >> shift) & 127 for shift in (21, 14, 7, 0))
        path.write_bytes(b"ID3\x03\x00" + bytes([flags]) + size + stored + path.read_bytes())
        result = read_tags(path)
        assert result.texts == {"TITLE": ["Ünï"]}
        assert result.pictures == [Picture(3, "image/jpeg", "", b"\xff\xd8\xff\xe0picture")]


def test_tags_that_are_not_copied_are_reported(tmp_path):
    path, target = write_audio_file(tmp_path / "a.wav"), write_audio_file(tmp_path / "b.wav")
    path.write_bytes(path.read_bytes() + b"bext" + struct.pack("<I", 4) + b"1234")
    assert copy_tags(path, target) == ["Not copied from 'a.wav': the chunk 'bext'."]


def test_no_tags_leave_the_file_as_it_is(tmp_path):
    a, b = write_audio_file(tmp_path / "a.wav"), write_audio_file(tmp_path / "b.flac")
    before = b.read_bytes()
    assert copy_tags(a, b) == []
    assert b.read_bytes() == before


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_tags_never_fail(tmp_path, suffix):
    """Bytes changed at random, lengths made large, files cut short: at worst a sentence; the audio stays."""
    rng = random.Random(1)
    good = write_audio_file(tmp_path / f"good.{suffix}")
    copy_tags(
        write_tagged(tmp_path / "t.mp3", {"TITLE": "T", "ARTIST": "A"}, [Picture(3, "image/png", "", b"x" * 300)]), good
    )
    data = good.read_bytes()
    target = write_audio_file(tmp_path / "target.flac")
    fresh, before = target.read_bytes(), read_samples(target)
    offsets = [i for i in range(len(data)) if i < 2000 or i > len(data) - 1000]
    for turn in range(60):
        bad = bytearray(data)
        for _ in range(3):
            bad[rng.choice(offsets)] = rng.choice((0, 0x7F, 0xFF, rng.randrange(256)))
        if turn % 3 == 0:
            bad = bad[: rng.randrange(len(bad))]
        (tmp_path / f"bad.{suffix}").write_bytes(bad)
        target.write_bytes(fresh)
        notes = copy_tags(tmp_path / f"bad.{suffix}", target)
        assert all(note.endswith(".") and len(note) < 1000 for note in notes)
        np.testing.assert_array_equal(read_samples(target), before)
    assert len(copy_tags(tmp_path / "gone.wav", target)) == 1
