"""By which service tier a request is served, as its answer tells: what was asked for, unless a fault `tier` differs.

Owns the words of OpenAI's operations and of Anthropic's. `fast` is another name for `priority`; `auto` is up to the
service, which here has nothing but the usual one.
"""

from typing import Any

from .faults import Fault

_SERVED = {"priority": "priority", "fast": "priority", "flex": "flex"}


def served(asked: Any, fault: Fault | None) -> str:
    """OpenAI's tier. `FakeAzure.add_fault("tier", body="default")` makes a downgrade of the next request."""
    return _ordered(fault) or _SERVED.get(str(asked), "default")


def served_by_anthropic(fault: Fault | None) -> str:
    """Anthropic's: priority capacity is bought, so that nobody gets it by asking."""
    return _ordered(fault) or "standard"


def _ordered(fault: Fault | None) -> str:
    return str(fault.body) if fault is not None and fault.kind == "tier" else ""
