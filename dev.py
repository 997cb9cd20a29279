#!/usr/bin/env python3
"""One door to everything a developer does in this checkout: `python3 dev.py up`, `test`, `check`, ...

Owns: finding Python, the virtual environment, the checks, and which program a command starts.
Must not know: the app, its settings, or how the stack runs; `local/stack` does, inside the virtual environment.
Standard library only, in the Python 3.8 language: it runs under whatever `python3` the machine has.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "installed.sha256")
TOOLS = os.path.join(ROOT, ".tollgate")
STATE = os.path.abspath(os.environ.get("TOLLGATE_STATE") or TOOLS)
REQUIREMENTS = [os.path.join(ROOT, name) for name in ("requirements.txt", "requirements-dev.txt")]
WINDOWS = os.name == "nt"
BIN = os.path.join(VENV, "Scripts" if WINDOWS else "bin")
PYTHON = os.path.join(BIN, "python.exe" if WINDOWS else "python")
AZURITE = "3.37.0"
OLDEST = (3, 13)
NO_PYTHON = (
    "Tollgate needs Python 3.13 or newer and found none (this interpreter, PATH, pyenv and uv were tried): install it "
    "with `uv python install 3.13`, with `pyenv install 3.13` or from python.org/downloads, then run this again."
)
PROBE = "import json, platform, sys; print(json.dumps([platform.python_implementation(), list(sys.version_info[:3])]))"


def version_of(command):
    """The version of a Python 3.13 or newer as a tuple, or None: only running it tells (a pyenv shim may be a dud)."""
    try:
        done = subprocess.run([*command, "-c", PROBE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
        kind, version = json.loads(done.stdout.decode())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return tuple(version) if kind == "CPython" and tuple(version) >= OLDEST else None


def candidates(environ, running):
    """Every command that may start a good Python, the likeliest first."""
    path = environ.get("PATH", "")
    yield [running]
    for name in ("python3.13", "python3", "python3.14", "python3.15", "python"):
        for folder in path.split(os.pathsep):
            found = shutil.which(name, path=folder) if folder else None
            if found:
                yield [found]
    pyenv = environ.get("PYENV_ROOT") or os.path.join(os.path.expanduser("~"), ".pyenv")
    versions = os.path.join(pyenv, "versions")
    for name in sorted(os.listdir(versions) if os.path.isdir(versions) else [], reverse=True):
        yield [os.path.join(versions, name, "python.exe" if WINDOWS else os.path.join("bin", "python"))]
    uv = shutil.which("uv", path=path)
    if uv:
        yield [capture([uv, "python", "find", "3.13"])]
    yield from ([["py", "-3.13"], ["py", "-3"]] if WINDOWS else [])


def find_python(environ=os.environ, running=sys.executable):
    """The command and version of the Python to use: 3.13 before anything newer. Ends the program if there is none."""
    newer = []
    for command in candidates(environ, running):
        version = version_of(command)
        if version and version[:2] == OLDEST:
            return command, version
        if version:
            newer.append((version, command))
    if not newer:
        sys.exit(NO_PYTHON)
    version, command = min(newer)
    return command, version


def fingerprint():
    """Changes when the virtual environment has to be installed again: other requirements, or a checkout that moved."""
    digest = hashlib.sha256(VENV.encode())
    for name in REQUIREMENTS:
        with open(name, "rb") as file:
            digest.update(file.read().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def installed():
    return os.path.exists(PYTHON) and read(STAMP) == fingerprint()


def azurite_installed():
    package = read(os.path.join(TOOLS, "node", "node_modules", "azurite", "package.json"))
    return bool(package) and json.loads(package).get("version") == AZURITE


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def set_up(azurite=False):
    """Make .venv and, where asked, Azurite ready; silent and instant when nothing changed."""
    if installed() and (azurite_installed() or not azurite):
        return
    with one_at_a_time():
        if not installed():
            install_packages()
        if azurite and not azurite_installed():
            print("[4/5] Node.js %s" % capture([PYTHON, "-m", "local.stack.node", "version"]), flush=True)
            command = [PYTHON, "-m", "local.stack.node", "install", AZURITE]
            step(5, "installing azurite@%s with npm" % AZURITE, command, "npm.log")


def install_packages():
    started_by, version = find_python()
    print("[1/5] Python %d.%d.%d (%s)" % (*version, " ".join(started_by)), flush=True)
    if not version_of([PYTHON]) or not capture([PYTHON, "-m", "pip", "--version"]):
        step(2, "making the virtual environment .venv", [*started_by, "-m", "venv", "--clear", VENV], "venv.log")
    pins = [line for name in REQUIREMENTS for line in read(name).splitlines() if "==" in line and line[0] != "#"]
    command = [PYTHON, "-m", "pip", "install", "--no-input", *(word for name in REQUIREMENTS for word in ("-r", name))]
    step(3, "installing %d packages with pip" % len(pins), command, "pip.log")
    with open(STAMP, "w") as file:
        file.write(fingerprint())


@contextlib.contextmanager
def one_at_a_time():
    """Two commands that are started together install once."""
    os.makedirs(TOOLS, 0o700, exist_ok=True)
    with open(os.path.join(TOOLS, "setup.lock"), "w") as file:
        with contextlib.suppress(ImportError):  # there is no fcntl on Windows: there, just do not start two
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def step(number, text, command, log_name):
    """Run one slow step with its output in a log; when it fails, show the log's end and leave the program."""
    print("[%d/5] %s ... " % (number, text), end="", flush=True)
    log, started = os.path.join(TOOLS, "logs", log_name), time.monotonic()
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "wb") as file:
        code = subprocess.call(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=ROOT)
    if code:
        print("failed\n")
        print("\n".join("    " + line for line in read(log).splitlines()[-15:]))
        sys.exit("\n%s failed (exit code %d). The whole output is in %s" % (text.capitalize(), code, log))
    print("%.0f s" % (time.monotonic() - started), flush=True)


