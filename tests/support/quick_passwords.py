"""Makes the hashes of passwords cheap: the real ones keep a core busy for 30 ms, as they must."""

import pytest

from antiphon.service.console import passwords

# What argon2 takes at least.
_CHEAP = {"MEMORY_KIB": 8, "STEPS": 1}
_REAL = {name: getattr(passwords, name) for name in (*_CHEAP, "NOBODYS_HASH")}


def hash_quickly() -> None:
    """Let this process hash passwords by argon2id with the least that it takes."""
    cost = "m={MEMORY_KIB},t={STEPS},".format
    nobodys = passwords.NOBODYS_HASH.replace(cost(**_REAL), cost(**_CHEAP))
    for name, value in {**_CHEAP, "NOBODYS_HASH": nobodys}.items():
        setattr(passwords, name, value)


@pytest.fixture
def real_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of passwords cost what they cost elsewhere."""
    for name, value in _REAL.items():
        monkeypatch.setattr(passwords, name, value)
