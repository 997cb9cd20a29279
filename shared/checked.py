"""Classes whose fields are checked when they are filled: what pydantic's models are, of which pydantic-core does the
checking, without pydantic itself, whose import and model building cost a cold start 90 ms of CPU (docs/adr/0015).

Owns how a class's fields become a schema of pydantic-core. Errors are pydantic-core's ValidationError. Knows no field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic_core import SchemaValidator

type Kind = Mapping[str, Any]
"""What a value has to be: a schema of pydantic-core."""


class Field(NamedTuple):
    kind: Kind
    names: tuple[str, ...]
    """What the field is called in what is checked, the first one found; none: as in the class."""


def needed(kind: Kind, *names: str) -> Any:
    return Field(kind, names)


def optional(kind: Kind, *names: str) -> Any:
    """None when it is not given; null may be given, too."""
    return Field({"type": "default", "default": None, "schema": {"type": "nullable", "schema": kind}}, names)


def usually(default: Any, kind: Kind, *names: str) -> Any:
    """default: a value, or a class that makes one."""
    given = {"default_factory": default} if isinstance(default, type) else {"default": default}
    return Field({"type": "default", "schema": kind, **given}, names)


def text(**bounds: Any) -> Kind:
    return {"type": "str", **bounds}


def whole(**bounds: int) -> Kind:
    return {"type": "int", **bounds}


def number(**bounds: float) -> Kind:
    return {"type": "float", **bounds}


def flag() -> Kind:
    return {"type": "bool"}


def anything() -> Kind:
    return {"type": "any"}


def one_of(*values: str) -> Kind:
    return {"type": "literal", "expected": list(values)}


def instance(cls: type) -> Kind:
    return {"type": "is-instance", "cls": cls}


def several(kind: Kind, **bounds: int) -> Kind:
    return {"type": "list", "items_schema": kind, **bounds}


def mapping(values: Kind) -> Kind:
    return {"type": "dict", "keys_schema": text(), "values_schema": values}


def nullable(kind: Kind) -> Kind:
    return {"type": "nullable", "schema": kind}


def either(*kinds: Kind) -> Kind:
    return {"type": "union", "choices": list(kinds)}


def after(change: Callable[[Any], Any], kind: Kind) -> Kind:
    """Checked is what `change` makes of the value."""
    return {"type": "function-before", "function": {"type": "no-info", "function": change}, "schema": kind}


class Checked:
    """A class of checked fields. `extra`: what becomes of fields that it does not name; those allowed are in
    `model_extra`. `numbers_as_text`: a text may be given as a number. Methods are called as pydantic calls them."""

    __slots__ = ("__dict__", "__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")
    model_fields: ClassVar[Mapping[str, Field]] = {}
    kind: ClassVar[Kind]
    __pydantic_extra__: dict[str, Any] | None

    def __init_subclass__(
        cls, extra: Literal["ignore", "allow", "forbid"] = "ignore", numbers_as_text: bool = False
    ) -> None:
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Field)}
        for name in own:
            delattr(cls, name)
        cls.model_fields = {**cls.model_fields, **own}
        config: dict[str, Any] = {"title": cls.__name__, "extra_fields_behavior": extra}
        if numbers_as_text:
            config["coerce_numbers_to_str"] = True
        fields = {name: _field(field) for name, field in cls.model_fields.items()}
        inner = {"type": "model-fields", "model_name": cls.__name__, "fields": fields}
        cls.kind = {"type": "model", "cls": cls, "config": config, "schema": inner}

    def __init__(self, **given: Any) -> None:
        """Raises ValidationError."""
        _validator(type(self)).validate_python(given, self_instance=self)

    @classmethod
    def model_validate(cls, given: object) -> Self:
        """Raises ValidationError."""
        return _validator(cls).validate_python(given)

    @property
    def model_extra(self) -> dict[str, Any] | None:
        return self.__pydantic_extra__

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]:
        found = {**vars(self), **(self.model_extra or {})}
        return {
            name: value.model_dump(exclude_none=exclude_none) if isinstance(value, Checked) else value
            for name, value in found.items()
            if value is not None or not exclude_none
        }


def _validator(cls: type[Checked]) -> SchemaValidator:
    """Made when it is first needed: what stands in another class needs none of its own."""
    made: SchemaValidator | None = vars(cls).get("_made")
    if made is None:
        made = SchemaValidator(cls.kind)  # pyright: ignore[reportArgumentType]  # core schemas are typed one by one
        cls._made = made  # pyright: ignore[reportAttributeAccessIssue]
    return made


def _field(field: Field) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "model-field", "schema": field.kind}
    if field.names:
        made["validation_alias"] = [[name] for name in field.names]
    return made
