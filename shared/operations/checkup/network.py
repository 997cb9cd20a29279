"""Whether each name resolves, and to where: to the internet, or into a private network as a closed account needs it."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from shared.adapters.resource_manager import ArmFailed
from shared.operations.checkup import commands
from shared.operations.checkup.finding import Check, Finding, failed, ok, warning
from shared.operations.checkup.scene import Scene

_ENDINGS = re.compile(
    r"(?:(?:blob|queue|table)\.core\.(?:windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)"
    r"|vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net)"
    r"|(?:openai|cognitiveservices|services\.ai)\.azure\.(?:com|us|cn))"
)
"""What public names of Azure end in. The zone of their private endpoints is called the same, with `privatelink.` before
it, but for vaults (Azure "Private endpoint DNS", 2026-08)."""
_ACCOUNTS = re.compile(r"privatelink\.(?:openai|cognitiveservices|services)\.")


def checks(scene: Scene) -> list[Check]:
    hosts = dict.fromkeys(urlsplit(url).hostname or "" for url in _addresses(scene))
    return [Check(host, lambda host=host: _look(scene, host)) for host in hosts if host]


def _addresses(scene: Scene) -> Iterator[str]:
    settings = scene.desk.settings
    yield str(scene.desk.folders.service.url)
    yield str(scene.desk.queue("tollgate-batch-looks").url)
    yield str(scene.desk.tables.table("tollgatekeys").url)
    if settings.key_vault_uri:
        yield settings.key_vault_uri
    yield from (one.root for one in scene.catalog.every())
    if settings.events.startswith("https://"):
        yield settings.events
    if settings.resource_manager_url:
        yield settings.resource_manager_url


def zone_of(host: str) -> str:
    ending = host.partition(".")[2]
    found = f"vaultcore.{ending.removeprefix('vault.')}" if ending.startswith("vault.") else ending
    return f"privatelink.{found}" if _ENDINGS.fullmatch(ending) else ""


async def _look(scene: Scene, host: str) -> list[Finding]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except OSError as error:
        return [_unknown(scene, host, error)]
    addresses = sorted({str(row[4][0]) for row in found})
    closed = await _closed(scene, host)
    private = [_is_private(each) for each in addresses]
    shown = ", ".join(addresses[:3])
    if ipaddress.ip_address(addresses[0].partition("%")[0]).is_loopback:
        return [ok(host, f"{shown}, on this machine")]
    if all(private):
        return [ok(host, f"{shown}, private")]
    if closed and (zone := zone_of(host)):
        text = f"{shown} is public, but the account can be reached by its private endpoint only"
        return [failed(host, text, commands.link_zone(scene.place, zone))]
    if any(private):
        return [
            warning(
                host, f"{shown}: public and private addresses at once", commands.link_zone(scene.place, zone_of(host))
            )
        ]
    return [ok(host, f"{shown}, public")]


def _unknown(scene: Scene, host: str, error: OSError) -> Finding:
    zone = zone_of(host)
    if _ACCOUNTS.match(zone):
        return failed(
            host, f"the name is not known ({error.strerror}): is it misspelt in config.yaml?", commands.list_accounts()
        )
    if zone:
        return failed(host, f"the name is not known ({error.strerror})", commands.link_zone(scene.place, zone))
    return failed(host, f"the name is not known ({error.strerror})", "correct it where it is configured")


async def _closed(scene: Scene, host: str) -> bool:
    """Whether Azure says that public access is off, as far as that can be read."""
    for one in scene.catalog.every():
        if urlsplit(one.root).hostname == host and zone_of(host):
            try:
                account = await scene.account_of(one)
            except ArmFailed:
                return False
            return account is not None and not account.public
    return False


def _is_private(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_private
