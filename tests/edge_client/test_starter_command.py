"""Making a model to begin with."""

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import soundfile
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from converters.encoders.speakers import import_speaker_encoder
from edge_client.commands.overview import overview, overview_table
from edge_client.commands.starter import StarterSettings, starter
from edge_client.device.device import Device
from edge_client.device.settings import DeviceSettings
from edge_client.learning import voice_belief
from edge_client.settings import RunSettings
from edge_client.simulation.settings import SimulationSettings
from edge_client.simulation.teaching import card_of_run
from shared.audio import RATE
from shared.corpora import load_corpus
from shared.errors import CorpusError, SettingsError, StorageError
from shared.features.cache import extract_features
from shared.features.labelled_clips import normalised_by_owner
from shared.features.normalisation import RunningStatistics
from shared.features.prior import load_prior
from shared.features.voice_file import load_voice
from shared.model_notes.calibration import UNMEASURED, load_calibration
from shared.model_notes.model_card import NOT_SPEECH, card_of
from shared.starter import beside
from shared.storage.tensor_file import TensorFile
from shared.task import Task, labels_of
from shared.training import Examples
from shared.weights import load_weights, split
from tests.converters.layouts import write_resemblyzer
from tests.edge_client.device.heard import hear
from tests.edge_client.device.pooled import NAME, POOLED
from tests.shared.encoders.speakers import small_speakers

LABELS = "angry,sad"
TASK = Task(labels_of(("angry", "sad")), POOLED.shape)

LENGTHY = """
from dataclasses import replace

from shared.corpora import CORPORA, Loader

own = CORPORA.get("manifest")
info = replace(own.info, name="lengthy", licence="ask the village " * 60)
LENGTHY = Loader(info, lambda data, task: replace(own.load(data, task), info=info))
"""

app = typer.Typer()
app.command()(starter)


def run(*arguments: str | Path) -> Result:
    given = ["--front-end", NAME, "--labels", LABELS, *map(str, arguments)]
    if "--normalisation" not in given:  # the quicker one
        given += ["--normalisation", "device"]
    return CliRunner().invoke(app, given)


def others(folder: Path) -> Path:
    """Write clips of voices into folders named by label and speaker; give the folder."""
    for clip in load_corpus("synthetic", task=TASK, speakers=4, clips_per_speaker=8).labelled:
        place = folder / str(clip.label) / f"other-{clip.speaker}"
        place.mkdir(parents=True, exist_ok=True)
        number = len(list(place.iterdir()))
        soundfile.write(place / f"{number}.wav", clip.read(), RATE)
    return folder


