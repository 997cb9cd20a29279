"""What a gateway uses of Azure besides models: metrics (Azure Monitor), list prices, an Event Grid topic.

Owns that the three share one listener, over plain HTTP on this machine; each has a module of its own.
"""

from collections.abc import Mapping

from aiohttp import web

from ..faults import FaultQueue
from ..models import Resource
from ..served import Served
from ..tokens import TokenIssuer
from .monitor import Monitor
from .retail_prices import RetailPrices
from .topic import Topic


class Management:
    def __init__(
        self,
        resources: Mapping[str, Resource],
        served: Served,
        tokens: TokenIssuer,
        faults: FaultQueue,
        topic_key: str,
    ) -> None:
        self.monitor = Monitor(resources, served, tokens, faults)
        self.prices = RetailPrices(faults)
        self.topic = Topic(topic_key, tokens, faults)

    def routes(self) -> list[web.RouteDef]:
        return [*self.monitor.routes(), *self.prices.routes(), *self.topic.routes()]
