"""From CONFIG_SOURCE to whoever reads config.yaml there (config_source.py says which forms it has)."""

from __future__ import annotations

import functools
from pathlib import Path

from shared.adapters.config_blob import TokenBlobSource
from shared.adapters.config_source import BlobSource, ConfigSource, FileSource, blob_place
from shared.adapters.storage import Storage


def source_of(setting: str, root: Path, storage: Storage) -> ConfigSource:
    """root: of the package."""
    place = blob_place(setting)
    if place is None:
        path = Path(setting) if setting else root / "config.yaml"
        return FileSource(path if path.is_absolute() else root / path)
    if url := storage.blob_url(*place):
        return TokenBlobSource(url, storage.own_credential)
    return BlobSource(functools.partial(storage.blob, *place))
