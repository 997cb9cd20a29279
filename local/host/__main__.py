"""The command line: `python -m local.host APP_DIR`. Reads arguments, nothing else."""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

from .contract import HostError
from .logs import configure

_ABOUT = """\
Runs an Azure Functions app (Python v2 model) on this machine, on the real Python worker library and without
Core Tools. HTTP, queue, timer and blob triggers work; keys, routes and limits follow the platform's rules.
"""
_MORE = """\
modes
  asgi      the worker runs in this process and requests go straight into the app: fast, and one process to debug
  process   the worker is a child process with its own web server, as in Azure: shows X-Forwarded-*, real
            connections between host and worker, crashes and restarts, functionTimeout

settings
  The environment wins over Values in APP_DIR/local.settings.json. Queue and blob triggers need AzureWebJobsStorage:
  a connection string, UseDevelopmentStorage=true (Azurite), or AzureWebJobsStorage__accountName with a sign-in.
  AzureWebJobs.NAME.Disabled=true turns one function off. FUNCHOST_QUEUE_LEASE=SECONDS: how long a message stays hidden
  when its host is killed (600 in Azure).

keys
  Functions that are not anonymous, and /admin, need a key in the header x-functions-key or in ?code=. Keys are made
  in APP_DIR/.funchost-keys.json when first needed; FUNCHOST_MASTER_KEY sets the master key and makes no file.

admin (master key)
  curl -X POST URL/admin/functions/NAME -H 'x-functions-key: KEY' -d '{"input": "..."}'
  runs a queue, timer or blob function by hand and answers when it has ended: 202, or 500 when it failed.

examples
  python -m local.host . --reload                 while developing
  python -m local.host . --mode process           as in Azure
  python -m local.host . --port 0 --ready-file r  in a test: wait for r, read the url in it
"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m local.host",
        description=_ABOUT,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("app_dir", type=Path, metavar="APP_DIR", help="the folder that holds function_app.py")
    made.add_argument(
        "--port", type=int, help="default: Host.LocalHttpPort of local.settings.json, else 7071; 0 takes a free one"
    )
    made.add_argument(
        "--mode", choices=("asgi", "process"), default="asgi", help="where the worker runs (default: asgi)"
    )
    made.add_argument("--no-auth", action="store_true", help="ask for no keys, as Core Tools does")
    made.add_argument(
        "--loop", choices=("asyncio", "uvloop"), default="asyncio", help="the event loop; Azure has asyncio"
    )
    made.add_argument("--reload", action="store_true", help="start again when a file of the app changes")
    made.add_argument(
        "--ready-file", type=Path, metavar="FILE",
        help="write {url, pid, mode, worker_pid, functions} there when the host serves; removed when it ends",
    )  # fmt: skip
    made.add_argument("--keys-file", type=Path, metavar="FILE", help="default: APP_DIR/.funchost-keys.json")
    made.add_argument(
        "--grace",
        type=float,
        default=3.0,
        metavar="SECONDS",
        help="how long running requests may take to end (default: 3)",
    )
    made.add_argument("--verbose", action="store_true", help="every invocation, the worker's own log, full tracebacks")
    made.add_argument("--supervisor", type=int, help=argparse.SUPPRESS)
    return made


def main(arguments: list[str]) -> int:
    given = parser().parse_args(arguments)
    configure(given.verbose)
    try:
        return _run(given)
    except HostError as error:
        if given.verbose:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 0


def _run(given: argparse.Namespace) -> int:
    app_dir: Path = given.app_dir.resolve()
    if not app_dir.is_dir():
        raise HostError(f"{app_dir} is not a folder. Give the one that holds function_app.py.")
    if given.reload:
        from .reload import Supervisor, passed_on

        return Supervisor(app_dir, passed_on(given, app_dir), given.grace).run()
    from .server import Options, run  # only now: the web server takes a while to import

    return run(
        Options(
            app_dir=app_dir,
            port=given.port,
            mode=given.mode,
            auth=not given.no_auth,
            loop=given.loop,
            ready_file=given.ready_file and given.ready_file.absolute(),
            keys_file=given.keys_file and given.keys_file.absolute(),
            grace=given.grace,
            supervisor=given.supervisor,
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
