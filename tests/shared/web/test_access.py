import os
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SettingsError
from shared.web.access import Access, kept_token

ACCESS = Access("a token of enough length", "a-pi.test")
PASS = ACCESS.cookie(8765).partition(";")[0]


def test_each_start_draws_another_token() -> None:
    one, other = Access(None, "localhost"), Access(None, "localhost")
    assert one.token != other.token
    assert len(one.token) >= 22  # 128 bits


def test_a_token_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "personal" / "token"
    token = kept_token(path)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert kept_token(path) == token
    for damaged in (b"", b"\xff\xfe", token.encode()[:8], token.encode() + b"\n; more"):
        path.write_bytes(damaged)
        path.chmod(0o644)
        another = kept_token(path)
        assert another != token
        assert kept_token(path) == another
        assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    os.mkfifo(path)
    assert kept_token(path) == kept_token(path) == path.read_text()


def test_a_token_that_cannot_be_kept_is_good_all_the_same() -> None:
    assert len(kept_token(Path("/dev/null/token"))) == 22


@pytest.mark.parametrize("token", ["", "short", "x" * 15])
def test_a_token_that_could_be_guessed_is_refused(token: str) -> None:
    with pytest.raises(SettingsError, match=f"{len(token)} characters"):
        Access(token, "localhost")


@given(st.text().filter(lambda token: token != ACCESS.token))
def test_no_other_token_fits(token: str) -> None:
    assert not ACCESS.token_fits(token)
    assert ACCESS.token_fits(ACCESS.token)


@pytest.mark.parametrize("cookies", [PASS, f"other=1; {PASS}", f"a=b;{PASS} ;c", f"=; {PASS}"])
def test_cookie_is_found_among_others(cookies: str) -> None:
    assert ACCESS.cookie_fits(cookies, 8765)
    assert not ACCESS.cookie_fits(cookies, 8766)
    assert not Access(None, "localhost").cookie_fits(cookies, 8765)


@given(st.text())
def test_no_other_cookie_fits(cookies: str) -> None:
    assert not ACCESS.cookie_fits(cookies, 8765)
    assert not ACCESS.cookie_fits(f"chorus-8765={cookies}", 8765)


def test_cookie_is_out_of_reach_of_scripts_and_of_other_sites() -> None:
    assert "; HttpOnly; SameSite=Strict" in ACCESS.cookie(8765)
    assert ACCESS.token not in ACCESS.cookie(8765)


OURS = (
    "127.0.0.1 127.0.0.1:80 [::1]:8765 [fe80::1] 192.168.1.7:8765 LOCALHOST:1 a-pi.test A-Pi.TEST:1"
)


@pytest.mark.parametrize("host", OURS.split())
def test_our_names_and_any_address_are_ours(host: str) -> None:
    assert ACCESS.host_is_ours(host)


names = st.lists(
    st.text(string.ascii_letters + string.digits + "-", min_size=1), min_size=2, max_size=4
)


@given(names.map(".".join).filter(lambda name: not name.replace(".", "").isdigit()))
def test_other_names_are_not_ours(name: str) -> None:
    """Such as names that somebody points to our address."""
    assert not ACCESS.host_is_ours(f"{name}.example")
    assert not ACCESS.host_is_ours(f"{name}.example:8765")


@given(st.text())
def test_no_header_is_too_odd(header: str) -> None:
    ACCESS.host_is_ours(header)
    ACCESS.origin_is_ours(header, header)
