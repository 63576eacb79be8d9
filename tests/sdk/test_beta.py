import pytest

import antiphon
from support.sdk import AsyncScriptedTransport, ScriptedTransport


@pytest.mark.parametrize(
    "client",
    [
        antiphon.Client(api_key="k", transport=ScriptedTransport()),
        antiphon.AsyncClient(api_key="k", transport=AsyncScriptedTransport()),
    ],
)
def test_what_is_beta_elsewhere_is_the_same_here(
    client: antiphon.Client | antiphon.AsyncClient,
) -> None:
    assert client.beta.messages is client.messages
    assert client.beta.models is client.models
    for name in ("run", "options", "agents", "_transport"):
        with pytest.raises(AttributeError, match=f"this SDK has no beta.{name}"):
            getattr(client.beta, name)
