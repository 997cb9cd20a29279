"""Two configurations beside each other, entry by entry and setting by setting, as they are written.

Owns what may be shown: references are, secrets never, and of what is not known only numbers. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.config import BASE_NAMES, ENV_PREFIX, SECRET_FIELDS, VAULT_PREFIX, ModelInfo, Options, Params, Sold
from shared.document import Document
from shared.transform.terms import is_rate

Kind = Literal["new", "gone", "changed"]
SIGNS: Mapping[Kind, str] = {"new": "+", "gone": "-", "changed": "~"}
NOT_SET = "not set"
_HIDDEN = "(not shown)"
_EVERYWHERE = frozenset({*Sold.model_fields, "base_model", "family", "capabilities", "tpm", "rpm", "weight", "order"})
"""What means the same in the parameters, in model_info, or beside them."""
_SHOWN = (frozenset({*Params.model_fields, *ModelInfo.model_fields}) - SECRET_FIELDS) - {"extra_body"}
_SHOWN_SETTINGS = frozenset(Options.model_fields) - {"batch_webhook_secrets"}
_UNORDERED = frozenset({"tags", "regions", "additional_drop_params", "allowed_openai_params"})
"""Lists of which the order means nothing."""
_SECTIONS = ("litellm_settings", "router_settings", "general_settings", "environment_variables")
_SPELT: Mapping[str, str] = {**{name: "api_base" for name in BASE_NAMES}, "region_name": "region"}


@dataclass(frozen=True, slots=True)
class Change:
    field: str
    was: str
    now: str

    def __str__(self) -> str:
        if self.was == self.now:
            return f"{self.field}: changed {_HIDDEN}"
        return f"{self.field}: {self.was} → {self.now}"


@dataclass(frozen=True, slots=True)
class Difference:
    kind: Kind
    what: str
    """The alias, or the section of the settings."""
    where: str = ""
    """The deployment."""
    changes: tuple[Change, ...] = ()
    why: str = ""

    def line(self) -> str:
        said = "; ".join(map(str, self.changes)) or self.why
        place = f" {self.where}" if self.where else ""
        return f"{SIGNS[self.kind]} {self.what}{place}{f': {said}' if said else ''}"


@dataclass(frozen=True, slots=True)
class _Written:
    alias: str
    fields: Mapping[str, Any]

    @property
    def where(self) -> str:
        base = _bare(str(self.fields.get("api_base") or ""))
        return f"{self.fields.get('model', '?')}{f' at {base}' if base else ''}"


def differences(was: Document, now: Document) -> list[Difference]:
    found: list[Difference] = []
    old, new = _entries(was), _entries(now)
    for before, after in _pairs(old, new):
        if before is None or after is None:
            one = after or before
            assert one is not None
            found.append(Difference("gone" if after is None else "new", one.alias, one.where))
        elif changes := _changes(before.fields, after.fields, _shown):
            found.append(Difference("changed", after.alias, after.where, changes))
    for section in _SECTIONS:
        if changes := _changes(_section(was, section), _section(now, section), _shown_setting):
            found.append(Difference("changed", section, changes=changes))
    return found


def _entries(document: Document) -> list[_Written]:
    rows = document.at(("model_list",))
    return [_written(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _written(row: Mapping[str, Any]) -> _Written:
    """One level of fields, each under one name, wherever it stands and however it is spelt."""
    fields: dict[str, Any] = {}
    for name, value in (row.get("model_info") or {}).items():
        name = _SPELT.get(name, name)
        fields[name if name in _EVERYWHERE or is_rate(name) else f"model_info.{name}"] = value
    fields |= {name: value for name, value in row.items() if name in _EVERYWHERE}
    given = row.get("litellm_params") or row.get("params") or {}
    fields |= {_SPELT.get(name, name): value for name, value in given.items()}
    if isinstance(fields.get("api_base"), str):
        fields["api_base"] = fields["api_base"].rstrip("/")
    return _Written(str(row.get("model_name")), fields)


def _pairs(old: list[_Written], new: list[_Written]) -> Iterable[tuple[_Written | None, _Written | None]]:
    """The same deployment of the same alias; of what is left over, the same alias and deployment at another address."""
    left = list(old)
    matched: dict[int, _Written] = {}
    for same in (("api_base", "model"), ("model",)):
        for place, entry in enumerate(new):
            if place not in matched and (twin := next((o for o in left if _alike(o, entry, same)), None)):
                matched[place] = twin
                left = [one for one in left if one is not twin]
    yield from ((matched.get(place), entry) for place, entry in enumerate(new))
    yield from ((entry, None) for entry in left)


def _alike(one: _Written, other: _Written, fields: Iterable[str]) -> bool:
    return one.alias == other.alias and all(
        _bare(str(one.fields.get(name))) == _bare(str(other.fields.get(name))) for name in fields
    )


def _bare(text: str) -> str:
    """An address without what may be more than an address."""
    return re.sub(r"//[^/@]*@", "//", text.partition("?")[0]).rstrip("/")


def _section(document: Document, name: str) -> Mapping[str, Any]:
    found = document.at((name,))
    if found is None and name == "litellm_settings":
        found = document.at(("settings",))
    return found if isinstance(found, dict) else {}


def _changes(was: Mapping[str, Any], now: Mapping[str, Any], show: Any) -> tuple[Change, ...]:
    found: list[Change] = []
    for name in dict.fromkeys([*now, *was]):
        before, after = was.get(name), now.get(name)
        if before != after and not (name in _UNORDERED and _as_set(before) == _as_set(after)):
            found.append(Change(name, *(_text(name, value, show) for value in (before, after))))
    return tuple(found)


def _as_set(value: Any) -> Any:
    """Nothing is the same as none of them."""
    return set(map(str, value)) if isinstance(value, list) else set() if value is None else value


def _text(name: str, value: Any, show: Any) -> str:
    if value is None:
        return NOT_SET
    if isinstance(value, str) and value.startswith((ENV_PREFIX, VAULT_PREFIX)):
        return value
    if not show(name, value):
        return _HIDDEN
    if isinstance(value, str):
        return _bare(value) if name == "api_base" else value
    return json.dumps(value, ensure_ascii=False)


def _shown(name: str, value: Any) -> bool:
    own = name.removeprefix("model_info.")
    return own in _SHOWN or is_rate(own) or _number(name, value)


def _shown_setting(name: str, value: Any) -> bool:
    return name in _SHOWN_SETTINGS or "fallbacks" in name or name.endswith(("_policy", "_alias")) or (
        name in ("routing_strategy", "regions") or _number(name, value)
    )  # fmt: skip


def _number(name: str, value: Any) -> bool:
    """A number is no secret, unless it is called one."""
    secret = any(word in name.lower() for word in ("password", "secret", "key"))
    return isinstance(value, int | float | bool) and not secret
