"""What a run changes in its process while it lasts."""

import sys
from collections.abc import Callable

import pytest

from tests.sync.harness import Harness


@pytest.mark.parametrize("referrals", [0, 30])
def test_threads_change_as_often_after_a_run_as_before(
    make_harness: Callable[..., Harness], referrals: int
) -> None:
    before_s = sys.getswitchinterval()

    make_harness(referrals).run()

    assert sys.getswitchinterval() == before_s
