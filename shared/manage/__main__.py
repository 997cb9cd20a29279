"""Starts the command line with an interpreter that has the packages: the project's own .venv if this one has not."""

import contextlib
import os
import sys

NOBODY_READS = 141
"""As a shell has it for a program whose reader has gone: `… | head`."""


def main():
    try:
        import azure.data.tables  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import orjson  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import pydantic  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        folder = "Scripts" if os.name == "nt" else "bin"
        python = os.path.join(root, ".venv", folder, "python.exe" if os.name == "nt" else "python")
        if os.path.exists(python) and os.path.abspath(sys.prefix) != os.path.join(root, ".venv"):
            os.execv(python, [python, "-m", "shared.manage", *sys.argv[1:]])
        sys.exit(
            "%s is not installed for %s. Run 'python3 dev.py up' once, or 'pip install -r requirements.txt'."
            % (error.name, sys.executable)
        )
    from shared.manage.cli import run
    from shared.manage.context import CommandError, with_local_settings

    with contextlib.suppress(CommandError):  # which `run` meets again, and tells
        os.environ.update(with_local_settings(os.environ))  # Azure's SDKs read it there, as under the Functions host
    try:
        try:
            return run(sys.argv[1:], os.environ)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left goes nowhere, in silence
        return NOBODY_READS


if __name__ == "__main__":
    sys.exit(main())
