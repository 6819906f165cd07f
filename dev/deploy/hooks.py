"""The modules that these commands share with the azd hooks, which lie outside any package."""

import sys

from dev.folders import CLONE

sys.path.insert(0, str(CLONE / "infra" / "hooks"))

import cloud
import database
import deployed
import preprovision

__all__ = ["cloud", "database", "deployed", "preprovision"]