def capture(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT).stdout.decode().strip()


def become(*arguments, **options):
    """Hand over to a program in the virtual environment and end with its exit code."""
    paths = [ROOT] + [path for path in [os.environ.get("PYTHONPATH")] if path]
    environ = dict(os.environ, TOLLGATE_STATE=STATE, PYTHONUNBUFFERED="1", PYTHONPATH=os.pathsep.join(paths))
    os.chdir(options.get("cwd", ROOT))
    sys.stdout.flush()
    command = [PYTHON, *arguments]
    sys.exit(subprocess.call(command, env=environ)) if WINDOWS else os.execve(PYTHON, command, environ)  # noqa: S606


def up(options):
    """start the gateway with everything it needs, all on this machine

    Starts Azurite (storage), the fake Azure (models, Entra ID, Key Vault) and the app under the local Functions host,
    then prints the base URL, a key and a curl line that works. Ctrl-C ends everything. While it runs, a second `up`
    with the same options prints the same again (exit code 0); with other options it says so (exit code 1).
    """
    set_up(azurite=True)
    given = {name: getattr(options, name) for name in ("port", "config", "mode", "detach", "reload")}
    become("-m", "local.stack", "up", json.dumps(given))


def status(options):
    """show what runs, and where

    The exit code is 0 when the stack runs and 3 when it does not.
    """
    if os.path.exists(PYTHON):
        become("-m", "local.stack", "status", *(["--json"] if options.json else []))
    print('{"running": false}' if options.json else "Not running; nothing is installed yet (python3 dev.py up).")
    return 3


def down(_):
    """stop what `up` started

    Stops the processes that `up` started, and no others. Does nothing when nothing runs.
    """
    if os.path.exists(PYTHON):
        become("-m", "local.stack", "down")
    print("Nothing is running.")


def test(options):
    """run the checks and all tests

    With arguments it runs only pytest, with these: python3 dev.py test tests/unit -k usage
    """
    set_up(azurite=True)
    become("-m", "local.stack.checks", "test", *options.arguments)


def check(_):
    """run ruff check, ruff format --check, pyright, lint-imports and bicep

    All of them run, also when one fails; bicep only where it is installed. The exit code is 0 when all pass.
    """
    set_up()
    become("-m", "local.stack.checks", "check")


def fmt(_):
    """format the code, and fix what ruff can fix

    Runs ruff check --fix, then ruff format.
    """
    set_up()
    become("-m", "local.stack.checks", "fmt")


def bench(options):
    """measure: python -m bench ...

    The arguments go to the benchmark; its own help: python3 dev.py bench -- --help
    """
    set_up(azurite=True)
    become("-m", "bench", *options.arguments)


def prove(options):
    """prove the bounds: python -m bench prove ...

    Kills gateways under load, and holds limits against many callers, for minutes: docs/proofs.md"""
    set_up(azurite=True)
    become("-m", "bench", "prove", *options.arguments)


