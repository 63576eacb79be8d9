"""An index of the prompt cache, written from its specification: slow and plain.

Nothing of `antiphon` is used here. An entry is a list of its tokens, its lifetime and its end.
"""

LIFE = {"5m": 300_000, "1h": 3_600_000}


class NaiveIndex:
    def __init__(self) -> None:
        self.entries: dict[bytes, tuple[int, str, int]] = {}
        self.fingerprints: dict[bytes, tuple[object, int]] = {}

    def forget(self, now: int) -> None:
        self.entries = {key: one for key, one in self.entries.items() if one[2] > now}
        self.fingerprints = {key: one for key, one in self.fingerprints.items() if one[1] > now}

    def refresh(self, key: bytes, started_at: int, now: int) -> None:
        self.forget(now)
        if key in self.entries:
            tokens, ttl, end = self.entries[key]
            self.entries[key] = tokens, ttl, max(end, started_at + LIFE[ttl])

    def store(self, key: bytes, tokens: int, ttl: str, end: int, now: int) -> None:
        self.forget(now)
        if key in self.entries and self.entries[key][0] == tokens:
            _, other_ttl, other_end = self.entries[key]
            ttl = max(ttl, other_ttl, key=lambda one: LIFE[one])
            end = max(end, other_end)
        self.entries[key] = tokens, ttl, end
        self.forget(now)

    def find(self, keys: list[bytes], now: int) -> dict[bytes, tuple[int, str, int]]:
        self.forget(now)
        return {key: self.entries[key] for key in keys if key in self.entries}

    def keep_fingerprint(self, key: bytes, fingerprint: object, now: int) -> None:
        self.fingerprints[key] = fingerprint, now + 3_600_000

    def fingerprint(self, key: bytes, now: int) -> object:
        self.forget(now)
        return self.fingerprints.get(key, (None, 0))[0]
