"""How many examples Hypothesis draws: the profiles of all tests, and a test's share of them.

`make test` draws few, which are the same each time under CI; `make soak` draws many.
"""

import os

from hypothesis import HealthCheck, settings

PROFILES = {"test": 20, "soak": 1000}


def load_profiles() -> None:
    """Register the profiles and load that of `make test`; `--hypothesis-profile` loads another."""
    for name, number in PROFILES.items():
        # A slow machine is no fault of the code; in CI a failure has to come back the next time.
        settings.register_profile(
            name,
            deadline=None,
            max_examples=number,
            derandomize="CI" in os.environ,
            suppress_health_check=[HealthCheck.too_slow],
        )
    settings.load_profile("test")


def examples(share: float) -> int:
    """Return how many examples are `share` times those of the profile, at least one.

    A test whose examples take long draws a small share, one that needs luck a large one.
    """
    return max(1, round(share * settings.default.max_examples))
