import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.ids import (
    ID_ENTROPY,
    SECRET_ENTROPY,
    api_key_id,
    audit_entry_id,
    batch_id,
    checked_secret,
    file_id,
    hash_secret,
    hint,
    identifier_in,
    increase_request_id,
    invite_id,
    make_secret,
    message_id,
    organization_id,
    public_id,
    repeatable_entropy,
    request_id,
    run_id,
    server_tool_use_id,
    spend_limit_id,
    tool_use_id,
    user_id,
    with_identifier,
    workspace_id,
)

BASE58 = "[1-9A-HJ-NP-Za-km-z]"
# Each byte becomes a character by itself: test_every_byte_is_a_character_of_base58.
ENTROPY = [bytes(ID_ENTROPY), bytes(range(ID_ENTROPY)), b"\xff" * ID_ENTROPY]
# Until the year 3176.
SECONDS = st.floats(0, 58**6 - 1)
SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=16, max_size=512)


@pytest.mark.parametrize("entropy", ENTROPY)
def test_ids_look_like_those_of_the_reference(entropy: bytes) -> None:
    assert re.fullmatch(f"msg_01{BASE58}{{22}}", message_id(entropy))
    assert re.fullmatch(f"req_011C{BASE58}{{20}}", request_id(0, entropy))
    assert re.fullmatch(f"file_011C{BASE58}{{20}}", file_id(0, entropy))
    assert re.fullmatch(f"workerreq_01{BASE58}{{22}}", run_id(0, entropy))
    assert re.fullmatch(f"toolu_01{BASE58}{{22}}", tool_use_id(entropy))
    assert re.fullmatch(f"srvtoolu_01{BASE58}{{22}}", server_tool_use_id(entropy))
    assert re.fullmatch(f"apikey_01{BASE58}{{22}}", api_key_id(entropy))
    assert re.fullmatch(f"msgbatch_01{BASE58}{{22}}", batch_id(entropy))


@given(first=SECONDS, second=SECONDS, entropy=st.binary(min_size=ID_ENTROPY, max_size=ID_ENTROPY))
def test_ids_of_requests_are_in_the_order_of_their_seconds(
    first: float, second: float, entropy: bytes
) -> None:
    for make in (request_id, run_id, file_id):
        one, other = make(first, entropy), make(second, bytes(ID_ENTROPY))
        if int(first) != int(second):
            assert (one < other) == (first < second)
        # What does not tell the second is that of the entropy.
        assert one[-14:] == make(second, entropy)[-14:]
        assert one[-14:] in public_id("", entropy)


@pytest.mark.parametrize("entropy", ENTROPY)
def test_ids_of_accounts_look_like_those_of_the_reference(entropy: bytes) -> None:
    for make, prefix in (
        (workspace_id, "wrkspc_01"),
        (user_id, "user_01"),
        (invite_id, "invite_01"),
        (spend_limit_id, "spl_01"),
        (increase_request_id, "limreq_01"),
        (audit_entry_id, "audit_01"),
    ):
        assert re.fullmatch(f"{prefix}{BASE58}{{22}}", make(entropy))
    whole = organization_id(entropy)
    assert str(UUID(whole)) == whole
    assert UUID(whole).version == 4


def test_every_byte_is_a_character_of_base58() -> None:
    assert re.fullmatch(f"{BASE58}{{256}}", public_id("", bytes(range(256))))


def test_every_character_of_base58_comes_up() -> None:
    assert len(set(public_id("", bytes(range(256))))) == 58


def test_secret_is_its_prefix_and_43_characters() -> None:
    secret = make_secret(bytes(range(SECRET_ENTROPY)))
    assert secret == "sk-antiphon-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert checked_secret(secret) == secret


@given(st.binary(min_size=32, max_size=32))
def test_secret_carries_all_its_entropy_in_url_safe_characters(entropy: bytes) -> None:
    secret = make_secret(entropy)
    assert re.fullmatch(r"sk-antiphon-[A-Za-z0-9_-]{43}", secret)
    assert checked_secret(secret) == secret
    assert make_secret(bytes(32)) != secret or entropy == bytes(32)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_secret_of_another_number_of_bytes_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        make_secret(bytes(size))


@given(SECRETS)
def test_chosen_key_of_visible_characters_is_accepted(secret: str) -> None:
    assert checked_secret(secret) == secret


@pytest.mark.parametrize("length", [0, 15, 513])
def test_chosen_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="16 to 512 characters"):
        checked_secret("k" * length)


@pytest.mark.parametrize("character", [" ", "\t", "\n", "\0", "\x7f", "é", "\ud800", "键"])
def test_chosen_key_with_another_character_is_refused_without_repeating_it(character: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII") as refusal:
        checked_secret("correct-horse-battery" + character)
    assert "horse" not in str(refusal.value)


def test_digest_is_the_sha256_of_the_secret() -> None:
    expected = "321dc18c3374ad9d091fb674cda51f4ac46f59a9100f54cc2560ea82fee83283"
    assert hash_secret("sk-antiphon-test").hex() == expected


@given(st.text(), st.text())
def test_digests_are_the_same_for_the_same_secret_only(one: str, other: str) -> None:
    assert (hash_secret(one) == hash_secret(other)) == (one == other)


def test_hint_of_a_made_secret_shows_three_and_four_characters() -> None:
    assert hint("sk-antiphon-R2D" + "x" * 36 + "igAA") == "sk-antiphon-R2D...igAA"


def test_hint_of_a_chosen_key_shows_a_quarter_at_most() -> None:
    assert hint("sk-antiphon-wxyz") == "sk...yz"
    assert hint("0123456789" * 5) == "0123...6789"


@given(SECRETS)
def test_hint_hides_three_quarters_of_what_is_secret(secret: str) -> None:
    shown = hint(secret).removeprefix("sk-antiphon-").replace("...", "", 1)
    assert len(shown) <= min(8, len(secret) // 4)


def test_entropy_is_made_again_by_the_same_credential_only() -> None:
    made = repeatable_entropy("sk-one", b"nonce")
    assert len(made) == SECRET_ENTROPY
    assert made == repeatable_entropy("sk-one", b"nonce")
    assert made != repeatable_entropy("sk-two", b"nonce")
    assert made != repeatable_entropy("sk-one", b"other")


@given(st.text("abcXYZ019", min_size=1, max_size=12), st.binary(min_size=22, max_size=22))
def test_identifier_of_the_model_is_the_end_of_the_id_of_a_call(own: str, entropy: bytes) -> None:
    call = with_identifier(tool_use_id(entropy), own)
    assert identifier_in(call, len(own)) == own
    assert len(call) == len(tool_use_id(entropy))
    assert call[: -len(own)] == tool_use_id(entropy)[: -len(own)]


def test_id_of_a_call_stays_as_it_is_without_room_for_an_identifier() -> None:
    call = tool_use_id(bytes(ID_ENTROPY))
    assert with_identifier(call, "") == call
    assert with_identifier(call, "a" * 13) == call


def test_ids_that_were_made_elsewhere_have_their_end_if_it_fits() -> None:
    assert identifier_in("call_abcdefghi", 9) == "abcdefghi"
    for other in ("abc", "call-1-2-3-4", "toolu_é12345678"):
        assert identifier_in(other, 9) is None
