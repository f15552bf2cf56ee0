"""A file is read to its true end, whatever its header says of its length."""

import os
import shutil
import struct
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_client.hearing.recording import Recording
from shared.audio import RATE, joined, read_clip
from shared.audio.flac import _remainder, true_total
from shared.errors import AudioError
from tests.edge_client.hearing.sounds import scene

SOUND = scene(0.5, 1, 0.5) / 2


def written(path: Path, kind: str = "WAV", subtype: str | None = None) -> Path:
    soundfile.write(path, SOUND, RATE, format=kind, subtype=subtype)
    return path


def heard(path: Path) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.concatenate(list(Recording(path, fast=True).blocks()))


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        *(("WAV", "PCM_16"), ("WAV", "GSM610"), ("WAVEX", "FLOAT"), ("RF64", "PCM_16")),
        *(("AIFF", "PCM_16"), ("AU", "PCM_16"), ("W64", "PCM_24"), ("CAF", "PCM_16")),
        *(("VOC", "PCM_16"), ("NIST", "PCM_16"), ("MAT4", "FLOAT"), ("SVX", "PCM_16")),
        *(("OGG", "VORBIS"), ("OGG", "OPUS"), ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III")),
    ],
)
def test_a_whole_file_is_read_and_one_cut_short_is_named(
    kind: str, subtype: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "clip.any", kind, subtype)
    whole = read_clip(path)
    assert len(SOUND) <= len(whole) <= len(SOUND) + 1_500
    np.testing.assert_allclose(heard(path), whole, atol=1e-6)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(AudioError, match=r"clip\.any (is damaged: its end is missing|cannot be)"):
        read_clip(path)
    with pytest.raises(AudioError, match=r"clip\.any (is damaged: its end is missing|cannot be)"):
        heard(path)


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
def test_a_flac_that_goes_on_where_its_header_ends_is_whole(subtype: str, tmp_path: Path) -> None:
    path = written(tmp_path / "clip.flac", "FLAC", subtype)
    whole = read_clip(path)
    content = bytearray(path.read_bytes())
    total = int.from_bytes(content[21:26], "big")
    for claimed in (1, len(SOUND) // 2, len(SOUND) - 1):
        content[21:26] = (total >> 36 << 36 | claimed).to_bytes(5, "big")
        path.write_bytes(content)
        np.testing.assert_array_equal(read_clip(path), whole)
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"clip\.flac (is damaged|cannot be)"):
        read_clip(path)


def test_a_flac_frame_beyond_all_that_can_be_counted_is_not_believed(tmp_path: Path) -> None:
    path = written(tmp_path / "clip.flac", "FLAC")
    # Of 65,535 samples, and number 2^31 - 1 of them: its checks are right, and it ends the file.
    header = b"\xff\xf8\x79\x18\xfd\xbf\xbf\xbf\xbf\xbf\xff\xfe"
    frame = header + bytes([_remainder(header, 0x07, 8)])
    frame += _remainder(frame, 0x8005, 16).to_bytes(2, "big")
    content = bytearray(path.read_bytes()[:42]) + frame  # the header's first part, and no more
    content[4] |= 0x80
    content[10:12] = b"\xff\xff"
    path.write_bytes(content)
    with path.open("rb") as file:
        assert true_total(file, path.read_bytes()) == b""
        assert file.tell() == 0
    with pytest.raises(AudioError, match=r"clip\.flac cannot be read"):
        read_clip(path)


