"""Loaders of further published corpora, on small copies of their trees."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.corpora import Clip, load_corpus
from shared.errors import CorpusError
from tests.shared.corpora import trees

TREES: dict[str, Callable[[Path], Path]] = {
    "nemo": trees.nemo,
    "tess": trees.tess,
    "savee": trees.savee,
    "emovo": trees.emovo,
    "esd": trees.esd,
    "casia": trees.casia,
    "shemo": trees.shemo,
    "meld": trees.meld,
}

FOUND: dict[str, list[tuple[str, str | None, str, str, str]]] = {
    "nemo": [
        ("samples/EB0_anger_1.wav", "angry", "EB0", "pl", "Lubię czytać przed snem."),
        ("samples/EB0_happiness_2.wav", "happy", "EB0", "pl", ""),
        ("samples/SZ0_fear_90.wav", None, "SZ0", "pl", ""),
        ("samples/SZ0_surprised_3.wav", None, "SZ0", "pl", ""),
    ],
    "tess": [
        ("OAF_angry/OAF_back_angry.wav", "angry", "OAF", "en", "Say the word back."),
        ("OAF_neutral/OA_bite_neutral.wav", "neutral", "OAF", "en", "Say the word bite."),
        ("YAF_pleasant_surprised/YAF_youth_ps.wav", None, "YAF", "en", "Say the word youth."),
        ("YAF_sad/YAF_bar_sad.wav", "sad", "YAF", "en", "Say the word bar."),
    ],
    "savee": [
        ("AudioData/DC/a01.wav", "angry", "DC", "en", ""),
        ("AudioData/DC/sa03.wav", "sad", "DC", "en", ""),
        ("AudioData/KL/n30.wav", "neutral", "KL", "en", ""),
        ("AudioData/KL/su15.wav", None, "KL", "en", ""),
    ],
    "emovo": [
        ("f1/dis-f1-b1.wav", None, "f1", "it", "Gli operai si alzano presto."),
        ("f1/gio-f1-d1.wav", "happy", "f1", "it", "Sabato sera cosa farà?"),
        (
            *("m3/rab-m3-n5.wav", "angry", "m3", "it"),
            "Uno quarantatré dieci mille cinquantasette venti.",
        ),
        (
            *("m3/tri-m3-l1.wav", "sad", "m3", "it"),
            "L'autunno prossimo Tony partirà per la Spagna nella prima metà di ottobre.",
        ),
    ],
    "esd": [
        ("0001/Angry/0001_000351.wav", "angry", "0001", "zh", ""),
        ("0001/Sad/0001_001051.wav", "sad", "0001", "zh", ""),
        ("0011/Happy/0011_000701.wav", "happy", "0011", "en", ""),
        ("0020/Surprise/0020_001750.wav", None, "0020", "en", ""),
    ],
    "casia": [
        ("ZhaoZuoxiang/neutral/250.wav", "neutral", "ZhaoZuoxiang", "zh", ""),
        ("ZhaoZuoxiang/sad/250.wav", "sad", "ZhaoZuoxiang", "zh", ""),
        ("liuchanhg/angry/201.wav", "angry", "liuchanhg", "zh", ""),
        ("liuchanhg/fear/201.wav", None, "liuchanhg", "zh", ""),
    ],
    "shemo": [
        ("female/F01A01.wav", "angry", "F01", "fa", ""),
        ("female/F21N05.wav", "neutral", "F21", "fa", ""),
        ("male/M02S11.wav", "sad", "M02", "fa", ""),
        ("male/M56W01.wav", None, "M56", "fa", ""),
    ],
}


def facts(clip: Clip) -> tuple[str, str | None, str, str, str]:
    return clip.identifier, clip.label, clip.speaker, clip.language, clip.text


@pytest.mark.parametrize("name", FOUND)
def test_the_published_names_say_label_speaker_language_and_text(name: str, tmp_path: Path) -> None:
    corpus = load_corpus(name, TREES[name](tmp_path))
    assert list(map(facts, corpus.clips)) == FOUND[name]
    assert all(len(clip.read()) == 4800 for clip in corpus.clips)


@pytest.mark.parametrize("name", TREES)
def test_the_folder_above_will_do(name: str, tmp_path: Path) -> None:
    below = {"meld": "MELD.Raw", "nemo": "."}.get(name, "archive")
    direct = load_corpus(name, TREES[name](tmp_path / below))
    assert len(direct.clips) == len(load_corpus(name, tmp_path / below).clips)
    assert [clip.speaker for clip in load_corpus(name, tmp_path).clips] == [
        clip.speaker for clip in direct.clips
    ]


@pytest.mark.parametrize("name", TREES)
def test_a_file_is_not_a_corpus(name: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="it is a file"):
        load_corpus(name, trees.write_clip(tmp_path / "clip.wav"))


def test_clips_of_savee_in_one_folder(tmp_path: Path) -> None:
    for name in ("DC_a01", "KL_su15"):
        trees.write_clip(tmp_path / "ALL" / f"{name}.wav")
    corpus = load_corpus("savee", tmp_path)
    assert [(clip.label, clip.speaker) for clip in corpus.clips] == [("angry", "DC"), (None, "KL")]


def test_clips_of_tess_without_folders(tmp_path: Path) -> None:
    trees.write_clip(tmp_path / "OAF_back_angry.wav")
    assert load_corpus("tess", tmp_path).clips[0].speaker == "OAF"


def test_the_parts_of_esd_are_one_corpus(tmp_path: Path) -> None:
    for number, part in enumerate(("evaluation", "test", "train")):
        trees.write_clip(tmp_path / "0001" / "Angry" / part / f"0001_00035{number}.wav")
    corpus = load_corpus("esd", tmp_path)
    assert [clip.label for clip in corpus.clips] == ["angry"] * 3
    assert corpus.speakers == ("0001",)


SPREAD = {
    "emodb": "03a01Fa 03a01Wa wav/08b10Lb wav/16b02Td",
    "cremad": "1001_DFA_ANG_XX AudioWAV/1040_ITH_SAD_X",
    "ravdess": (
        "Actor_01/03-01-05-01-01-01-01 Audio_Speech_Actors_01-24/Actor_02/03-01-05-01-01-01-02 "
        "audio_speech_actors_01-24/Actor_03/03-01-05-01-01-01-03"
    ),
    "nemo": "EB0_anger_1 samples/SZ0_fear_90",
    "tess": "OAF_back_angry YAF_sad/YAF_bar_sad more/YAF_angry/YAF_back_angry",
    "savee": "KL_a01 DC/a01 AudioData/JE/a01 savee/AudioData/JK/a01",
    "emovo": "rab-f1-b1 f2/rab-f2-b1 EMOVO/m3/rab-m3-b1",
    "esd": "0001/Angry/0001_000351 0011/Angry/train/0011_000351 ESD/0012/Sad/test/0012_001051",
    "casia": "liuchanhg/angry/201 more/ZhaoZuoxiang/angry/201",
    "shemo": "F01A01 female/F21N05 ShEMO/male/M02S11",
}


@pytest.mark.parametrize("name", SPREAD)
def test_clips_at_several_depths_are_one_corpus(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for clip in SPREAD[name].split():
        trees.write_clip(tmp_path / f"{clip}.wav")
    found = [clip.identifier.removesuffix(".wav") for clip in load_corpus(name, tmp_path).clips]
    assert found == sorted(SPREAD[name].split())
    assert not caplog.text


@pytest.mark.parametrize("name", FOUND)
def test_a_copy_at_another_depth_is_named_and_read_once(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    TREES[name](tmp_path)
    folder = "samples" if name == "nemo" else "copy"
    for identifier, *_ in FOUND[name]:
        trees.write_clip(tmp_path / folder / identifier.removeprefix("samples/"))
    if name == "nemo":
        trees.write_clip(tmp_path / "EB0_anger_1.wav")
    found = [clip.identifier for clip in load_corpus(name, tmp_path).clips]
    assert found == [identifier for identifier, *_ in FOUND[name]]
    copies = 1 if name == "nemo" else 4
    assert f"{copies} that are copies of others, by their names (" in caplog.text


def test_clips_of_savee_in_folders_and_in_one_are_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("ALL/DC_a01", "ALL/KL_a01", "AudioData/DC/a01"):
        trees.write_clip(tmp_path / f"{name}.wav")
    found = [clip.identifier for clip in load_corpus("savee", tmp_path).clips]
    assert found == ["ALL/DC_a01.wav", "ALL/KL_a01.wav"]
    assert "1 that are copies of others, by their names (AudioData/DC/a01.wav)" in caplog.text


@pytest.mark.parametrize("name", TREES)
def test_hidden_folders_are_not_read(name: str, tmp_path: Path) -> None:
    hidden = TREES[name](tmp_path / ".Trash-1000")
    with pytest.raises(CorpusError, match="it is empty"):
        load_corpus(name, tmp_path)
    assert load_corpus(name, hidden).clips, "a folder that is named itself may be hidden"


def test_meld_and_its_splits_may_lie_in_two_places(tmp_path: Path) -> None:
    trees.meld(tmp_path)
    (tmp_path / "MELD.Raw").mkdir()
    for name in ("train_sent_emo.csv", "train_splits"):
        (tmp_path / name).rename(tmp_path / "MELD.Raw" / name)
    assert len(load_corpus("meld", tmp_path).clips) == 6
    trees.meld(tmp_path)
    assert len(load_corpus("meld", tmp_path).clips) == 6


def test_meld_takes_the_corrected_films_of_its_test(tmp_path: Path) -> None:
    corpus = load_corpus("meld", trees.meld(tmp_path))
    assert [Path(clip.identifier).stem for clip in corpus.clips] == [
        "dia0_utt0",
        "dia1_utt0",
        "final_videos_testdia0_utt1",
        "dia0_utt0",
        "dia0_utt1",
        "dia1_utt0",
    ]
    assert Counter(clip.label for clip in corpus.clips) == {"angry": 2, "neutral": 2, None: 2}
    assert len(corpus.clips[2].read()) == 8000
    assert (corpus.clips[0].speaker, corpus.clips[0].text) == ("Rachel", "Oh, my God…")


def test_an_utterance_of_meld_without_its_film_is_listed(tmp_path: Path) -> None:
    trees.meld(tmp_path)
    (tmp_path / "train_splits" / "dia1_utt0.wav").unlink()
    identifiers = [clip.identifier for clip in load_corpus("meld", tmp_path).clips]
    assert "train_splits/dia1_utt0.mp4" in identifiers  # left out with a remark when it is read


def test_a_table_of_meld_that_lacks_a_column_is_named(tmp_path: Path) -> None:
    trees.meld(tmp_path)
    table = tmp_path / "test_sent_emo.csv"
    table.write_text("Utterance,Emotion\nNo.,anger\n")
    with pytest.raises(CorpusError, match=r"test_sent_emo\.csv, row 2: it should have Dialogue_ID"):
        load_corpus("meld", tmp_path)


def test_a_table_that_is_not_text_is_named(tmp_path: Path) -> None:
    trees.nemo(tmp_path)
    (tmp_path / "data.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match=r"data\.tsv is not a table in UTF-8"):
        load_corpus("nemo", tmp_path)


def test_nemo_without_its_table_has_no_texts(tmp_path: Path) -> None:
    trees.nemo(tmp_path)
    (tmp_path / "data.tsv").unlink()
    assert {clip.text for clip in load_corpus("nemo", tmp_path).clips} == {""}


def test_real_nemo(speech: Path) -> None:
    corpus = load_corpus("nemo", speech / "nemo")
    counts = Counter(clip.label for clip in corpus.clips)
    assert counts == {"neutral": 404, "happy": 382, "sad": 380, "angry": 378}
    assert len(corpus.speakers) == 9
    assert all(clip.text for clip in corpus.clips)
