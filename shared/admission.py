"""What a call asks for and where it may go: its body is read, its ids are opened, its alias and resource are found.

All of it before any upstream is asked. Raises ApiError 4xx; nothing here does I/O but the reading of a form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from shared import errors
from shared.body_checks import check_body, check_form
from shared.call import Call
from shared.catalog import Catalog, Deployment
from shared.chain import keep_chain
from shared.errors import ApiError
from shared.objects import Opener, Registry
from shared.payload import read_json
from shared.principals import Principal
from shared.transform import answers
from shared.transform.forms import parse_field
from shared.transform.owned import is_id_field, open_ids
from shared.types import Json

MODEL_HEADERS = ("x-tollgate-model", "x-litellm-model")
"""Name an alias whose resource shall keep what is made, where the body has no place for it."""
_CURSORS = frozenset({"after", "before"})
MARKS = (b'_id"', b'_ids"', b'Id"', b'_file"', b'_files"', b'"audio"', b'"container"', b'"conversation"', rb"\u")
"""One of these is in the name of every field that holds an id, so that a chat without any need not be walked. An escape
can spell any name. A test compares them with the table of places (transform/owned.py)."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Built once per configuration."""

    catalog: Catalog
    registry: Registry

    async def admit(self, call: Call) -> None:
        principal = call.principal
        assert principal is not None
        opener = Opener(self.registry, principal)
        call.body = await self._body(call, opener)
        target = call.endpoint.target
        if target == "model":
            call.alias = self._alias(call, principal)
            call.stream = _streams(call)
            self._open_body(call, opener)
            call.operation = call.endpoint.path
            call.choices = self._choices(call, opener)
        else:
            call.operation = self._open_path(call, opener)
            self._open_body(call, opener)
            call.query = _query(call, opener)
            call.stream = _streams(call)
            if target != "list":
                call.choices = [self._keeper(call, principal, opener)]
            if target == "resource" and not call.endpoint.name.startswith(_OF_MODELS):
                call.body.pop("model", None)  # it has chosen the resource, which does not know it
        call.opener = opener

    async def _body(self, call: Call, opener: Opener) -> Json:
        request, endpoint = call.request, call.endpoint
        if request.form is not None:
            until = endpoint.required
            if endpoint.target == "model" and "alias" not in request.path_params:
                until = ("session",) if endpoint.body == "sdp" else ("model", *until)
            fields = await request.form.fields_until(*until)
            body: Json = {name: values[-1] for name, values in fields.items()}
            check_form(endpoint, body, request.form)
            for value in [value for name, values in fields.items() if is_id_field(name) for value in values if value]:
                opener(value)  # now, because it binds the call to its resource; replaced when the form is sent
            return body
        if endpoint.body == "none" or (endpoint.target != "model" and not endpoint.required and not request.body):
            return {}
        if endpoint.body == "sdp":
            call.raw_type = _sdp_type(request.headers.get("content-type", ""))
            return {}
        body = read_json(endpoint, request.body, request.headers.get("content-type", ""))
        check_body(endpoint, body)
        return body

    def _alias(self, call: Call, principal: Principal) -> str:
        """The alias that the call names, checked. Raises ApiError."""
        alias = call.request.path_params.get("alias", "") or _named_alias(call)
        alias = alias or self.catalog.default_models.get(call.endpoint.shape, "")
        if call.endpoint.shape == "moderations":
            alias = self._moderator(alias, principal)
        call.alias = alias
        if not alias:
            place = ".".join(call.endpoint.model_at)
            raise errors.bad_request(
                f"Missing required parameter: '{place}'. GET /v1/models lists the models that your key may use.",
                param=place,
                code="missing_required_parameter",
            )
        call.known = bool(self.catalog.of(alias))
        if not call.known:
            raise errors.model_not_found(alias)
        if not principal.may_use(alias):
            raise errors.model_not_allowed(alias)
        return alias

    def _moderator(self, alias: str, principal: Principal) -> str:
        """OpenAI's own names for its moderation models stand for whatever moderates here."""
        if self.catalog.of(alias):
            return alias
        for name, rows in self.catalog.deployments.items():
            if principal.may_use(name) and any("moderations" in d.serves for d in rows):
                return name
        raise ApiError(
            404,
            "Moderations are not served by this gateway: no Azure AI Content Safety resource is configured. Your "
            "platform team can add one (docs/moderations.md).",
            code="moderations_not_configured",
        )

    def _choices(self, call: Call, opener: Opener) -> list[Deployment]:
        """The alias's deployments that can answer this operation, on the resource that the ids bind it to."""
        serving = [d for d in self.catalog.of(call.alias) if answers(call.endpoint, d.serves)]
        if not serving:
            raise errors.bad_request(
                f"The model '{call.alias}' does not serve /{call.endpoint.path}.",
                param="model",
                code="unsupported_operation",
            )
        native = [d for d in serving if call.endpoint.shape in d.serves]
        serving = native or serving
        if not opener.resources:
            return serving
        there = [d for d in serving if d.resource in opener.resources]
        if len(opener.resources) > 1 or not there:
            raise errors.bad_request(
                f"The ids in this request belong to a resource that does not serve the model '{call.alias}', or to "
                "several resources. Use the model that made them, or make them anew.",
                code="objects_elsewhere",
            )
        return there

    def _open_path(self, call: Call, opener: Opener) -> str:
        values = {name: quote(opener(value), safe="") for name, value in call.request.path_params.items()
                  if f"{{{name}}}" in call.endpoint.path}  # fmt: skip
        return call.endpoint.path.format(**values)

    def _open_body(self, call: Call, opener: Opener) -> None:
        shape, given = call.endpoint.shape, call.request.body
        if not call.body or shape in _WITHOUT_IDS or call.request.form is not None:
            return
        if shape in _TALK:
            if any(mark in given for mark in MARKS):
                call.body = open_ids(call.body, opener, talk=True)
        elif shape == "responses" and isinstance(call.body.get("input"), list):
            call.body = keep_chain(call.body, opener, self.catalog, call.alias)
        else:
            call.body = open_ids(call.body, opener)

    def _keeper(self, call: Call, principal: Principal, opener: Opener) -> Deployment:
        """The deployment by whose credential the resource is asked."""
        if len(opener.resources) > 1:
            raise errors.bad_request(
                "The objects in this request are kept by different resources and cannot be used together. Make them "
                "anew in one place.",
                code="objects_elsewhere",
            )
        if opener.resources:
            return self.registry.keepers[opener.resources[0]]
        if call.endpoint.target == "id":  # of a translated answer, which nothing keeps
            raise errors.no_such_object()
        alias = _resource_alias(call)
        if alias:
            if not self.catalog.of(alias):
                raise errors.model_not_found(alias)
            if not principal.may_use(alias):
                raise errors.model_not_allowed(alias)
            for deployment in self.catalog.of(alias):
                if deployment.resource in self.registry.keepers:
                    return self.registry.keepers[deployment.resource]
            raise errors.bad_request(
                f"The resource of the model '{alias}' keeps no such objects. Name another model, or none.",
                param="model",
                code="no_resource",
            )
        return self._default(principal)

    def _default(self, principal: Principal) -> Deployment:
        """The resource for what nothing binds: the configured one, else the first that the key may use."""
        if name := self.catalog.rules.default_resource:
            return self.registry.keepers[name]
        for alias, rows in self.catalog.deployments.items():
            for deployment in rows:
                if principal.may_use(alias) and deployment.resource in self.registry.keepers:
                    return self.registry.keepers[deployment.resource]
        raise errors.bad_request(
            "No resource that your key may use keeps such objects. GET /v1/models lists your models; your platform "
            "team can add others.",
            code="no_resource",
        )

    def names_on(self, resource: str, principal: Principal) -> dict[str, str]:
        """-> alias -> deployment name, of those on a resource that the caller may use."""
        return {
            alias: deployment.name
            for alias, rows in self.catalog.deployments.items()
            for deployment in rows
            if deployment.resource == resource and principal.may_use(alias)
        }


