"""Which layers can stand behind each other, and what is said of those that cannot."""

import pytest

from shared.layers import HEAD, LSTM, Conv1D, Dense, Layer, StatisticsPooling, check_hidden

END = Dense(HEAD, 4)


@pytest.mark.parametrize(
    "layers",
    [
        (END,),
        (Dense("dense1", 3), END),
        (Conv1D("a", 3, dilation=2), Conv1D("b", 3, kernel=1), StatisticsPooling("p"), END),
        (StatisticsPooling("p"), Dense("dense1", 3), END),
        (LSTM("a", 3, sequences=True), LSTM("b", 3, sequences=False), END),
    ],
    ids=str,
)
def test_what_can_stand_behind_each_other_is_taken(layers: tuple[Layer, ...]) -> None:
    assert check_hidden(layers) is layers


@pytest.mark.parametrize(
    ("layers", "clause"),
    [
        ((), "its last layer should be a dense one called embedding_layer"),
        ((1,), "int is none of the layers"),
        ((Dense("a", 3),), "its last layer should be"),
        ((Conv1D("a", 0), END), "the filters of a should be a number above zero"),
        ((Conv1D("a", 3, dilation=True), END), "the dilation of a"),
        ((Dense("a", 3.5), END), "the units of a"),  # type: ignore[arg-type] # what is tried
        ((Conv1D("a", 3), Conv1D("a", 3), END), "two of its layers are called a"),
        ((Dense("logits", 3), END), "two of its layers are called logits"),
        ((Conv1D("a b", 3), END), "no layer can be called 'a b'"),
        ((Dense("a", 3), Dense("a_0", 3), END), "cannot be called a and a_0 both"),
        ((LSTM("a", 3, sequences=True), END), "all but the last giving sequences"),
        ((Conv1D("a", 3), LSTM("b", 3, sequences=False), END), "recurrent ones should stand alone"),
        ((StatisticsPooling("p"), Conv1D("a", 3), END), "behind all convolutions"),
        ((Dense("a", 3), Conv1D("b", 3), END), "from the first dense one on"),
        ((Dense("a", 3, hidden=False), END), "dense and hidden"),
    ],
    ids=str,
)
def test_what_cannot_is_said_in_a_clause(layers: tuple[Layer, ...], clause: str) -> None:
    with pytest.raises(TypeError, match=clause):
        check_hidden(layers)
