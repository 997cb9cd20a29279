"""A stand-in for Azure OpenAI, Foundry, Entra ID, managed identity and Key Vault on the developer's own machine.

It speaks their wire formats over loopback sockets and misbehaves when told to. Never deployed; the gateway does not
know that it exists. `python -m local.fake_azure --help` explains the process, `FakeAzure.running()` serves tests.
"""

from .fake import FakeAzure
from .faults import Fault
from .recorder import RequestRecord
from .state import ResourceState, State

__all__ = ["FakeAzure", "Fault", "RequestRecord", "ResourceState", "State"]
