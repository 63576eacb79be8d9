"""How the hub is reached: its address, and the token that is sent to it and to nobody else."""

from typing import Final
from urllib.parse import urlsplit

import msgspec

from antiphon.secret import Secret
from antiphon.settings import Settings
from antiphon.weights.source import PullError
from antiphon.weights.spec import is_allowed_url


class HubAccess(msgspec.Struct, frozen=True):
    """The address of a hub and a token; what is `None` is that of huggingface_hub.

    It reads `HF_ENDPOINT`, `HF_TOKEN`, and the token that `hf auth login` has saved.
    """

    endpoint: str | None = None
    token: Secret | None = None

    def base(self) -> str:
        """Return the address of the hub, without a slash at its end.

        Raises `PullError` if the token and the files would be sent there in the open.
        """
        from huggingface_hub import constants  # noqa: PLC0415 - it takes a while

        found = (self.endpoint or constants.ENDPOINT).rstrip("/")
        if not is_allowed_url(urlsplit(found)):
            raise PullError(
                f"{found} is not https. Set hub_endpoint or HF_ENDPOINT to an address that is"
            )
        return found

    def authorization(self) -> str | None:
        """Return the header with the token, if there is one."""
        from huggingface_hub.utils import (  # type: ignore[attr-defined]  # noqa: PLC0415 - slow
            build_hf_headers,
        )

        found: str | None = build_hf_headers(token=self.revealed()).get("authorization")
        return found

    def revealed(self) -> str | None:
        """Return the token of the settings."""
        return None if self.token is None else self.token.reveal()


USUAL_HUB: Final = HubAccess()


def hub_of(settings: Settings) -> HubAccess:
    """Return how the hub is reached by these settings."""
    return HubAccess(settings.hub_endpoint, settings.hub_token)
