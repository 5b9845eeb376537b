"""Training gives the recorded bits."""

import json

import pytest

from benchmarks import digests


@pytest.mark.parametrize("name", ["bce-gmf", "idl-gmf", "ig-phased-gmf", "ig-every-batch-neumf"])
def test_weights_are_those_of_the_record(name):
    """Seen to fail with another inner_lr, and with the two losses added in another order."""
    record = json.loads(digests.RECORD.read_text())
    here = digests.machine()
    if any(record[key] != value for key, value in here.items()):
        pytest.skip(f"recorded with {record['torch']} on {record['cpu']}, here {here}")
    assert digests.digest(name) == record["weights"][name]


def test_the_record_is_of_all_cases():
    """A case that was added is recorded too."""
    assert json.loads(digests.RECORD.read_text())["weights"].keys() == digests.CASES.keys()
