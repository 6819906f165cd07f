"""What a run changes in its process while it lasts."""

import sys
from collections.abc import Callable

from tests.sync.harness import Harness


def test_threads_change_as_often_after_a_run_as_before(
    make_harness: Callable[..., Harness],
) -> None:
    before_s = sys.getswitchinterval()

    make_harness(30).run()

    assert sys.getswitchinterval() == before_s
