"""`python -m deploy package|deploy|infra|costs|az …`, which `dev.py` starts: reads arguments, says what went wrong."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy import ROOT, DeployError, short

ZIP = ROOT / "dist" / "app.zip"


def package(options: argparse.Namespace) -> int:
    from deploy import trial, wheels
    from deploy.package import build

    if options.lock:
        print(f"deploy/wheels.txt names {wheels.lock()} wheels: commit it.")
        return 0
    started = time.monotonic()
    made = build(options.out, options.config)
    print(f"{short(made.file)}  {_megabytes(made.size)} (the app itself {_megabytes(made.of_app)}), {made.files} files")
    print(f"sha256 {made.digest}")
    tried = trial.try_package(made.file)
    if tried is None:
        print("Every import is in it. It is for CPython 3.13 on Linux x86-64: this machine cannot run it.")
    else:
        print(
            f"import function_app, unzipped read-only, nothing else on the path: {tried.cpu * 1000:.0f} ms CPU, "
            f"{tried.wall * 1000:.0f} ms (median of {trial.TIMES} fresh processes)"
        )
    print(f"Made and tried in {time.monotonic() - started:.0f} s")
    return 0


def infra(options: argparse.Namespace) -> int:
    from deploy import bicep

    return bicep.main(["write" if options.write else "check"])


def _build(config: Path | None) -> Path:
    from deploy import trial
    from deploy.package import build

    made = build(ZIP, config)
    print(f"{short(made.file)}  {_megabytes(made.size)}, {made.files} files")
    trial.try_package(made.file)
    return made.file


def deploy(options: argparse.Namespace) -> int:
    from deploy.azure_cli import Az
    from deploy.clean_up import clean_up
    from deploy.deploying import Wanted
    from deploy.deploying import deploy as run
    from deploy.publishing import publish

    config = options.config or (ROOT / "config.yaml" if (ROOT / "config.yaml").is_file() else None)
    if options.config_in == "package" and config is None and options.zip is None:
        raise DeployError("--config-in package needs a configuration: --config FILE")
    wanted = Wanted(
        group=options.resource_group, location=options.location, name=options.name,
        parameters=tuple(word for words in options.parameters for word in words), config=config,
        config_in=options.config_in, zip=options.zip, what_if=options.what_if, code_only=options.code_only,
        yes=options.yes, smoke=not options.no_smoke,
    )  # fmt: skip
    az = Az(dry=options.dry_run, subscription=options.subscription)
    if options.clean_up:
        clean_up(wanted, az)
    else:
        run(wanted, az, _build, publish)
    return 0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="dev.py")
    commands = root.add_subparsers(dest="command", required=True)
    one = commands.add_parser("package", help="make the zip that is deployed")
    one.set_defaults(run=package)
    one.add_argument("--out", type=Path, default=ZIP, metavar="FILE", help="the zip (default: dist/app.zip)")
    one.add_argument("--config", type=_file, metavar="FILE", help="put this configuration in, as config.yaml")
    one.add_argument("--lock", action="store_true", help="only write deploy/wheels.txt for requirements.txt")
    _add_deploy(commands.add_parser("deploy", help="create or update everything in Azure", epilog=_EXAMPLES,
                                    formatter_class=argparse.RawDescriptionHelpFormatter))  # fmt: skip
    one = commands.add_parser("infra", help="hold infra/ against the Bicep CLI; deploys nothing")
    one.set_defaults(run=infra)
    one.add_argument("--write", action="store_true", help="make infra/azuredeploy.json and the snapshots anew")
    return root


_EXAMPLES = """\
examples
  python3 dev.py deploy -g rg-gateway -l swedencentral --what-if    what would be made; nothing is
  python3 dev.py deploy -g rg-gateway -l swedencentral              all of it
  python3 dev.py deploy -g rg-gateway --code-only                   only code and configuration, after a change
  python3 dev.py deploy -g rg-gateway --code-only --zip old.zip     back to an earlier package
  python3 dev.py deploy -g rg-gateway --clean-up                    delete all of it

Every command is shown before it runs; docs/deploy.md explains each. It can be run again at any time.
"""


def _add_deploy(one: argparse.ArgumentParser) -> None:
    one.set_defaults(run=deploy)
    add = one.add_argument
    add("-g", "--resource-group", required=True, metavar="GROUP", help="the resource group; made where there is none")
    add("-l", "--location", default="", metavar="REGION", help="where to make the group")
    add("-n", "--name", default="main", help="the deployment's name (default: main)")
    add(
        "-p", "--parameters", nargs="+", action="append", default=[], metavar="FILE|NAME=VALUE",
        help="as az takes them (default: infra/main.parameters.json)",
    )  # fmt: skip
    add("--subscription", default="", metavar="NAME", help="another than the one that az account show names")
    add("--config", type=_file, metavar="FILE", help="the configuration (default: config.yaml, when there is one)")
    add(
        "--config-in", choices=("storage", "package"), default="storage",
        help="where the app reads it: a blob that may change at any time (default), or the package",
    )  # fmt: skip
    add("--zip", type=_file, metavar="FILE", help="publish this package instead of a new one")
    add("--code-only", action="store_true", help="leave the infrastructure as it is")
    add("--what-if", action="store_true", help="only show what would change")
    add("--dry-run", action="store_true", help="only show the commands; az is not asked")
    add("--no-smoke", action="store_true", help="do not ask the gateway whether it works")
    add("--yes", action="store_true", help="do not ask before something is changed or deleted")
    add("--clean-up", action="store_true", help="delete the group and what would outlive it")


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return Path(text)


def main(arguments: list[str]) -> int:
    try:
        if arguments[:1] == ["az"]:
            from deploy import azure_cli

            return azure_cli.become(arguments[1:])
        if arguments[:1] == ["costs"]:
            from deploy import costs_options

            return costs_options.main(arguments[1:])
        options = parser().parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        if sys.argv[1:2] == ["deploy"]:
            print(
                "\nStopped. What Azure was told to do goes on there; the same command goes on from here.",
                file=sys.stderr,
            )
        sys.exit(130)
