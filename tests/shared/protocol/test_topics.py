"""Topics and names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.protocol.topics import Topics, is_name

TOPICS = Topics("lab")


def test_a_client_has_a_branch_of_its_own() -> None:
    kinds = ["presence", "requests", "chunks", "replies"]
    found = [getattr(TOPICS, kind)("pi-1") for kind in kinds]
    assert found == [f"chorus/lab/clients/pi-1/{kind}" for kind in kinds]
    assert [TOPICS.client_of(topic) for topic in found] == [("pi-1", kind) for kind in kinds]
    assert TOPICS.round == "chorus/lab/round"
    assert TOPICS.model("ab") == "chorus/lab/models/ab"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "chorus/lab/round",
        "chorus/lab/clients/pi-1",
        "chorus/lab/clients/pi-1/chunks/more",
        "chorus/other/clients/pi-1/chunks",
        "Chorus/lab/clients/pi-1/chunks",
        "chorus/lab/clients/../chunks",
        "chorus/lab/clients/PI/chunks",
        "chorus/lab/clients/pi\n/chunks",
        "chorus/lab/clients//chunks",
        "/chorus/lab/clients/pi-1/chunks",
    ],
)
def test_other_topics_are_nobody_s(topic: str) -> None:
    assert TOPICS.client_of(topic) is None


@given(st.text(max_size=70))
def test_a_name_is_safe_everywhere(text: str) -> None:
    if is_name(text):
        assert 1 <= len(text) <= 64
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert not text.startswith("-")


@pytest.mark.parametrize("text", ["a", "0", "pi-1", "a" * 64])
def test_these_are_names(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize("text", ["", "-a", "a" * 65, "a\n", "a b", "é", "a/b", "a+", "#", "a.b"])
def test_these_are_not(text: str) -> None:
    assert not is_name(text)


def test_no_two_clients_of_any_federations_have_one_identifier() -> None:
    names = ["a", "a-b", "b", "a-aggregator", "b-a"]
    identifiers = [Topics(one).identifier(other) for one in names for other in names]
    assert len(set(identifiers)) == len(names) ** 2
    assert Topics("kitchen").identifier("anna") == "kitchen_anna"
