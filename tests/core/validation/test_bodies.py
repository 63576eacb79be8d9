import pytest

from antiphon.core.validation.bodies import MESSAGE_BODY, VERSIONS
from antiphon.wire.decoding import NO_BETAS, BodyError

SAID = b'"messages": [{"role": "user", "content": "Hi"}]'
HEATED = b'{"model": "m", "max_tokens": 1, "temperature": 0.5, ' + SAID + b"}"


def test_newest_version_has_no_sampling_parameters() -> None:
    oldest, newest = VERSIONS
    assert MESSAGE_BODY.decode(HEATED, oldest, NO_BETAS).temperature == 0.5
    with pytest.raises(BodyError, match="temperature: Extra inputs are not permitted"):
        MESSAGE_BODY.decode(HEATED, newest, NO_BETAS)
