"""The feature flag alone, read without the other settings.

Health answers with it, and must not cost a cold start the loading of pydantic, which is half of
what starting the app costs. `config` reads the same setting by the same rule; a test compares.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

KEY = "HUNTER_PARTNER_CENTER_ENABLED"

_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})


def is_enabled(env: Mapping[str, str] = os.environ) -> bool:
    """Whether the feature is switched on; a value that is neither true nor false counts as off."""
    return env.get(KEY, "").strip().lower() in _TRUE
