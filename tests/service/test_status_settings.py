"""Is a status site refused where strangers would reach it, and each mistake said in one line?"""

from __future__ import annotations

from typing import Any

import pytest

from twisted_wsgiref.settings import SettingError, Settings


@pytest.mark.parametrize(
    "endpoint", ["tcp:9100", "tcp:9100:interface=0.0.0.0", "ssl:9100:privateKey=k.pem", "127.0.0.1:9100"]
)
def test_a_site_that_others_reach_needs_a_token(endpoint: str) -> None:
    with pytest.raises(SettingError, match=r"only this machine reaches, .* for any other set status_token"):
        Settings(status=endpoint)
    assert Settings(status=endpoint, status_token="s3cret").status == endpoint


@pytest.mark.parametrize("endpoint", ["unix:/run/s.sock", "tcp:9100:interface=127.0.0.1"])
def test_a_site_of_this_machine_needs_none(endpoint: str) -> None:
    assert Settings(status=endpoint).status == endpoint


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"health_path": "healthz"}, "start with a slash"),
        ({"health_path": "/"}, "more than a slash"),
        ({"histogram_buckets": ()}, "1 to 32 numbers"),
        ({"histogram_buckets": ("1",) * 33}, "1 to 32 numbers"),
        ({"histogram_buckets": ("1", "0.5")}, "above the one before"),
        ({"histogram_buckets": ("0", "1")}, "above 0"),
        ({"histogram_buckets": ("1", "inf")}, "above the one before"),
        ({"histogram_buckets": ("a",)}, "not numbers of seconds"),
        ({"histogram_buckets": ("nan",)}, "above 0"),
    ],
)
def test_a_mistake_names_the_setting(values: dict[str, Any], words: str) -> None:
    (name,) = values
    with pytest.raises(SettingError, match=words) as caught:
        Settings(**values)
    assert str(caught.value).startswith(f"{name} is ")
