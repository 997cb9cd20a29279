"""The process itself: settings that do not belong there, secrets that were not resolved, the version of Python."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from shared.errors import ConfigError
from shared.operations.checkup import commands
from shared.operations.checkup.finding import Check, Finding, failed, ok, skipped, warning
from shared.operations.checkup.place import Place
from shared.operations.checkup.scene import Scene
from shared.settings import REFERENCE

PYTHON = (3, 13)
FORBIDDEN = (
    "FUNCTIONS_WORKER_PROCESS_COUNT", "FUNCTIONS_MAX_HTTP_CONCURRENCY", "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "ENABLE_ORYX_BUILD", "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING", "WEBSITE_CONTENTSHARE",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
)  # fmt: skip
"""Not valid on Flex Consumption (Azure "Flex Consumption: deprecated properties and settings", 2026-08)."""
SET_BY_PLATFORM = ("FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE")
"""Not valid either, but the platform has variables of these names: only the app setting itself is told."""
_PREFIX = "APPSETTING_"
SHORTEST = 24
"""Characters of a secret that is made by chance: 18 bytes in base64."""


def checks(scene: Scene) -> list[Check]:
    return [
        Check("settings", lambda: _gathered(_settings(scene), ok("settings", "none that does not belong here"))),
        Check("secrets", lambda: _gathered(_secrets(scene), ok("secrets", "resolved, and long enough"))),
        Check("Python", lambda: _gathered(_python(scene.place), ok("Python", _version(sys.version_info[:2])))),
    ]


def without_settings(environ: Mapping[str, str], refused: ConfigError) -> Iterator[Finding]:
    """Where the settings cannot be read, from which everything else would be opened."""
    place = Place.of(environ)
    references = _references(environ)
    for problem in refused.problems:
        if problem.where.rpartition(" ")[2] not in references:  # which is told below, with the command
            yield failed("settings", f"{problem.where}: {problem.message}", problem.remedy)
    yield from _platform(environ, place)
    yield from _unresolved(environ, place)
    yield from _python(place)


async def _gathered(found: Iterator[Finding], else_: Finding) -> list[Finding]:
    return list(found) or [else_]


def _settings(scene: Scene) -> Iterator[Finding]:
    if not scene.place.on_azure:
        yield skipped("settings", "this is no Function App: nothing here can be against its rules")
        return
    yield from _platform(scene.environ, scene.place)
    if scene.desk.settings.storage_connection.reveal():
        text = "AzureWebJobsStorage is a connection string with a key: the identity needs none"
        yield warning("settings", text, "set AzureWebJobsStorage__blobServiceUri and its like (docs/configuration.md)")


def _platform(environ: Mapping[str, str], place: Place) -> Iterator[Finding]:
    """Against the rules of Azure Functions."""
    if not place.on_azure:
        return
    wrong = [name for name in FORBIDDEN if environ.get(name) or environ.get(_PREFIX + name)]
    wrong += [name for name in SET_BY_PLATFORM if environ.get(_PREFIX + name)]
    if place.flex and wrong:
        text = f"not valid on Flex Consumption: {', '.join(wrong)}"
        yield failed("settings", text, commands.take_settings_away(place, wrong))
    elif environ.get("FUNCTIONS_WORKER_PROCESS_COUNT", "1") != "1":
        text = "FUNCTIONS_WORKER_PROCESS_COUNT is more than 1: every process has limits, caches and counts of its own"
        yield warning("settings", text, commands.take_settings_away(place, ["FUNCTIONS_WORKER_PROCESS_COUNT"]))
    if not environ.get("AZURE_CLIENT_ID"):
        text = "AZURE_CLIENT_ID is not set: a user-assigned identity is not found without it"
        yield warning("settings", text, commands.name_identity(place))


def _unresolved(environ: Mapping[str, str], place: Place) -> Iterator[Finding]:
    for name in _references(environ):
        text = f"the Key Vault reference in {name} was not resolved: its text stands in place of the secret"
        fix = commands.references_by_identity(place) if place.site else "write the secret itself"
        yield failed("secrets", text, fix)


def _references(environ: Mapping[str, str]) -> list[str]:
    """Names of settings that should have been replaced by a secret."""
    return sorted(n for n, value in environ.items() if value.startswith(REFERENCE) and not n.startswith(_PREFIX))


def _secrets(scene: Scene) -> Iterator[Finding]:
    yield from _unresolved(scene.environ, scene.place)
    named = _references(scene.environ)
    settings = scene.desk.settings
    for name, secret in (("KEY_PEPPER", settings.key_pepper), ("ADMIN_KEY", settings.admin_key)):
        if name not in named and 0 < len(secret.reveal()) < SHORTEST:
            text = f"{name} is shorter than {SHORTEST} characters: it could be guessed"
            more = " (a new KEY_PEPPER ends every key: docs/keys.md)" if name == "KEY_PEPPER" else ""
            yield warning("secrets", text, f"take 32 random bytes, as from: openssl rand -base64 32{more}")


def _python(place: Place) -> Iterator[Finding]:
    running = sys.version_info[:2]
    if running < PYTHON:
        fix = commands.set_python(place, _version(PYTHON)) if place.site else "python3 dev.py up"
        yield failed("Python", f"{_version(running)}; the gateway needs {_version(PYTHON)}", fix)
    elif running > PYTHON and place.site:
        fix = commands.set_python(place, _version(PYTHON))
        yield warning("Python", f"{_version(running)}; the package is built for {_version(PYTHON)}", fix)


def _version(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
