"""Loaders of published corpora: on small copies of their trees, and on the real ones."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.corpora import CORPORA, Corpus, load_corpus
from shared.errors import CorpusError, SettingsError
from tests.shared.corpora import trees


def labels(corpus: Corpus) -> dict[str, str | None]:
    return {Path(clip.identifier).stem: clip.label for clip in corpus.clips}


@pytest.mark.parametrize("suffix", [".wav", ".WAV", ".flac"])
@pytest.mark.parametrize("below", ["", "Audio_Speech_Actors_01-24"])
def test_ravdess(tmp_path: Path, suffix: str, below: str) -> None:
    trees.ravdess(tmp_path / below, suffix)
    corpus = load_corpus("ravdess", tmp_path)
    assert labels(corpus) == {
        "03-01-01-01-01-01-01": "neutral",
        "03-01-02-01-02-01-01": None,
        "03-01-05-02-01-02-24": "angry",
    }
    assert corpus.speakers == ("Actor_01", "Actor_24")
    assert [clip.original for clip in corpus.clips] == ["neutral", "calm", "angry"]
    assert corpus.clips[1].text == "Dogs are sitting by the door."
    assert corpus.clips[0].identifier.endswith(f"Actor_01/03-01-01-01-01-01-01{suffix}")
    assert len(corpus.clips[0].read()) == 4800


def test_ravdess_holding_its_tree_twice_counts_once(tmp_path: Path) -> None:
    trees.ravdess(tmp_path)
    trees.ravdess(tmp_path / "audio_speech_actors_01-24")
    assert len(load_corpus("ravdess", tmp_path).clips) == 3


@pytest.mark.parametrize("below", ["", "IEMOCAP_full_release"])
def test_iemocap_and_its_sessions_may_lie_in_two_places(tmp_path: Path, below: str) -> None:
    whole = tmp_path / "whole"
    trees.iemocap(whole / below)
    other = whole / ("" if below else "IEMOCAP_full_release") / "Session5"
    other.parent.mkdir(exist_ok=True)
    (whole / below / "Session5").rename(other)
    assert load_corpus("iemocap", whole).speakers == ("Ses01F", "Ses01M", "Ses05F")


@pytest.mark.parametrize("below", ["", "wav"])
def test_emodb(tmp_path: Path, below: str) -> None:
    trees.emodb(tmp_path / below)
    corpus = load_corpus("emodb", tmp_path)
    assert labels(corpus) == {
        "03a01Fa": "happy",
        "03a01Wa": "angry",
        "08b10Lb": None,
        "16a07Nc": "neutral",
        "16b02Td": "sad",
    }
    assert corpus.speakers == ("03", "08", "16")
    assert corpus.clips[2].original == "boredom"
    assert {clip.language for clip in corpus.clips} == {"de"}


@pytest.mark.parametrize("below", ["", "AudioWAV"])
def test_cremad(tmp_path: Path, below: str) -> None:
    trees.cremad(tmp_path / below)
    corpus = load_corpus("cremad", tmp_path)
    assert labels(corpus) == {
        "1001_DFA_ANG_XX": "angry",
        "1001_IEO_HAP_HI": "happy",
        "1040_ITH_SAD_X": "sad",
        "1091_WSI_FEA_XX": None,
    }
    assert corpus.speakers == ("1001", "1040", "1091")
    assert corpus.clips[0].text == "Don't forget a jacket."


@pytest.mark.parametrize("below", ["", "IEMOCAP_full_release"])
def test_iemocap(tmp_path: Path, below: str) -> None:
    trees.iemocap(tmp_path / below)
    corpus = load_corpus("iemocap", tmp_path)
    assert labels(corpus) == {
        "Ses01F_impro01_F000": "neutral",
        "Ses01F_impro01_F001": "happy",
        "Ses01F_impro01_F002": "angry",
        "Ses01F_impro01_M000": "happy",
        "Ses01F_impro01_M001": None,
        "Ses05M_script03_2_F012": "sad",
    }
    assert corpus.speakers == ("Ses01F", "Ses01M", "Ses05F")
    first = corpus.clips[0]
    assert (first.text, first.original, first.language) == ("Excuse me.", "neu", "en")
    assert all(len(clip.read()) == 4800 for clip in corpus.clips)


def test_iemocap_has_motion_of_face_hands_and_head_beside_its_sound(tmp_path: Path) -> None:
    first, *_, last = load_corpus("iemocap", trees.iemocap(tmp_path)).clips
    assert first.motion is not None
    motion = first.motion.read()
    assert motion.shape == (200, 165 + 18 + 6)
    # The made tree's columns hold the time: the utterance is the part from 6.2901 to 8.2357 s.
    assert motion[0] == pytest.approx(6.3, abs=0.02)
    assert motion[-1] == pytest.approx(8.23, abs=0.02)
    assert last.motion is None, "nobody captured the fifth session of the made tree"


def test_iemocap_takes_the_motion_of_a_dialogue_in_two_parts_from_one_file(tmp_path: Path) -> None:
    dialog = trees.iemocap(tmp_path) / "Session1/dialog"
    sheet = dialog / "EmoEvaluation/Ses01F_impro01.txt"
    sheet.with_stem("Ses01F_impro01b").write_text(sheet.read_text().replace("impro01", "impro01b"))
    clips = load_corpus("iemocap", tmp_path).clips
    in_parts = [clip for clip in clips if "impro01b" in clip.identifier]
    assert len(in_parts) == 5
    assert all(clip.motion for clip in in_parts)


def test_iemocap_leaves_out_motion_without_the_hands_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trees.iemocap(tmp_path)
    (tmp_path / "Session1/dialog/MOCAP_hand/Ses01F_impro01.txt").unlink()
    assert load_corpus("iemocap", tmp_path).clips[0].motion is None
    assert "MOCAP_hand/Ses01F_impro01.txt is missing (Ses01F_impro01)" in caplog.text


@pytest.mark.parametrize(
    ("happy", "utterances"),
    [("both", {"F001", "M000"}), ("excited", {"F001"}), ("happiness", {"M000"})],
)
def test_what_counts_as_happy_in_iemocap(tmp_path: Path, happy: str, utterances: set[str]) -> None:
    corpus = load_corpus("iemocap", trees.iemocap(tmp_path), happy=happy)
    found = {stem[-4:] for stem, emotion in labels(corpus).items() if emotion == "happy"}
    assert found == utterances


def test_iemocap_without_transcriptions_has_no_texts(tmp_path: Path) -> None:
    trees.iemocap(tmp_path)
    (tmp_path / "Session1/dialog/transcriptions/Ses01F_impro01.txt").unlink()
    assert {clip.text for clip in load_corpus("iemocap", tmp_path).clips} == {""}


def test_iemocap_with_labels_but_no_sound_says_so(tmp_path: Path) -> None:
    trees.iemocap(tmp_path)
    (tmp_path / "Session1" / "sentences").rename(tmp_path / "elsewhere")
    with pytest.raises(CorpusError, match="expected a folder Session1/sentences/wav"):
        load_corpus("iemocap", tmp_path)


def test_happy_of_another_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="happy should be one of both, excited, happiness"):
        load_corpus("iemocap", trees.iemocap(tmp_path), happy="glad")


@pytest.mark.parametrize("name", [name for name in CORPORA if CORPORA.get(name).info.tree])
class TestWrongPlaces:
    def test_another_folder(self, name: str, tmp_path: Path) -> None:
        for number in range(7):
            (tmp_path / f"holiday{number}").mkdir()
        with pytest.raises(CorpusError, match=r"holiday0/, .*holiday4/ and 2 more") as caught:
            load_corpus(name, tmp_path)
        assert "Expected there:" in caught.value.remedy
        assert CORPORA.get(name).info.obtain in caught.value.remedy

    def test_an_empty_folder(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match="it is empty"):
            load_corpus(name, tmp_path)

    def test_nothing(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match="there is nothing of that name"):
            load_corpus(name, tmp_path / "ravdes")

    def test_no_path(self, name: str) -> None:
        with pytest.raises(CorpusError, match="needs its files") as caught:
            load_corpus(name)
        assert "--data" in caught.value.remedy


@pytest.mark.parametrize("name", ["iemocap", "ravdess", "emodb", "cremad"])
def test_a_file_where_a_folder_should_be(name: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="it is a file"):
        load_corpus(name, trees.write_clip(tmp_path / "clip.wav"))


@pytest.mark.parametrize(
    ("name", "tree"),
    [
        ("ravdess", trees.ravdess),
        ("emodb", trees.emodb),
        ("cremad", trees.cremad),
        ("iemocap", trees.iemocap),
    ],
)
def test_clips_come_in_the_order_of_their_identifiers(
    name: str, tree: Callable[[Path], Path], tmp_path: Path
) -> None:
    identifiers = [clip.identifier for clip in load_corpus(name, tree(tmp_path)).clips]
    assert identifiers == sorted(set(identifiers))


def test_a_corpus_without_our_emotions_is_refused(tmp_path: Path) -> None:
    trees.write_clip(tmp_path / "03a01La.wav")
    with pytest.raises(CorpusError, match="1 clips, none of them labelled"):
        load_corpus("emodb", tmp_path)


def test_an_unknown_corpus_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match="no corpus 'ravdes'") as caught:
        load_corpus("ravdes")
    assert all(name in caught.value.remedy for name in CORPORA)


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="emodb has no option happy: it has none"):
        load_corpus("emodb", tmp_path, happy="both")


def test_moving_a_clip_keeps_its_content_key(tmp_path: Path) -> None:
    flat = load_corpus("emodb", trees.emodb(tmp_path / "a")).clips
    deep = load_corpus("emodb", trees.emodb(tmp_path / "b" / "wav").parent).clips
    assert [clip.content_key() for clip in flat] == [clip.content_key() for clip in deep]
    assert flat[0].identifier != deep[0].identifier


def test_real_ravdess(speech: Path) -> None:
    corpus = load_corpus("ravdess", speech / "ravdess")
    counts = Counter(clip.label for clip in corpus.clips)
    assert counts == {"neutral": 96, "happy": 192, "sad": 192, "angry": 192, None: 768}
    assert len(corpus.speakers) == 24
    assert len({clip.content_key() for clip in corpus.clips[:60]}) == 60


def test_real_emodb(speech: Path) -> None:
    corpus = load_corpus("emodb", speech / "emodb")
    assert (len(corpus.clips), len(corpus.labelled), len(corpus.speakers)) == (339, 339, 10)
    assert all(clip.text for clip in corpus.clips)
