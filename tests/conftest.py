"""How Hypothesis looks for examples in all of the suite."""

from hypothesis import HealthCheck, settings

# The machine may be busy with other things, so the time that an example takes says nothing of ours; and what passes
# here passes elsewhere: the same examples each time.
settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("suite")