@pytest.mark.parametrize("claimed", [0xFFFF_FFFF, 0x7FFF_F000, 0x8000_0000])
def test_a_wav_written_to_a_pipe_is_whole(claimed: int, tmp_path: Path) -> None:
    path = written(tmp_path / "clip.wav")
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", claimed)
    path.write_bytes(content)
    assert len(read_clip(path)) == len(heard(path)) == len(SOUND)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        *(("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "ULAW"), ("WAV", "IMA_ADPCM")),
        *(("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("AU", "PCM_16"), ("AIFF", "PCM_16")),
        *(("W64", "PCM_16"), ("VOC", "PCM_16"), ("NIST", "PCM_16")),
    ],
)
@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_a_header_that_says_no_bytes_where_a_recorder_was_cut_off_is_not_believed(
    endian: str, kind: str, subtype: str, tmp_path: Path
) -> None:
    if endian == "BIG" and kind not in ("WAV", "AU", "AIFF"):
        pytest.skip("has one order")
    path = tmp_path / "clip.any"
    soundfile.write(path, SOUND, RATE, format=kind, subtype=subtype, endian=endian)
    whole = read_clip(path)
    content = bytearray(path.read_bytes())
    for place, length in ZEROS[kind](content):
        assert any(content[place : place + length])
        content[place : place + length] = bytes(length)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_clip(path)[: len(whole)], whole)
    assert len(read_clip(path)) <= len(whole) + 500  # ADPCM: the last block is no longer cut
    np.testing.assert_array_equal(heard(path), read_clip(path))


def riff(content: bytearray) -> list[tuple[int, int]]:
    return [(4, 4), (content.index(b"data") + 4, 4)]


ZEROS: dict[str, Callable[[bytearray], list[tuple[int, int]]]] = {
    "WAV": riff,
    "WAVEX": riff,
    "RF64": lambda content: [(content.index(b"ds64") + 8, 24)],
    "AU": lambda _: [(8, 4)],
    "AIFF": lambda content: [(4, 4), *((content.index(c) + 4, 4) for c in (b"SSND",))],
    "W64": lambda content: [(16, 8), (content.index(b"data") + 16, 8)],
    "VOC": lambda _: [(27, 3)],
    "NIST": lambda content: [(content.index(b"sample_count -i ") + 16, 5)],
}
"""Where a format's header says how long it is: place and bytes."""


def test_a_gsm_of_an_odd_number_of_bytes_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "voicemail.wav"
    soundfile.write(path, SOUND[: 75 * 320], 8_000, subtype="GSM610")
    content = path.read_bytes()
    place, size = content.index(b"data"), 75 * 65
    odd = content[: place + 4] + struct.pack("<I", size) + content[place + 8 :][:size]
    path.write_bytes(odd)
    assert "seems to be truncated" in soundfile.info(path, verbose=True).extra_info, "it is not"
    assert len(read_clip(path)) == len(heard(path)) >= 75 * 320 * 2


def test_what_a_killed_recorder_leaves_is_read(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    with wave.open(str(path), "wb") as recorder:
        recorder.setparams((1, 2, RATE, 0, "NONE", ""))
        for block in np.split((SOUND * 32_767).astype("<i2"), 10):
            recorder.writeframesraw(block.tobytes())
        left = path.read_bytes()
    path.write_bytes(left)
    assert int.from_bytes(left[40:44], "little") == len(SOUND) * 2 / 10  # the first block's
    assert len(read_clip(path)) == len(heard(path)) == len(SOUND)


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), bytes(500), b"LIST\x04\0\0\0INFO"])
def test_what_a_program_puts_behind_the_sound_is_no_sound(behind: bytes, tmp_path: Path) -> None:
    path = written(tmp_path / "clip.wav")
    path.write_bytes(path.read_bytes() + behind)
    assert len(read_clip(path)) == len(heard(path)) == len(SOUND)


@pytest.mark.parametrize("chunks", [b"", b"LIST\x04\0\0\0INFO", b"id3 \x02\0\0\0ab"])
def test_a_wav_that_is_empty_is_called_empty(chunks: bytes, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", SOUND[:0], RATE)
    path = tmp_path / "a.wav"
    path.write_bytes(path.read_bytes() + chunks)
    with pytest.raises(AudioError, match=r"a\.wav is empty"):
        read_clip(path)


def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = written(tmp_path / "clip.flac", "FLAC")
    known = read_clip(path)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # 36 bits of STREAMINFO: the total of samples
    content[22:26] = bytes(4)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_clip(path), known)
    np.testing.assert_array_equal(heard(path), known)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg: apt install ffmpeg")
