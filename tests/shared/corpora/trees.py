"""Small copies of the published trees, with real, tiny audio files."""

from pathlib import Path

import numpy as np
import soundfile


def write_clip(path: Path, seconds: float = 0.3, rate: int = 16_000) -> Path:
    """Write a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 220 * time), rate)
    return path


def ravdess(root: Path, suffix: str = ".wav") -> Path:
    for name in (
        "Actor_01/03-01-01-01-01-01-01",  # neutral
        "Actor_01/03-01-02-01-02-01-01",  # calm
        "Actor_24/03-01-05-02-01-02-24",  # angry
        "Actor_24/03-02-05-02-01-02-24",  # sung
        "Actor_24/01-01-05-02-01-02-24",  # the film's sound
        "Actor_24/._03-01-05-02-01-02-24",  # as archives made on a Mac hold them
        "Actor_24/notes",
    ):
        write_clip(root / f"{name}{suffix}")
    return root


def emodb(root: Path) -> Path:
    for name in ("03a01Fa", "03a01Wa", "08b10Lb", "16b02Td", "16a07Nc", "README"):
        write_clip(root / f"{name}.wav")
    return root


def cremad(root: Path) -> Path:
    for name in ("1001_DFA_ANG_XX", "1001_IEO_HAP_HI", "1040_ITH_SAD_X", "1091_WSI_FEA_XX", "x"):
        write_clip(root / f"{name}.wav")
    return root


def _clips(root: Path, names: str) -> Path:
    for name in names.split():
        write_clip(root / f"{name}.wav")
    return root


def nemo(root: Path) -> Path:
    _clips(root / "samples", "EB0_anger_1 EB0_happiness_2 SZ0_fear_90 SZ0_surprised_3 SZ0_cold_3")
    (root / "data.tsv").write_text(
        "file_id\temotion\traw_text\tspeaker_id\n"
        "EB0_anger_1.wav\tanger\tLubię czytać przed snem.\tEB0\n"
    )
    return root


def tess(root: Path) -> Path:
    _clips(root, "OAF_angry/OAF_back_angry OAF_angry/._OAF_back_angry OAF_neutral/OA_bite_neutral")
    return _clips(root, "YAF_pleasant_surprised/YAF_youth_ps YAF_sad/YAF_bar_sad YAF_sad/other")


def savee(root: Path) -> Path:
    return _clips(root, "AudioData/DC/a01 AudioData/DC/sa03 AudioData/KL/n30 AudioData/KL/su15")


def emovo(root: Path) -> Path:
    return _clips(root, "f1/dis-f1-b1 f1/gio-f1-d1 m3/rab-m3-n5 m3/tri-m3-l1 documents/rab")


def esd(root: Path) -> Path:
    _clips(root, "0001/Angry/0001_000351 0001/Sad/0001_001051 0011/Happy/0011_000701")
    return _clips(root, "0020/Surprise/0020_001750 0020/Neutral/0020 0020/0020_000001")


def casia(root: Path) -> Path:
    _clips(root, "liuchanhg/angry/201 liuchanhg/fear/201 ZhaoZuoxiang/neutral/250")
    return _clips(root, "ZhaoZuoxiang/sad/250 ZhaoZuoxiang/neutral/notes")


def shemo(root: Path) -> Path:
    return _clips(root, "female/F01A01 female/F21N05 male/M56W01 male/M02S11 male/X02S11")


MELD_TABLE = """\
Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode
1,"Oh, my God\u2026",Rachel,anger,negative,0,0,8,21
2,You must have had your hands full.,The Interviewer,neutral,neutral,0,1,8,21
3,That I did.,Rachel,surprise,positive,1,0,8,21
"""


def meld(root: Path) -> Path:
    for split, folder in (("train", "train_splits"), ("test", "output_repeated_splits_test")):
        _clips(root / folder, "dia0_utt0 dia0_utt1 dia1_utt0")
        (root / f"{split}_sent_emo.csv").write_text(MELD_TABLE, encoding="utf-8")
    write_clip(root / "output_repeated_splits_test/final_videos_testdia0_utt1.wav", seconds=0.5)
    return root


IEMOCAP_SHEET = """\
% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-F1:\tNeutral;\t(curious)
A-E3:\tval 3; act 2; dom  2;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M000\thap\t[2.5000, 2.5000, 2.5000]
C-E2:\tHappiness;\t()

[14.8872 - 18.0175]\tSes01F_impro01_F001\texc\t[2.5000, 2.5000, 2.5000]
[19.2900 - 20.7875]\tSes01F_impro01_M001\txxx\t[2.5000, 3.0000, 3.0000]
[21.3257 - 24.7400]\tSes01F_impro01_F002\tang\t[2.0000, 3.5000, 3.5000]
"""

IEMOCAP_TRANSCRIPT = """\
Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
Ses01F_impro01_MXX0 [008.2901-009.2357]: Mmhmm.
Ses01F_impro01_M000 [010.0100-011.3925]: Do you have your forms?
"""


def write_motion(path: Path, columns: int, seconds: float = 30.0, rate: int = 60) -> Path:
    """Write a file of captured motion as IEMOCAP's: every column holds the time, in seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        f"{n} {n / rate:.6f}" + f" {n / rate:.4f}" * columns for n in range(int(seconds * rate))
    ]
    header = ["Frame# Time" + " CH1" * columns, "Frame# Time" + " X" * columns]
    path.write_text("\n".join([*header, *rows]) + "\n")
    return path


def iemocap(root: Path) -> Path:
    session = root / "Session1"
    sheets = session / "dialog" / "EmoEvaluation"
    (sheets / "Categorical").mkdir(parents=True)
    (sheets / "Ses01F_impro01.txt").write_text(IEMOCAP_SHEET)
    (sheets / "._Ses01F_impro01.txt").write_bytes(b"\x00\x05\x16\x07" + b"\xff" * 50)
    transcripts = session / "dialog" / "transcriptions"
    transcripts.mkdir()
    (transcripts / "Ses01F_impro01.txt").write_bytes(IEMOCAP_TRANSCRIPT.encode() + b"\x92\n")
    for folder, columns in (("MOCAP_rotated", 165), ("MOCAP_hand", 18), ("MOCAP_head", 6)):
        write_motion(session / "dialog" / folder / "Ses01F_impro01.txt", columns)
    for utterance in ("F000", "M000", "F001", "M001", "F002"):
        write_clip(session / "sentences/wav/Ses01F_impro01" / f"Ses01F_impro01_{utterance}.wav")
    second = root / "Session5"
    (second / "dialog" / "EmoEvaluation").mkdir(parents=True)
    (second / "dialog" / "EmoEvaluation" / "Ses05M_script03_2.txt").write_text(
        "[1.0 - 2.0]\tSes05M_script03_2_F012\tsad\t[2.0, 2.0, 2.0]\r\n"
    )
    write_clip(second / "sentences/wav/Ses05M_script03_2/Ses05M_script03_2_F012.wav")
    return root
