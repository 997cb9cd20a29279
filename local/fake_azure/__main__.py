"""The command line of the fake: starts every listener, says where they are, runs until it is told to stop."""

import argparse
import asyncio
import signal
from pathlib import Path

from .fake import FakeAzure
from .models import DEFAULT_RESOURCES

_DESCRIPTION = """\
A stand-in for Azure OpenAI, Foundry, Entra ID, managed identity and Key Vault, and for what a gateway asks of Azure
Monitor, the Retail Prices API and an Event Grid topic.

Each resource listens on a port of its own, because Azure tells resources apart by host. A resource named
"foundry" also serves /models, one named "openai" is a plain OpenAI-compatible server, all others are Azure OpenAI.
The addresses, keys and names are written to the ready file, as JSON, once everything listens; the same is at
CONTROL/control/state. Faults: POST CONTROL/control/faults {"kind": "status", "status": 429, "times": 2}. Quotas: POST
CONTROL/control/quotas {"resource": "main", "deployment": "gpt-4o", "requests": 10, "window": 60}. Batches: POST
CONTROL/control/batches {"resource": "main", "seconds": 5}, …/batches/hold, …/batches/end. Outages: POST
CONTROL/control/kill {"resource": "main"}, …/revive.
"""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.fake_azure",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=Path(".tollgate/fake_azure"),
        help="where certificates and keys are kept over restarts (default: %(default)s)",
    )
    parser.add_argument(
        "--ready-file",
        "--port-file",
        type=Path,
        help="where the state is written when everything listens (default: state.json in the state directory)",
    )
    parser.add_argument("--resource", nargs="+", action="extend", metavar="NAME", help="instead of the usual resources")
    parser.add_argument(
        "--base-port",
        type=int,
        default=0,
        metavar="N",
        help="control listens on N, managed identity on N+1, TLS on N+2, the resources in order from N+3 on, "
        "and last what is asked of Azure besides models",
    )
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    fake = FakeAzure(arguments.state_dir, arguments.resource or DEFAULT_RESOURCES, arguments.base_port)
    ready_file: Path = arguments.ready_file or arguments.state_dir / "state.json"
    try:
        await fake.start()
        fake.state.write(ready_file)
        print(f"fake Azure: control {fake.state.control_url}, state in {ready_file}", flush=True)
        await stop.wait()
    finally:
        await fake.stop()


asyncio.run(_run(_arguments()))
