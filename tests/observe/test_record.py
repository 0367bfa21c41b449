"""Is every observer told in the way that it asks for?"""

from __future__ import annotations

from unittest.mock import Mock

from twisted_wsgiref._observe.record import Facts, Record, told_facts

RECORD = Record("127.0.0.1", "GET / HTTP/1.1", 200, 5, 0.0, 0.001, "", "", "")


def test_who_has_a_method_for_plain_facts_is_told_them() -> None:
    class Plain:
        def __init__(self) -> None:
            self.told: list[Facts] = []

        def observe_facts(self, facts: Facts) -> None:
            self.told.append(facts)

    observer = Plain()
    told_facts(observer)(tuple(RECORD))
    assert observer.told == [tuple(RECORD)]


def test_a_mock_has_every_attribute_and_is_called_itself() -> None:
    observer = Mock()
    told_facts(observer)(tuple(RECORD))
    observer.assert_called_once_with(RECORD)
    (told,) = observer.call_args.args
    assert told.status == 200