_WITHOUT_IDS = frozenset({"embeddings", "speech", "moderations"})
"""Shapes whose JSON holds no ids of stored objects."""
_TALK = frozenset({"chat", "messages", "count", "completions"})
"""Shapes in which few ids can stand; completions of a chat model pass what they do not know to its own dialect."""
_OF_MODELS = "fine_tuning"
"""Operations whose `model` is a model of Azure's, not an alias."""


def _named_alias(call: Call) -> str:
    """Where the body, the form or the query of an SDP offer names the model."""
    value: Any = call.body
    for step in call.endpoint.model_at:
        value = value.get(step) if isinstance(value, dict) else None
    if call.endpoint.body == "sdp":
        session = call.body.get("session")
        value = parse_field(session, "session").get("model") if isinstance(session, str) else None
        value = value or dict(call.request.query).get("model")
    if value is not None and not isinstance(value, str):
        place = ".".join(call.endpoint.model_at)
        raise errors.bad_request(f"Invalid type for '{place}': expected a string.", param=place, code="invalid_type")
    return value or ""


def _resource_alias(call: Call) -> str:
    """An alias by which a client chooses the resource, for operations whose body has no place for one."""
    headers: Mapping[str, str] = call.request.headers
    named = next((headers[name] for name in MODEL_HEADERS if headers.get(name)), "")
    if named or call.endpoint.name.startswith(_OF_MODELS):
        return named
    value = call.body.get("model") or dict(call.request.query).get("model")
    return value if isinstance(value, str) else ""


def _sdp_type(content_type: str) -> str:
    """Raises ApiError 415."""
    if content_type.partition(";")[0].strip().lower() != "application/sdp":
        raise errors.bad_request(
            f"Content-Type {content_type[:60]!r} is not served here. Send the offer as 'application/sdp' with ?model=, "
            "or a form with the fields 'sdp' and 'session'.",
            status=415,
            code="unsupported_media_type",
        )
    return "application/sdp"


def _streams(call: Call) -> bool:
    endpoint, body = call.endpoint, call.body
    if not endpoint.streams:
        return False
    if endpoint.shape == "speech":
        return body.get("stream_format") == "sse"
    if endpoint.method == "GET":
        return dict(call.request.query).get("stream", "").lower() == "true"
    stream = body.get("stream")
    return stream is True or (call.request.form is not None and str(stream).lower() == "true")


def _query(call: Call, opener: Opener) -> str:
    """What is passed on of the query; cursors hold ids."""
    allowed = call.endpoint.query
    if not allowed or not call.request.query or call.endpoint.target == "list":
        return ""
    pairs = [(k, opener(v) if k in _CURSORS and v else v) for k, v in call.request.query if k in allowed]
    return urlencode(pairs)
