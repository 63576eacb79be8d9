"""Hashes passwords with argon2id, in threads: few at once, few that wait."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import anyio
from anyio import to_thread

from antiphon.core.errors import OverloadedError, PermissionError_
from antiphon.core.sign_in import password_bytes

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")
P = ParamSpec("P")

# OWASP's least memory for argon2id with a step more of time: some 30 ms and 19 MiB for a hash.
MEMORY_KIB = 19 * 1024
STEPS = 3
# A hash keeps a core busy, and answers of models need the cores more.
MOST_AT_ONCE = 2
# Those who wait for a hash: half a second at worst.
MOST_WAITING = 16
RETRY_AFTER_S = 1
# Compared for a user without a password and for nobody's address, so that it takes as long as for
# others. No password has this hash: it would have to be all zeros.
NOBODYS_HASH = f"$argon2id$v=19$m={MEMORY_KIB},t={STEPS},p=1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43


class PasswordHashing:
    """Hashes and compares passwords. `most_waiting` wait for those that are hashed now.

    If it is off, nobody signs in by a password; the setup still gives the first administrator one.
    """

    def __init__(self, most_waiting: int = MOST_WAITING, *, off: bool = False) -> None:
        self._off = off
        self._threads = anyio.CapacityLimiter(MOST_AT_ONCE)
        self._most = MOST_AT_ONCE + most_waiting
        self._inside = 0

    def refuse_if_off(self) -> None:
        """Raise `PermissionError_` where nobody signs in by a password."""
        if self._off:
            raise PermissionError_("Signing in by a password is switched off on this server.")

    async def hash(self, password: str) -> str:
        """Return the hash of a password, with a new salt. Raises `OverloadedError`."""
        return await self._in_thread(_hashed, password)

    async def matches(self, password: str, stored: str | None) -> bool:
        """Return whether a password has this hash; `None` takes as long and matches nothing.

        Raises `OverloadedError`.
        """
        matched = await self._in_thread(_matches, password, stored or NOBODYS_HASH)
        return matched and stored is not None

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        if self._inside >= self._most:
            raise OverloadedError(
                "Too many people sign in at this moment. Please try again.",
                headers={"retry-after": str(RETRY_AFTER_S)},
            )
        self._inside += 1
        try:
            return await to_thread.run_sync(work, *args, limiter=self._threads)
        finally:
            self._inside -= 1


def _hasher() -> "PasswordHasher":
    # Loads a library of its own, and most processes never hash a password.
    from argon2 import PasswordHasher  # noqa: PLC0415

    return PasswordHasher(time_cost=STEPS, memory_cost=MEMORY_KIB, parallelism=1)


def _hashed(password: str) -> str:
    return _hasher().hash(password_bytes(password))


def _matches(password: str, stored: str) -> bool:
    from argon2.exceptions import VerifyMismatchError  # noqa: PLC0415

    try:
        return _hasher().verify(stored, password_bytes(password))
    except VerifyMismatchError:
        return False
