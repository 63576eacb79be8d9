import os

from hypothesis import HealthCheck, settings

# A slow machine is no fault of the code; in CI a failure has to come back the next time.
settings.register_profile(
    "antiphon",
    deadline=None,
    max_examples=100,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("antiphon")
