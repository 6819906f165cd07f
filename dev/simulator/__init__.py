"""A simulator of Partner Center's referrals API and of Entra ID, for play and for tests.

In a test: ``with Simulator(referrals=40) as simulator: ...``. As a process:
``python -m dev.simulator --port 0 --port-file F --ca-file F``, driven through `connect`.
"""

from dev.simulator.behaviour import Behaviour, EntraBehaviour
from dev.simulator.client import connect
from dev.simulator.entra import ADA, BORA, OUTSIDER, Account, Entra
from dev.simulator.faults import Fault, FaultQueue
from dev.simulator.message import RecordedRequest
from dev.simulator.referrals import generate_referrals
from dev.simulator.server import Simulator
from dev.simulator.token_errors import TOKEN_ERRORS
from dev.simulator.world import UnknownReferral, World

__all__ = [
    "ADA",
    "BORA",
    "OUTSIDER",
    "TOKEN_ERRORS",
    "Account",
    "Behaviour",
    "Entra",
    "EntraBehaviour",
    "Fault",
    "FaultQueue",
    "RecordedRequest",
    "Simulator",
    "UnknownReferral",
    "World",
    "connect",
    "generate_referrals",
]
