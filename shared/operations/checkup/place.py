"""Where this process runs, by what the platform says in its environment. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """All empty on a developer's machine."""

    site: str = ""
    group: str = ""
    subscription: str = ""
    flex: bool = False

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Place:
        """WEBSITE_OWNER_NAME is `SUBSCRIPTION+WEBSPACE`."""
        return cls(
            site=environ.get("WEBSITE_SITE_NAME", ""),
            group=environ.get("WEBSITE_RESOURCE_GROUP", ""),
            subscription=environ.get("WEBSITE_OWNER_NAME", "").partition("+")[0],
            flex=environ.get("WEBSITE_SKU", "") == "FlexConsumption",
        )

    @property
    def on_azure(self) -> bool:
        return bool(self.site)

    @property
    def site_id(self) -> str:
        """Azure's resource id; empty when the platform does not say enough."""
        if not (self.site and self.group and self.subscription):
            return ""
        within = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        return f"{within}/providers/Microsoft.Web/sites/{self.site}"
