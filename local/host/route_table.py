"""Which function answers a path and a method: the host's order, found without trying every route.

The host sorts functions by name, ignoring case, and takes the first whose route matches path and method; a specific
route does NOT beat a catch-all whose function name sorts earlier. `scan` is that rule; `find` must
always agree with it. Knows nothing of keys, requests or workers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from .contract import Function, HostError
from .routing import RESERVED, Template, overlap

_LEVELS = {"ANONYMOUS": 0, "FUNCTION": 1, "ADMIN": 2}


@dataclass(slots=True)
class Route:
    """One HTTP function's route: who answers, and what key it wants (0 none, 1 function, 2 master)."""

    function: Function
    template: Template
    methods: frozenset[str]  # empty: every method
    level: int

    def match(self, method: str, path: str) -> dict[str, str] | None:
        if self.methods and method not in self.methods:
            return None
        return self.template.match(path)


type Found = tuple[Route, dict[str, str]]


class RouteTable:
    """The app's routes in the host's order, with an index over their leading literal segments."""

    def __init__(self, functions: Iterable[Function], prefix: str) -> None:
        http = [f for f in functions if f.kind == "httpTrigger"]
        self.routes = [_route(f, prefix) for f in sorted(http, key=lambda f: f.name.lower())]
        _refuse_conflicts(self.routes)
        # A route can only match a path that begins with its head, so the routes whose head is a beginning of the path,
        # in order, are all that the scan could find. `_by_head` holds that list for every head there is.
        heads = {r.template.head[:n] for r in self.routes for n in range(len(r.template.head) + 1)} | {()}
        self._by_head = {h: [r for r in self.routes if h[: len(r.template.head)] == r.template.head] for h in heads}
        self._deepest = max(map(len, heads))
        # And of these, for the path that a literal template spells, only the ones that do match it. Matching ignores
        # case and one trailing slash, so the answer is the same for every way to write that path.
        self._by_path = {
            f"/{'/'.join(h)}": self._candidates(h) for h in heads if any(_spells(r, h) for r in self.routes)
        }

    def _candidates(self, head: tuple[str, ...]) -> list[Route]:
        """Routes whose pattern fits the path; ones with parameters stay in, as constraints may look at the case."""
        path = f"/{'/'.join(head)}"
        return [r for r in self._by_head[head] if not r.template.is_literal or r.template.match(path) is not None]

    def find(self, method: str, raw_path: str) -> Found | None:
        path = raw_path
        if "%" in path:
            path = unquote(path.replace("%2F", "%252F").replace("%2f", "%252f"))  # Kestrel keeps %2F
        if not path.isascii():  # lower() and a regex's idea of case differ beyond ASCII: take the plain way
            return first_match(self.routes, method, path)
        lower = path.lower()
        routes = self._by_path.get(lower)
        if routes is None:
            routes = self._by_head[self._head(lower)]
        for route in routes:
            if route.methods and method not in route.methods:
                continue
            params = route.template.match(path)
            if params is not None:
                return route, params
        return None

    def _head(self, lower: str) -> tuple[str, ...]:
        """The longest known head that the path begins with."""
        segments = tuple(lower.split("/", self._deepest + 1)[1 : self._deepest + 1])
        by_head = self._by_head
        for length in range(len(segments), 0, -1):
            if segments[:length] in by_head:
                return segments[:length]
        return ()

    def scan(self, method: str, raw_path: str) -> Found | None:
        """The rule itself, route by route. `find` is tested against it."""
        path = unquote(raw_path.replace("%2F", "%252F").replace("%2f", "%252f"))
        return first_match(self.routes, method, path)


def first_match(routes: Iterable[Route], method: str, path: str) -> Found | None:
    for route in routes:
        params = route.match(method, path)
        if params is not None:
            return route, params
    return None


def _spells(route: Route, head: tuple[str, ...]) -> bool:
    return route.template.is_literal and route.template.head == head


def _route(function: Function, prefix: str) -> Route:
    trigger = function.trigger
    template = str(trigger.get("route") or function.name).strip("/")
    if template.lower().startswith(RESERVED):
        raise HostError(
            f"Function '{function.name}': the route '{template}' conflicts with the host's built in routes.\n"
            "No route may start with 'admin' or 'runtime', whatever the routePrefix: choose another first word."
        )
    level = str(trigger.get("authLevel") or "FUNCTION").upper()
    if level not in _LEVELS:
        raise HostError(
            f"Function '{function.name}': the authLevel '{level}' does not exist; use anonymous or function."
        )
    methods = frozenset(str(m).upper() for m in trigger.get("methods") or ())
    try:
        return Route(function, Template(f"{prefix.strip('/')}/{template}"), methods, _LEVELS[level])
    except ValueError as error:
        raise HostError(f"Function '{function.name}': {error}. Write it as in '{{name}}' or '{{id:int}}'.") from None


def _refuse_conflicts(routes: list[Route]) -> None:
    seen: dict[str, list[Route]] = {}
    for route in routes:
        same = seen.setdefault(route.template.text.lower(), [])
        for other in same:
            if shared := overlap(route.methods, other.methods):
                raise HostError(
                    f"Function '{route.function.name}': the route '{route.template.text}' with "
                    f"{', '.join(sorted(shared))} is already taken by '{other.function.name}'.\n"
                    "Give the two different routes or different methods."
                )
        same.append(route)
