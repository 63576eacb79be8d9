"""A request for authorization: what binds the answer of a provider to one browser.

A browser keeps a random token in a cookie, for some minutes. All that the request needs follows
from the token and from the key of the installation, so no database has a row for a browser that
never comes back, and any server can read the answer:

- `state`, which comes back through the browser: another browser's token gives another one;
- `nonce`, which comes back in the ID token: one of another request does not fit;
- `verifier`, which only this server knows (PKCE, RFC 7636): a stolen code is worth nothing.
"""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Final, Literal, TypeAlias

import msgspec

LIFE_S: Final = 600
"""How long somebody may take at the provider, in seconds."""
SKEW_S: Final = 60
"""How far the clocks of two machines may differ, in seconds."""
_TOKEN_BYTES: Final = 32

# What the provider's answer is for: a session, or the account of a user who is signed in.
Purpose: TypeAlias = Literal["sign_in", "link"]


class AuthorizationRequest(msgspec.Struct, frozen=True):
    """A request for authorization that began at `began_s`, in seconds since 1970.

    One to link an account belongs to the user who is signed in.
    """

    token: str
    began_s: int
    purpose: Purpose = "sign_in"
    user_id: str = ""

    @property
    def cookie(self) -> str:
        """What the browser keeps. The purpose and the user are not in it: the state has them."""
        return f"{self.token}.{self.began_s}"

    def state(self, key: bytes) -> str:
        """Return the state. A page reads the purpose from its beginning."""
        return f"{self.purpose}.{self._derived(key, b'state')}"

    def nonce(self, key: bytes) -> str:
        return self._derived(key, b"nonce")

    def verifier(self, key: bytes) -> str:
        return self._derived(key, b"verifier")

    def challenge(self, key: bytes) -> str:
        """Return the challenge of the verifier, by the method S256."""
        return _text(sha256(self.verifier(key).encode()).digest())

    def answered_by(self, state: str, key: bytes, now_s: float) -> bool:
        """Return whether an answer with this state is one to this request, and in time."""
        same = hmac.compare_digest(state.encode("utf-8", "replace"), self.state(key).encode())
        return same and -SKEW_S <= now_s - self.began_s <= LIFE_S

    def _derived(self, key: bytes, what: bytes) -> str:
        parts = (self.purpose, self.user_id, self.cookie)
        message = b"console openid\0" + what + b"\0" + "\0".join(parts).encode()
        return _text(hmac.digest(key, message, "sha256"))


def new_request(
    entropy: bytes, now_s: float, purpose: Purpose = "sign_in", user_id: str = ""
) -> AuthorizationRequest:
    """Return a new request; `entropy` is at least 32 bytes."""
    return AuthorizationRequest(_text(entropy[:_TOKEN_BYTES]), int(now_s), purpose, user_id)


def request_of(
    cookie: str, purpose: Purpose = "sign_in", user_id: str = ""
) -> AuthorizationRequest | None:
    """Return the request of a browser's cookie; `None` for a text that is none."""
    token, _, began = cookie.partition(".")
    if len(token) < _TOKEN_BYTES or not (token.isascii() and began.isascii()):
        return None
    if not began.isdigit() or len(began) > len(str(2**62)):
        return None
    return AuthorizationRequest(token, int(began), purpose, user_id)


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
