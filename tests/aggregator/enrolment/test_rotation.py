"""Which keys an aggregator takes from a root."""

from pathlib import Path

import pytest

from aggregator.enrolment.key_file import KeyFile
from aggregator.enrolment.members import Members
from aggregator.enrolment.rotation import issue_key, make_root, rotate
from aggregator.enrolment.voice import Voice
from aggregator.ledger.folder import FederationFolder
from shared.errors import ChorusError, SettingsError, TrustError
from shared.trust.keys import SecretKey
from shared.trust.succession import newest


@pytest.fixture
def folder(tmp_path: Path) -> FederationFolder:
    folder = FederationFolder(tmp_path / "state")
    folder.path.mkdir()
    SecretKey.kept(folder.key)
    with Members(folder.members) as members:
        members.note(federation="chorus")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_root(tmp_path / "root.pem")
    return tmp_path / "root.pem"


def issued(root: Path, number: int, name: str = "", federation: str = "chorus") -> Path:
    file = root.with_name(name or f"{number}.pem")
    issue_key(root, file, federation, after=0, clock=lambda: float(number))
    return file


def test_a_federation_signs_with_what_a_root_has_issued(
    folder: FederationFolder, root: Path
) -> None:
    voice, first = Voice(folder), SecretKey.read(folder.key).public
    assert rotate(folder, issued(root, 7)) != first
    assert voice.renewed()
    known = SecretKey.read(root).public
    assert voice.keys == [voice.key.public, first, known], "links of each time are good"
    assert voice.issued
    assert (voice.issued.number, voice.issued.key) == (7, str(voice.key.public))
    assert newest(first, voice.succession or ()) == voice.key.public, "for those without a root"
    rotate(folder, issued(root, 8))
    assert voice.renewed()
    assert voice.issued.number == 8
    assert folder.key.stat().st_mode & 0o777 == 0o600


def test_a_command_that_is_given_again_changes_nothing(
    folder: FederationFolder, root: Path
) -> None:
    file = issued(root, 7)
    key = rotate(folder, file)
    before = folder.key.read_bytes()
    assert rotate(folder, file) == key
    assert folder.key.read_bytes() == before


def test_other_keys_are_refused_in_a_sentence(
    folder: FederationFolder, root: Path, tmp_path: Path
) -> None:
    make_root(tmp_path / "anothers.pem")
    plain = tmp_path / "plain.pem"
    plain.write_bytes(SecretKey.new().pem)
    rotate(folder, issued(root, 7))
    before = folder.key.read_bytes()
    wrong = tmp_path / "wrong.pem"
    wrong.write_text(issued(root, 9).read_text().replace(" 9 ", " 99 "))
    for file, sentence in (
        (issued(tmp_path / "anothers.pem", 8), "was issued by another root"),
        (issued(root, 6), "has the number 6, and the present one 7"),
        (issued(root, 7, "same.pem"), "has the number 7, and the present one 7"),
        (issued(root, 10, federation="office"), "was issued for the federation office"),
        (plain, "holds no key that a root has issued"),
        (root, "holds no key that a root has issued"),
        (wrong, "What .*wrong.pem says of other keys cannot be read"),
        (tmp_path / "none.pem", "cannot be used: No such file"),
        (None, "are issued by a root"),
    ):
        with pytest.raises(TrustError, match=sentence):
            rotate(folder, file)
        assert folder.key.read_bytes() == before


def test_a_clock_that_is_behind_is_helped_by_a_number(folder: FederationFolder, root: Path) -> None:
    rotate(folder, issued(root, 1 << 40))
    late = root.with_name("late.pem")
    made = issue_key(root, late, "chorus", after=1 << 40)
    assert made.issued
    assert made.issued.number == (1 << 40) + 1
    rotate(folder, late)
    assert KeyFile.read(folder.key).issued == made.issued


def test_no_file_is_written_over(root: Path, tmp_path: Path) -> None:
    before = root.read_bytes()
    for command in (
        lambda: make_root(root),
        lambda: issue_key(root, root, "chorus", after=0),
        lambda: issue_key(root, tmp_path / "next.pem", "../chorus", after=0),
        lambda: issue_key(tmp_path / "none", tmp_path / "next.pem", "chorus", after=0),
    ):
        with pytest.raises(ChorusError) as told:
            command()
        assert isinstance(told.value, SettingsError | TrustError)
    assert root.read_bytes() == before
    assert not (tmp_path / "next.pem").exists()


def test_a_key_goes_into_no_folder_that_is_not_there(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "stick" / "root.pem"
    with pytest.raises(SettingsError, match=r"There is no folder .*stick") as caught:
        make_root(file)
    assert "Mount the medium" in caught.value.remedy
    with pytest.raises(SettingsError, match=r"There is no folder .*stick"):
        issue_key(root, file, "chorus", after=0)
    assert not file.parent.exists()