@pytest.fixture(scope="module", autouse=True)
def few_trials() -> Iterator[None]:
    """Let voice models be fitted to fewer devices: how well is tested where they are fitted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(voice_belief, "ALL_TRIALS", 48)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("starter") / "first.safetensors"
    result = run("--corpus", "synthetic", "--normalisation", "voice", "--output", output)
    assert result.exit_code == 0, result.output
    assert "336 clips of 24 speakers; licence: none needed" in result.stdout
    return output


def test_a_device_begins_with_both_files(made: Path, tmp_path: Path) -> None:
    settings = DeviceSettings.parse(
        {
            "state": tmp_path,
            "weights": made,
            "normalisation": "voice",
            "voice": made.with_suffix(".voice.safetensors"),
            "front_end": NAME,
            "labels": LABELS,
        }
    )
    with Device(settings) as device:
        found = hear(device)
        assert found.probabilities is not None
        assert sum(found.probabilities) == pytest.approx(1)


def test_the_head_tells_what_it_was_made_of(made: Path) -> None:
    weights, architecture = load_weights(made)
    assert (architecture.name, architecture.task) == ("head", TASK)
    voice = load_voice(made.with_suffix(".voice.safetensors"), TASK)
    found = extract_features(load_corpus("synthetic", task=TASK).labelled, POOLED, progress=False)
    raw = Examples(found.features, found.frames, found.labels(TASK))
    speakers = np.array([clip.speaker for clip in found.clips])
    vectors = normalised_by_owner(raw, speakers, POOLED, begun=voice).features[:, 0]
    tensors = split(weights, architecture)
    kernel, bias = (next(tensors[n] for n in tensors if n.endswith(e)) for e in ("kernel", "bias"))
    predicted = (vectors @ kernel + bias).argmax(axis=1)
    assert np.mean(predicted == raw.labels) > 0.9


def test_a_device_begins_with_what_others_were_heard_to_be_like(tmp_path: Path) -> None:
    output = tmp_path / "first.safetensors"
    assert run("--corpus", "synthetic", "--output", output).exit_code == 0
    beside = output.with_suffix(".prior.safetensors")
    settings = DeviceSettings.parse(
        {
            "state": tmp_path / "state",
            "weights": output,
            "prior": beside,
            "front_end": NAME,
            "labels": LABELS,
        }
    )
    prior = load_prior(beside, TASK)
    with Device(settings) as device:
        assert hear(device).probabilities is not None
        after = device.recognising.normalising()
        assert isinstance(after, RunningStatistics)
        assert after.count == prior.count + 1
        device.delete_everything()
        forgotten = device.recognising.normalising()
        assert isinstance(forgotten, RunningStatistics)
        np.testing.assert_array_equal(forgotten.mean, prior.mean)
    with Device(settings) as device:
        kept = device.recognising.normalising()
        assert isinstance(kept, RunningStatistics)
        assert kept.count == prior.count


def test_clips_that_cannot_be_used_are_named_and_have_taught_nothing(tmp_path: Path) -> None:
    clips, output = others(tmp_path / "clips"), tmp_path / "first.safetensors"
    broken = clips / "sad" / "somebody" / "broken.wav"
    broken.parent.mkdir()
    broken.write_bytes(b"nothing")
    given = ("--corpus", f"manifest={clips}", "--copies", "0", "--output", output)
    result = run(*given, "--test", "synthetic")
    assert result.exit_code == 0, result.output
    assert "skipped sad/somebody/broken.wav: " in result.stderr
    card = card_of(TensorFile(output).metadata)
    assert card is not None
    (taught,) = card.taught_by
    assert (taught.clips, taught.speakers) == (32, 4)
    assert f"{taught.title}: 32 clips of 4 speakers" in result.stdout


def test_it_is_tested_on_other_speakers(tmp_path: Path) -> None:
    output = tmp_path / "first.safetensors"
    clips = others(tmp_path / "clips")
    result = run("--corpus", "synthetic", "--output", output, "--test", f"manifest={clips}")
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if "UAR" in line)
    found = re.search(r"UAR (\S+) with all, (\S+) with one, (\S+) with none", line)
    assert found
    assert 0.9 < float(found[1]) <= 1


def test_recordings_that_taught_it_do_not_test_it_under_another_name(tmp_path: Path) -> None:
    clips, output = others(tmp_path / "clips"), tmp_path / "first.safetensors"
    rows = ["path,label,speaker"]
    for path in sorted(clips.rglob("*.wav")):
        (tmp_path / "same").mkdir(exist_ok=True)
        own = tmp_path / "same" / f"{len(rows)}.wav"
        own.symlink_to(path)
        rows.append(f"same/{own.name},{path.parent.parent.name},kim-{path.parent.name}")
    (tmp_path / "same.csv").write_text("\n".join(rows))
    given = ("--corpus", f"manifest={clips}", "--output", output)
    for option in ("--test", "--corpus"):
        error = run(*given, option, f"manifest={tmp_path / 'same.csv'}").exception
        assert isinstance(error, SettingsError)
        assert "(1 of 2) and clips of your own (2 of 2) have recordings in" in error.problem
        assert ".wav of the one is same/" in error.problem
    assert not output.exists()


def test_it_is_calibrated_on_speakers_who_were_left_out(made: Path, tmp_path: Path) -> None:
    measured = load_calibration(made)
    assert measured.temperature is not None
    assert measured.reliability is not None
    assert sum(measured.reliability.answers) == 3 * 336, "devices know all, one or no mood"
    assert measured.reliability.error < 0.1
    clips = others(tmp_path / "clips")
    output = tmp_path / "small.safetensors"
    result = run("--corpus", f"manifest={clips}", "--output", output, "--test", "synthetic")
    assert result.exit_code == 0, result.output
    line = r"calibration error (\S+) with all, (\S+) with one, (\S+) with none\."
    assert re.search(line, result.stdout)
    line = r"Speakers left out in turn: calibration error 0\.\d+; of \d+ answers below 50% \d+ were"
    assert re.search(line, result.stdout)


def test_copies_teach_too_and_go_with_who_spoke_them(tmp_path: Path) -> None:
    clips = others(tmp_path / "clips")
    found = {}
    for copies in (0, 1):
        output = tmp_path / f"{copies}.safetensors"
        words = ("--corpus", f"manifest={clips}", "--copies", copies, "--output", output)
        result = run(*words)  # type: ignore[arg-type] # numbers are words, too
        assert result.exit_code == 0, result.output
        assert re.search(r"\d+ clips of 4 speakers", result.stdout), "copies are not counted"
        found[copies] = load_weights(output)[0], load_calibration(output)
    assert not np.array_equal(found[0][0], found[1][0])
    answers = [calibration.reliability for _, calibration in found.values()]
    assert answers[0]
    assert answers[1]
    assert sum(answers[0].answers) == sum(answers[1].answers), "measured on clips alone"


def test_where_no_speaker_can_be_left_out_nothing_is_said_of_how_sure_it_is(tmp_path: Path) -> None:
    clips = others(tmp_path / "clips")
    for label in ("angry", "sad"):  # one speaker each
        speakers = sorted((clips / label).iterdir())
        del speakers[label == "sad"]
        for speaker in speakers:
            shutil.rmtree(speaker)
    output = tmp_path / "small.safetensors"
    result = run("--corpus", f"manifest={clips}", "--output", output)
    assert result.exit_code == 0, result.output
    assert "left out" not in result.stdout
    assert load_calibration(output) == UNMEASURED


def test_each_corpus_of_one_kind_is_told(tmp_path: Path) -> None:
    one, other = (others(tmp_path / name) for name in ("one", "other"))
    output = tmp_path / "tested.safetensors"
    tests = ("--test", f"manifest={one}", "--test", f"manifest={other}")
    result = run("--corpus", "synthetic", "--copies", "0", "--output", output, *tests)
    assert result.exit_code == 0, result.output
    assert len(re.findall(r"\(\d of 2\): UAR", result.stdout)) == 2
    card = card_of(TensorFile(output).metadata)
    assert card
    assert len(card.reached) == 2


def test_its_file_says_what_taught_it_and_what_it_reached(made: Path, tmp_path: Path) -> None:
    card = card_of(TensorFile(made).metadata)
    assert card
    assert card.teachers == "synthetic sounds (not speech): 336 clips of 24 speakers"
    assert card.is_synthetic
    output, clips = tmp_path / "tested.safetensors", others(tmp_path / "clips")
    run("--corpus", "synthetic", "--output", output, "--test", f"manifest={clips}")
    tested = card_of(TensorFile(output).metadata)
    assert tested
    (uars,) = tested.reached.values()
    assert {*uars} == {"all", "one", "none"}
    assert 0.9 < uars["all"] <= 1


def test_a_device_says_that_no_speech_has_taught_its_model(made: Path, tmp_path: Path) -> None:
    given = {"mic": True, "state": tmp_path, "weights": made, "labels": LABELS, "front_end": NAME}
    settings = RunSettings.parse(given).begun()
    assert settings.voice == beside(made, "voice"), "taken with it"
    with Device(settings.part(DeviceSettings)) as device:
        assert NOT_SPEECH in (device.problem or "")
        assert device.status()["card"]["taught_by"][0]["corpus"] == "synthetic"
    again = RunSettings.parse({"mic": True, "state": tmp_path, "front_end": NAME}).begun()
    with Device(again.part(DeviceSettings)) as device:
        assert NOT_SPEECH in (device.problem or ""), "the next time too"
    found = overview(DeviceSettings(state=tmp_path))
    assert found["card"]["taught_by"][0]["corpus"] == "synthetic"
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(overview_table(found))
    assert NOT_SPEECH in console.export_text()


def test_the_same_corpora_give_the_same_bits_and_what_an_earlier_starter_began_with_goes(
    tmp_path: Path,
) -> None:
    output = tmp_path / "first.safetensors"
    clips = others(tmp_path / "clips")
    voices, heads = [], []
    for kind, other in (("voice", "prior"), ("prior", "voice"), ("voice", "prior")):
        made = run(
            *("--corpus", f"manifest={clips}", "--output", output),
            *("--normalisation", "voice" if kind == "voice" else "device"),
        )
        assert made.exit_code == 0, made.output
        assert beside(output, kind).exists()  # type: ignore[arg-type] # one of the two
        assert not beside(output, other).exists()  # type: ignore[arg-type] # the other
        if kind == "voice":
            heads.append(output.read_bytes())
            voices.append(beside(output, "voice").read_bytes())
    assert heads[0] == heads[1]
    assert voices[0] == voices[1]


def test_what_cannot_be_made_writes_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    angry = others(tmp_path_factory.mktemp("angry"))
    shutil.rmtree(angry / "sad")
    output = tmp_path / "none.safetensors"
    for arguments, error in (
        (["--corpus", "nothing"], SettingsError),
        (["--corpus", f"ravdess={tmp_path}"], CorpusError),
        (["--corpus", "synthetic", "--front-end", "paper34"], SettingsError),
        (["--corpus", f"manifest={angry}"], CorpusError),
        (["--corpus", "synthetic", "--test", "synthetic"], SettingsError),
        (["--corpus", "/emodb"], SettingsError),
        (["--corpus", "emodb="], SettingsError),
    ):
        assert isinstance(run(*arguments, "--output", output).exception, error)
    assert not list(tmp_path.iterdir())


def test_a_licence_of_many_words_is_cut_on_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lengthy.py").write_text(LENGTHY)
    monkeypatch.syspath_prepend(str(tmp_path))
    output, clips = tmp_path / "long.safetensors", others(tmp_path / "clips")
    result = run("--corpus", f"lengthy:LENGTHY={clips}", "--copies", "0", "--output", output)
    assert result.exit_code == 0, result.output
    card = card_of(TensorFile(output).metadata)
    assert card
    (teaching,) = card.taught_by
    assert (len(teaching.licence), teaching.licence[-1]) == (300, "…")
    settings = SimulationSettings.parse({"corpus": "lengthy:LENGTHY", "data": clips})
    assert card_of_run(settings).taught_by[0].licence == teaching.licence


def test_more_corpora_than_a_card_names_are_refused_at_once(tmp_path: Path) -> None:
    output = tmp_path / "many.safetensors"
    many = [word for _ in range(33) for word in ("--test", "synthetic")]
    for arguments in (
        ["--corpus", "synthetic", *many],
        [w.replace("test", "corpus") for w in many],
    ):
        error = run(*arguments, "--output", output).exception
        assert isinstance(error, SettingsError)
        assert error.problem == "33 corpora are more than the 32 that a model's card names."
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [None, "voice", "prior"])
def test_where_nothing_can_be_written_nothing_is_left(
    kind: Literal["voice", "prior"] | None, tmp_path: Path
) -> None:
    output = tmp_path / "first.safetensors"
    folder = beside(output, kind) if kind else output
    folder.mkdir()
    error = run("--corpus", "synthetic", "--copies", "0", "--output", output).exception
    assert isinstance(error, StorageError)
    assert error.problem == f"Cannot write {folder}: it is not a file."
    assert list(tmp_path.iterdir()) == [folder]


def test_who_names_no_folder_is_told_how_this_command_takes_it(tmp_path: Path) -> None:
    error = run("--corpus", "emodb", "--output", tmp_path / "none.safetensors").exception
    assert isinstance(error, CorpusError)
    assert error.remedy.startswith("Name their place with emodb=PATH.")


def test_its_devices_tell_voices_from_moods_if_nobody_says_otherwise() -> None:
    assert StarterSettings().normalisation == "voice"


@pytest.mark.parametrize("written", ["mine.safetensors", "mine.voice.safetensors"])
def test_the_encoder_is_not_written_over_by_either_file(tmp_path: Path, written: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        write_resemblyzer(tmp_path / "pretrained.pt", small_speakers(), patch)
    path = tmp_path / written
    import_speaker_encoder(tmp_path / "pretrained.pt", "1").write(path)
    made = path.read_bytes()
    out = tmp_path / "mine.safetensors"
    result = run("--corpus", "synthetic", "--output", out, "--front-end", path)
    assert isinstance(result.exception, SettingsError)
    assert "which is read, is the same file" in result.exception.problem
    assert path.read_bytes() == made
    assert {each.name for each in tmp_path.iterdir()} == {"pretrained.pt", written}