def conformance(options):
    """the SDKs' own tests through the gateway: python -m conformance ...

    The arguments go to it; its own help: python3 dev.py conformance -- --help
    """
    set_up(azurite=True)
    become("-m", "conformance", *options.arguments)


def manage(options):
    """keys, budgets, usage: python -m shared.manage ...

    Runs it with the running stack's settings, for example: python3 dev.py manage keys create --name ana
    Its own help: python3 dev.py manage -- --help
    """
    set_up()
    become("-m", "local.stack", "manage", *options.arguments, cwd=os.getcwd())


def package(options):
    """make the zip that is deployed: dist/app.zip

    Wheels for the target, bytecode, the app; then it is tried. Its own help: python3 dev.py package -- --help
    """
    set_up()
    become("-P", "-m", "deploy", "package", *options.arguments, cwd=os.getcwd())


def deploy(options):
    """create or update everything in Azure: deploy -g GROUP

    Runs az, and shows each command before it runs: docs/deploy.md. Its own help: python3 dev.py deploy -- --help
    """
    set_up()
    become("-P", "-m", "deploy", "deploy", *options.arguments, cwd=os.getcwd())


def infra(options):
    """hold infra/ against the Bicep CLI; with --write, make what is compiled of it anew

    Lint, format, infra/azuredeploy.json and the snapshots of the examples. It asks nothing of Azure.
    """
    set_up()
    become("-P", "-m", "deploy", "infra", *options.arguments, cwd=os.getcwd())


def costs(options):
    """work out what a gateway costs a month: costs --calls 1e6

    At list prices, without the models. Its own help: python3 dev.py costs -- --help
    """
    set_up()
    become("-P", "-m", "deploy", "costs", *options.arguments, cwd=os.getcwd())


def az(options):
    """run Azure's own command line, installed into .tollgate/az where there is none

    With arguments it runs az with these: python3 dev.py az login
    """
    set_up()
    become("-P", "-m", "deploy", "az", *options.arguments, cwd=os.getcwd())


def clean(_):
    """stop, then remove .venv and .tollgate

    All that was installed and stored here goes; the next command installs again. A TOLLGATE_STATE elsewhere stays.
    """
    if os.path.exists(PYTHON):
        subprocess.call([PYTHON, "-m", "local.stack", "down"], cwd=ROOT, env=dict(os.environ, TOLLGATE_STATE=STATE))
    for path in (VENV, TOOLS):
        if os.path.isdir(path):
            shutil.rmtree(path)
            print("Removed %s" % path)


COMMANDS = (
    up, status, down, test, check, fmt, bench, prove, conformance, manage, package, deploy, infra, costs, az, clean,
)  # fmt: skip
COMMANDS = {command.__name__: command for command in COMMANDS}
PASSED_ON = ("test", "bench", "prove", "conformance", "manage", "package", "deploy", "infra", "costs", "az")


def parser():
    root = argparse.ArgumentParser(
        prog="dev.py",
        description="Run, test and check Tollgate. The first run installs what it needs into .venv and .tollgate.",
        epilog="Start with `python3 dev.py up`. TOLLGATE_STATE=DIR keeps data, logs and keys of another stack in DIR.",
    )
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        summary, _, details = command.__doc__.partition("\n\n")
        commands.add_parser(name, help=summary, description=details)
    add = commands.choices["up"].add_argument
    add("--detach", action="store_true", help="return when ready; stop it with `dev.py down`")
    add("--port", type=int, help="port of the gateway (default: 7071, or the next free one)")
    add("--config", metavar="FILE", type=os.path.abspath, help="your resources, in your environment: no fake Azure")
    add("--mode", choices=["asgi", "process"], default="asgi", help="one process (asgi), or host and worker (process)")
    add("--reload", action="store_true", help="start the app again when its code changes")
    commands.choices["status"].add_argument("--json", action="store_true", help="all of it, keys too, for programs")
    return root


def main(argv):
    passed_on = []
    own = argv[:1] and argv[0] in PASSED_ON
    if own and argv[1:] not in (["--help"], ["-h"]):
        argv, passed_on = argv[:1], argv[2:] if argv[1:2] == ["--"] else argv[1:]
    options = parser().parse_args(argv)
    options.arguments = passed_on
    return COMMANDS[options.command](options)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
