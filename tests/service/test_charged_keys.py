"""Which keys are noted as used when their requests are charged."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.service import charged_keys
from antiphon.service.charged_keys import ChargedKeys
from antiphon.store.accounts import AT_MOST_BEHIND
from support.ledger import NOON, an_entry


def charged(key: str | None, seconds: float = 0) -> LedgerEntry:
    at = NOON + timedelta(seconds=seconds)
    return replace(an_entry(1, NOON), api_key_id=key, started_at=at)


def test_last_use_of_each_key_is_noted() -> None:
    entries = [charged("a", 2), charged("b"), charged(None), charged("a", 1)]
    assert ChargedKeys().uses(entries) == {"a": NOON + timedelta(seconds=2), "b": NOON}
    assert ChargedKeys().uses([]) == {}


def test_key_is_noted_again_after_a_minute() -> None:
    keys, later = ChargedKeys(), AT_MOST_BEHIND.total_seconds()
    keys.noted(keys.uses([charged("a")]))
    assert keys.uses([charged("a", later - 1), charged("a", -later)]) == {}
    assert keys.uses([charged("a", later - 1), charged("a", later)]) == {"a": NOON + AT_MOST_BEHIND}


def test_use_that_was_not_stored_is_noted_the_next_time() -> None:
    keys = ChargedKeys()
    keys.uses([charged("a")])
    assert keys.uses([charged("a")]) == {"a": NOON}


def test_keys_that_are_too_many_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charged_keys, "MOST_KEPT", 2)
    keys = ChargedKeys()
    for key in ("a", "b", "c"):
        keys.noted({key: NOON})
    assert keys.uses([charged("a"), charged("c")]) == {"a": NOON}
