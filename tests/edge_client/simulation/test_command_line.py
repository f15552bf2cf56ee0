"""The command that stands below a table: without the places of somebody's files."""

from pathlib import Path

from edge_client.simulation.studies.experiment_report import command_line


def test_places_of_corpora_are_left_out() -> None:
    given = ["experiment", "x", "--data", "/a", "--corpus", "en=ravdess:/b/c:d,de=emodb:e/f"]
    given += [
        "--corpus",
        "xx=synthetic",
        "--test",
        "emodb=/g",
        "--corpus",
        "ravdess",
        "--seeds",
        "3",
    ]
    shown = command_line(given).split()
    assert shown[3:] == [
        *("--data", "PATH", "--corpus", "en=ravdess:PATH,de=emodb:PATH"),
        *("--corpus", "xx=synthetic", "--test", "emodb=PATH", "--corpus", "ravdess"),
        *("--seeds", "3"),
    ]


def test_files_of_front_ends_and_weights_keep_their_names_alone() -> None:
    given = ["--speech", "nemo=/a/b", "--pretrained", "/c/own.safetensors"]
    given += ["--vectors", "whisper-speech,d/ge2e.safetensors,/e/f.safetensors+text"]
    assert command_line(given).split()[1:] == [
        *("--speech", "nemo=PATH", "--pretrained", "own.safetensors"),
        *("--vectors", "whisper-speech,ge2e.safetensors,f.safetensors+text"),
    ]


def test_a_folder_of_a_sentence_encoder_is_not_told(tmp_path: Path) -> None:
    assert command_line(["--sentences", str(tmp_path)]) == "edge-client --sentences PATH"
    for name in ("words", "sentence-transformers/all-MiniLM-L6-v2"):
        assert command_line(["--sentences", name]) == f"edge-client --sentences {name}"
