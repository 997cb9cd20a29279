"""What a gateway uses of Azure besides models: Resource Manager, Azure Monitor, list prices, an Event Grid topic.

Owns that they share one listener, over plain HTTP on this machine; each has a module of its own.
"""

from collections.abc import Mapping

from aiohttp import web

from ..faults import FaultQueue
from ..models import Resource
from ..served import Served
from ..tokens import TokenIssuer
from .arranged import Arranged
from .monitor import Monitor
from .resource_manager import ResourceManager
from .retail_prices import RetailPrices
from .topic import Topic


class Management:
    def __init__(
        self,
        resources: Mapping[str, Resource],
        urls: Mapping[str, str],
        served: Served,
        tokens: TokenIssuer,
        faults: FaultQueue,
        topic_key: str,
    ) -> None:
        self.arm = Arranged(resources, urls)
        self.resource_manager = ResourceManager(self.arm, tokens, faults)
        self.monitor = Monitor(resources, served, tokens, faults)
        self.prices = RetailPrices(faults)
        self.topic = Topic(topic_key, tokens, faults)

    def routes(self) -> list[web.RouteDef]:
        own = [*self.monitor.routes(), *self.prices.routes(), *self.topic.routes()]
        return [*own, *self.resource_manager.routes()]
