"""Where a resource finds a batch's input and leaves its output: a container of the gateway's own storage account.

Owns the names in it, and which of the addresses that a resource tells lie there: no other is ever asked, for whoever
follows an address is sent by whoever wrote it. A blob there has the id `blob:CONTAINER/NAME`, as a file has one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from shared.batches.ports import BlobFolder

INPUT = "input/"
_KIND = "blob:"

type Containers = Callable[[str], BlobFolder]
"""By name, of the gateway's own storage account."""


@dataclass(frozen=True, slots=True)
class BatchStorage:
    container: str
    folder: BlobFolder

    def id(self, name: str) -> str:
        return f"{_KIND}{self.container}/{name}"

    def name(self, blob_id: str) -> str:
        """Of a blob in this container; empty: it is something else's id."""
        start = self.id("")
        return blob_id.removeprefix(start) if blob_id.startswith(start) else ""

    def url(self, name: str = "") -> str:
        """As a resource is told of it."""
        return f"{self.folder.address()}/{quote(name)}" if name else self.folder.address()

    def id_of(self, url: str) -> str:
        """Of what a resource tells of; the address as it is when it lies anywhere else."""
        told, here = urlsplit(url), urlsplit(self.folder.address())
        same = (told.scheme.lower(), told.netloc.lower()) == (here.scheme.lower(), here.netloc.lower())
        name = unquote(told.path.removeprefix(f"{here.path}/")) if told.path.startswith(f"{here.path}/") else ""
        return self.id(name) if same and name and not {"", ".", ".."} & {*name.split("/")} else url


def container_of(file_id: str) -> str:
    """In which a file lies; empty: it is one of the resource's own."""
    return file_id.removeprefix(_KIND).partition("/")[0] if file_id.startswith(_KIND) else ""
