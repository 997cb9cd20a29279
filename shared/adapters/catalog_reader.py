"""From the text of a configuration to the catalog, with what of it lies in Key Vault; for whoever needs one.

Owns reading it again only when it has changed. Where the text comes from is config_source.py's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from shared import config
from shared.adapters.config_source import ConfigSource
from shared.catalog import Catalog
from shared.document import Document, read_document
from shared.errors import UpstreamFailed
from shared.ports import Secrets
from shared.transform.resolve import resolve


async def read_catalog(text: str, environ: Mapping[str, str], vault: Secrets, trusted: Iterable[str]) -> Catalog:
    """Raises ConfigError with everything that is wrong with the text."""
    document = read_document(text)
    values = await _vault_values(document, vault)
    return resolve(config.parse(document, environ, values), document, environ, trusted)


class CatalogReader:
    """The configuration in force, for those who have no gateway around them."""

    def __init__(
        self, source: ConfigSource, environ: Mapping[str, str], vault: Secrets, trusted: Iterable[str]
    ) -> None:
        self._source, self._environ, self._vault, self._trusted = source, environ, vault, tuple(trusted)
        self._known: tuple[str, Catalog] | None = None

    async def read(self) -> Catalog:
        """Raises ConfigError, and StoreUnavailable when the source does not answer."""
        found = await self._source.read(self._known[0] if self._known else "")
        if found is None:
            assert self._known is not None
            return self._known[1]
        text, version = found
        catalog = await read_catalog(text, self._environ, self._vault, self._trusted)
        self._known = version, catalog
        return catalog


async def _vault_values(document: Document, vault: Secrets) -> dict[str, str]:
    """Secrets that stand in fields which are no secrets (a base URL, say); what cannot be read is left out."""
    names = sorted(config.vault_names(document))
    found: list[Any] = await asyncio.gather(*(vault.get(name) for name in names), return_exceptions=True)
    for value in found:
        if isinstance(value, BaseException) and not isinstance(value, UpstreamFailed):
            raise value
    return {name: value for name, value in zip(names, found, strict=True) if isinstance(value, str)}
