"""Passwords are hashed in threads: few at once, few that wait, and nothing tells who is there."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from antiphon.core.errors import OverloadedError
from antiphon.service.console import passwords
from antiphon.service.console.passwords import (
    MEMORY_KIB,
    MOST_AT_ONCE,
    MOST_WAITING,
    STEPS,
    PasswordHashing,
)

pytestmark = pytest.mark.anyio


async def test_right_password_matches_its_hash_and_no_other() -> None:
    hashing = PasswordHashing()
    hashed = await hashing.hash("correct horse")
    assert hashed.startswith(f"$argon2id$v=19$m={MEMORY_KIB},t={STEPS},p=1$")
    assert hashed != await hashing.hash("correct horse")
    assert await hashing.matches("correct horse", hashed)
    assert not await hashing.matches("Correct horse", hashed)
    assert not await hashing.matches("correct horse", None)


@pytest.mark.usefixtures("real_hashes")
async def test_hash_of_nobody_costs_what_others_cost() -> None:
    """The same parameters, and salt and digest of the same length."""
    hashed = await PasswordHashing().hash("correct horse")
    nobodys = passwords.NOBODYS_HASH
    shape = [len(part) for part in hashed.split("$")]
    assert [len(part) for part in nobodys.split("$")] == shape
    assert hashed.split("$")[:4] == nobodys.split("$")[:4]


class Hasher:
    """Stands for the work of a hash: each waits until the test lets it go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.running = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, password: str) -> str:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.go_on.wait(30)
        with self._lock:
            self.running -= 1
        return password


async def test_few_are_hashed_at_once_and_few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = Hasher()
    monkeypatch.setattr(passwords, "_hashed", hasher)
    hashing = PasswordHashing()
    everybody = MOST_AT_ONCE + MOST_WAITING
    work = [asyncio.create_task(hashing.hash(f"{n}")) for n in range(everybody)]
    await _turns(lambda: hasher.running == MOST_AT_ONCE)
    for _ in range(3):
        with pytest.raises(OverloadedError) as refused:
            await hashing.hash("one too many")
        assert refused.value.headers["retry-after"] == "1"
    hasher.go_on.set()
    assert await asyncio.gather(*work) == [f"{n}" for n in range(everybody)]
    assert hasher.most == MOST_AT_ONCE
    assert await hashing.hash("later") == "later"


async def test_caller_who_goes_leaves_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = Hasher()
    monkeypatch.setattr(passwords, "_hashed", hasher)
    hashing = PasswordHashing(most_waiting=1)
    work = [asyncio.create_task(hashing.hash(f"{n}")) for n in range(MOST_AT_ONCE + 1)]
    await _turns(lambda: hasher.running == MOST_AT_ONCE)
    work[-1].cancel()
    await _turns(work[-1].done)
    next_one = asyncio.create_task(hashing.hash("next"))
    hasher.go_on.set()
    assert await next_one == "next"
    await asyncio.gather(*work, return_exceptions=True)


async def _turns(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not done():  # noqa: ASYNC110 - threads tell no event of this loop
            await asyncio.sleep(0)


async def test_comparison_with_nothing_is_made_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []

    def matches(_: str, stored: str) -> bool:
        compared.append(stored)
        return True

    monkeypatch.setattr(passwords, "_matches", matches)
    assert not await PasswordHashing().matches("correct horse", None)
    assert compared == [passwords.NOBODYS_HASH]
