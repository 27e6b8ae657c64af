"""Tags: written by one program, carried by this one, read by libsndfile; and damaged ones."""

import random
import struct

import numpy as np
import pytest
import soundfile

from nmjax.tags import Picture, Tags, copy_tags
from nmjax.tags.carry import read_tags
from nmjax.tags.id3 import id3
from tests.music import music

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


def audio_file(path, strings=None, seconds=0.3):
    container, subtype = FORMATS[path.name.split(".", 1)[1]]
    audio = music(seconds, 48_000)
    with soundfile.SoundFile(str(path), "w", 48_000, 2, subtype, format=container) as file:
        for name, value in (strings or {}).items():
            setattr(file, name, value)
        file.write(audio)
    return path


def tagged(path, texts, pictures=()):
    """A file with tags that were put together here: an MP3, whose tag stands before the audio."""
    audio_file(path)
    path.write_bytes(id3(Tags({name: [value] for name, value in texts.items()}, list(pictures))) + path.read_bytes())
    return path


def samples(path):
    return soundfile.read(str(path))[0]


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", ["wav", "flac", "ogg", "opus", "mp3", "aiff"])
def test_what_libsndfile_wrote_is_what_libsndfile_reads(tmp_path, source, target):
    a, b = audio_file(tmp_path / f"a.{source}", STRINGS), audio_file(tmp_path / f"b.{target}")
    before = samples(b)
    assert copy_tags(a, b) == []
    np.testing.assert_array_equal(samples(b), before)
    with soundfile.SoundFile(str(a)) as given, soundfile.SoundFile(str(b)) as found:
        carried = {name: getattr(given, name) for name in STRINGS if getattr(given, name)}
        assert len(carried) >= (2 if source == "aiff" else 4)
        if target != "aiff":  # libsndfile reads no ID3 there
            assert {name: getattr(found, name) for name in carried} == carried
    ours = read_tags(b).texts
    assert all(ours[name.upper()] == [value] for name, value in carried.items())


@pytest.mark.parametrize("target", FORMATS)
def test_covers_and_other_texts_go_round(tmp_path, target):
    """From an MP3 to each format and from there into a new MP3."""
    texts = {"TITLE": "T", "TRACKNUMBER": "3", "TRACKTOTAL": "12", "COMMENT": "c", "MY OWN": "x", "ALBUMARTIST": "aa"}
    first = tagged(tmp_path / "a.mp3", texts, [COVER])
    middle, last = audio_file(tmp_path / f"b.{target}"), audio_file(tmp_path / "c.mp3")
    before = samples(middle)
    assert copy_tags(first, middle) == [] and copy_tags(middle, last) == []
    for path in (middle, last):
        found = read_tags(path)
        assert {name: values[0] for name, values in found.texts.items()} == texts
        assert found.pictures == [COVER]
    np.testing.assert_array_equal(samples(middle), before)


def test_a_long_ogg_keeps_all_its_pages(tmp_path):
    """The cover shifts the number of every page: each needs its checksum again, or nothing after it decodes."""
    for suffix in ("ogg", "opus"):
        path = audio_file(tmp_path / f"b.{suffix}", seconds=5.0)
        before = samples(path)
        copy_tags(tagged(tmp_path / "a.mp3", {"TITLE": "T"}, [COVER]), path)
        np.testing.assert_array_equal(samples(path), before)
        assert len(before) == 240_000


def test_what_describes_the_old_sound_is_left_behind(tmp_path):
    a = tagged(tmp_path / "a.mp3", {"TITLE": "T", "REPLAYGAIN_TRACK_GAIN": "-7 dB", "ENCODER": "x"})
    b = audio_file(tmp_path / "b.flac")
    copy_tags(a, b)
    assert list(read_tags(b).texts) == ["TITLE"]


def frame(name, content, size):
    return name + size + b"\0\0" + content


def test_id3_of_version_2_3_in_utf_16_and_unsynchronised(tmp_path):
    text = b"\x01" + "Ünï".encode("utf-16")
    image = b"\x00image/jpeg\0\x03\0" + b"\xff\xd8\xff\xe0picture"
    body = b"".join(frame(n, c, struct.pack(">I", len(c))) for n, c in ((b"TIT2", text), (b"APIC", image)))
    for flags, stored in ((0, body), (0x80, body.replace(b"\xff", b"\xff\x00"))):
        path = audio_file(tmp_path / "a.mp3")
        size = bytes((len(stored) >> shift) & 127 for shift in (21, 14, 7, 0))
        path.write_bytes(b"ID3\x03\x00" + bytes([flags]) + size + stored + path.read_bytes())
        found = read_tags(path)
        assert found.texts == {"TITLE": ["Ünï"]}
        assert found.pictures == [Picture(3, "image/jpeg", "", b"\xff\xd8\xff\xe0picture")]


def test_what_is_not_carried_is_said(tmp_path):
    path, target = audio_file(tmp_path / "a.wav"), audio_file(tmp_path / "b.wav")
    path.write_bytes(path.read_bytes() + b"bext" + struct.pack("<I", 4) + b"1234")
    assert copy_tags(path, target) == ["Not carried over from 'a.wav': the chunk 'bext'."]


def test_no_tags_leave_the_file_as_it_is(tmp_path):
    a, b = audio_file(tmp_path / "a.wav"), audio_file(tmp_path / "b.flac")
    before = b.read_bytes()
    assert copy_tags(a, b) == []
    assert b.read_bytes() == before


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_tags_never_stop_a_master(tmp_path, suffix):
    """Bytes changed at random, lengths made large, files cut short: at worst a sentence; the audio stays."""
    rng = random.Random(1)
    good = audio_file(tmp_path / f"good.{suffix}")
    copy_tags(
        tagged(tmp_path / "t.mp3", {"TITLE": "T", "ARTIST": "A"}, [Picture(3, "image/png", "", b"x" * 300)]), good
    )
    data = good.read_bytes()
    target = audio_file(tmp_path / "target.flac")
    fresh, before = target.read_bytes(), samples(target)
    places = [i for i in range(len(data)) if i < 2000 or i > len(data) - 1000]
    for turn in range(150):
        bad = bytearray(data)
        for _ in range(3):
            bad[rng.choice(places)] = rng.choice((0, 0x7F, 0xFF, rng.randrange(256)))
        if turn % 3 == 0:
            bad = bad[: rng.randrange(len(bad))]
        (tmp_path / f"bad.{suffix}").write_bytes(bad)
        target.write_bytes(fresh)
        notes = copy_tags(tmp_path / f"bad.{suffix}", target)
        assert all(note.endswith(".") and len(note) < 1000 for note in notes)
        np.testing.assert_array_equal(samples(target), before)
    assert len(copy_tags(tmp_path / "gone.wav", target)) == 1
