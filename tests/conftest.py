"""How Hypothesis looks for examples in all of the suite."""

from hypothesis import HealthCheck, settings

# The machine may be busy with other things, so the time that an example takes says nothing of ours; and what passes
# here passes elsewhere: the same examples each time.
settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
# With --hypothesis-profile: .ci/run has the suite on one Python look at all examples, and on others at the first ones.
settings.register_profile("brief", settings.get_profile("suite"), max_examples=20)
settings.load_profile("suite")
