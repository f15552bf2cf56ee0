"""Whom a device knows, and by which key."""

from pathlib import Path

import pytest

from edge_client.enrolment.acquaintances import Acquaintances
from shared.errors import SecureError, TrustError
from shared.trust.succession import hand_over
from tests.secure_rounds import lasting_key

ANNA, BEN, CLEO = ({name: lasting_key(name).public} for name in ("anna", "ben", "cleo"))
OTHER = {"ben": lasting_key("somebody else").public}


def test_who_was_met_is_known_by_the_same_key_from_then_on(tmp_path: Path) -> None:
    assert Acquaintances(tmp_path / "others").meet(ANNA | BEN) == ANNA | BEN
    again = Acquaintances(tmp_path / "others")
    assert again.meet(BEN, most_new=0) == BEN
    with pytest.raises(SecureError, match="says that ben has another key") as caught:
        again.meet(ANNA | OTHER | CLEO)
    assert caught.value.reason == "contradiction"
    assert str(tmp_path / "others") in caught.value.remedy
    with pytest.raises(SecureError, match="1 devices of this secure round are new"):
        again.meet(CLEO, most_new=0)


def test_without_its_line_the_new_key_is_met(tmp_path: Path) -> None:
    path = tmp_path / "others"
    Acquaintances(path).meet(ANNA | BEN)
    path.write_text("{" + path.read_text().split(",")[0].strip("{\n") + "}")
    assert Acquaintances(path).meet(OTHER | ANNA, most_new=1) == OTHER | ANNA


def test_a_key_is_believed_that_the_one_before_it_has_signed(tmp_path: Path) -> None:
    old, middle, new, thief = (lasting_key(name) for name in ("ben", "middle", "new", "thief"))
    path = tmp_path / "others"
    it = Acquaintances(path)
    it.meet(ANNA | BEN)
    told = ANNA | {"ben": new.public}
    said = [hand_over(old, middle.public), hand_over(middle, new.public)]
    for wrong in ([], said[1:], said[:1], [hand_over(thief, new.public)]):
        with pytest.raises(SecureError, match="says that ben has another key"):
            it.meet(told, renewed={"ben": wrong})
    with pytest.raises(SecureError, match="says that ben has another key"):
        it.meet(told, renewed={"anna": said})
    assert it.meet(told, most_new=0, renewed={"ben": said}) == told, "it is no stranger"
    again = Acquaintances(path)
    assert again.meet(told) == told
    with pytest.raises(SecureError, match="says that ben has another key"):
        again.meet(ANNA | BEN, renewed={"ben": said})


def test_no_more_strangers_are_met_than_the_terms_allow(tmp_path: Path) -> None:
    it = Acquaintances(tmp_path / "others")
    with pytest.raises(SecureError, match="its terms allow 1") as caught:
        it.meet(ANNA | BEN, most_new=1)
    assert caught.value.reason == "strangers"
    assert not (tmp_path / "others").exists()
    assert it.meet(ANNA, most_new=1)
    assert it.meet(ANNA | BEN, most_new=1)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "[" * 100_000, '{"anna": 1}', '{"anna": "00"}', '{"../a": "KEY"}'],
    ids=range(6),
)
def test_what_cannot_be_read_is_not_taken_for_nobody(tmp_path: Path, content: str) -> None:
    path = tmp_path / "others"
    path.write_text(content.replace("KEY", str(ANNA["anna"])))
    with pytest.raises(TrustError, match="other devices' keys cannot be read"):
        Acquaintances(path)