@pytest.mark.parametrize("tags", [(), ("-write_id3v1", "1", "-metadata", "title=x")])
@pytest.mark.parametrize("order", [1, -1])
def test_an_mp3_that_does_not_say_its_length_is_read_to_its_end(
    order: int, tags: tuple[str, ...], tmp_path: Path
) -> None:
    quiet_then_loud = np.concatenate([np.zeros(4 * RATE, np.float32), SOUND])[::order]
    soundfile.write(tmp_path / "a.wav", quiet_then_loud, RATE)
    options = ["-q:a", "2", "-write_xing", "0", *tags]
    command = ["ffmpeg", "-loglevel", "error", "-i", "a.wav", *options, "a.mp3"]
    subprocess.run(command, check=True, cwd=tmp_path, stdin=subprocess.DEVNULL)
    samples = read_clip(tmp_path / "a.mp3")
    assert len(samples) == pytest.approx(len(quiet_then_loud), abs=3_000)
    np.testing.assert_allclose(heard(tmp_path / "a.mp3"), samples, atol=1e-6)


@pytest.mark.filterwarnings("error")  # what is raised in a callback is printed, and ignored
@pytest.mark.parametrize("rest", [0, 10, 50, 123])
def test_an_mp3_of_which_little_has_come_is_one_sentence(rest: int, tmp_path: Path) -> None:
    """Where a tag would be looked for, 128 bytes before the end, there is no file yet."""
    (tmp_path / "a.mp3").write_bytes(b"\xff\xfb\x90\0" + bytes(rest))
    with pytest.raises(AudioError, match="cannot be read"):
        read_clip(tmp_path / "a.mp3")


_TAG = b"ID3\4\0\0\0\0\0\5title"


@pytest.mark.parametrize(
    ("kind", "subtype", "between"),
    [
        *(("OGG", "VORBIS", b""), ("OGG", "OPUS", b"")),
        *(("MP3", None, between) for between in (b"", _TAG, b"TAG" + bytes(125))),
    ],
)
def test_of_sounds_one_behind_the_other_none_is_left_out_in_silence(
    kind: str, subtype: str | None, between: bytes, tmp_path: Path
) -> None:
    content = written(tmp_path / "first.any", kind, subtype).read_bytes()
    soundfile.write(tmp_path / "second.any", SOUND[::-1], RATE, format=kind, subtype=subtype)
    path = tmp_path / "clip.any"
    path.write_bytes(content + between + (tmp_path / "second.any").read_bytes())
    for read in (read_clip, heard):
        with pytest.raises(AudioError, match=r"clip\.any holds several sounds"):
            read(path)
    path.write_bytes((_TAG if kind == "MP3" else b"") + content + between)
    assert len(read_clip(path)) == len(read_clip(tmp_path / "first.any"))


@pytest.mark.parametrize("at_once", [joined._AT_ONCE, 1, 7])
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_sound_behind_one_with_the_same_stream_number_is_noticed(
    subtype: str, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some programs number all streams alike."""
    monkeypatch.setattr(joined, "_AT_ONCE", at_once)
    content = written(tmp_path / "clip.any", "OGG", subtype).read_bytes()
    (tmp_path / "once.ogg").write_bytes(content)
    assert len(read_clip(tmp_path / "once.ogg"))
    (tmp_path / "twice.ogg").write_bytes(content + content)
    with pytest.raises(AudioError, match="holds several sounds"):
        read_clip(tmp_path / "twice.ogg")


def test_what_goes_beyond_full_scale_is_heard_as_the_clip_is(tmp_path: Path) -> None:
    loud = tmp_path / "loud.wav"
    soundfile.write(loud, SOUND * 32_768, 22_050, subtype="FLOAT")
    samples = read_clip(loud)
    assert np.abs(samples).max() == 1
    np.testing.assert_array_equal(heard(loud), samples)


def test_a_file_whose_name_is_no_text_is_read(tmp_path: Path) -> None:
    for name in (b"m\xfcll.wav", b"m\xfcll.mp3"):
        path = tmp_path / os.fsdecode(name)
        shutil.copy(written(tmp_path / "clip.wav"), path)
        assert len(read_clip(path)) == len(heard(path)) == len(SOUND)


@pytest.mark.parametrize("rate", [1, 3_999, 384_001])
def test_a_rate_that_no_sound_has_is_refused_before_it_is_resampled(
    rate: int, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", SOUND, rate)
    for read in (read_clip, heard):
        with pytest.raises(AudioError, match=f"claims {rate} samples per second"):
            read(tmp_path / "a.wav")
