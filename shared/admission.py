"""What a call asks for and where it may go: its body is read, its ids are opened, its alias and resource are found.

All of it before any upstream is asked. Raises ApiError 4xx; nothing here does I/O but the reading of a form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from shared import errors
from shared.body_checks import check_body, check_form
from shared.call import Call
from shared.catalog import Catalog
from shared.chain import keep_chain
from shared.choices import OF_MODELS, Choices
from shared.deferral import is_deferred
from shared.errors import ApiError, BadSetting
from shared.ids import looks_sealed
from shared.objects import HERE, Opener, Registry
from shared.payload import read_json
from shared.principals import Principal
from shared.prompt_key import prompt_key
from shared.tagging import with_tags
from shared.transform.forms import parse_field
from shared.transform.owned import is_id_field, open_ids
from shared.transform.terms import place_of
from shared.types import Json
from shared.wishes import lists_in_form, take_wishes

_CURSORS = frozenset({"after", "before"})
MARKS = (b'_id"', b'_ids"', b'Id"', b'_file"', b'_files"', b'"audio"', b'"container"', b'"conversation"', rb"\u")
"""One of these is in the name of every field that holds an id, so that a chat without any need not be walked. An escape
can spell any name. A test compares them with the table of places (transform/owned.py)."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Built once per configuration."""

    catalog: Catalog
    registry: Registry
    choices: Choices
    keeps: bool = False
    """Whether the gateway keeps files and batches itself; a program of its own (shared/client) does not."""

    async def admit(self, call: Call) -> None:
        principal = call.principal
        assert principal is not None
        opener = call.opener = Opener(self.registry, principal)
        call.body = await self._body(call, opener)
        target = call.endpoint.target
        if target == "model":
            call.alias = self._alias(call, principal)
            call.stream = _streams(call)
            self._wishes(call, principal)
            self._open_body(call, opener)
            call.operation = call.endpoint.path
            call.here = call.deferred = self.keeps and is_deferred(call)
            if not call.deferred:
                self._choose(call, opener.resources)
        else:
            call.operation = self._open_path(call, opener)
            self._open_body(call, opener)
            call.query = _query(call, opener)
            call.stream = _streams(call)
            call.here = self._is_kept_here(call, opener)
            if target != "list" and not call.here:
                call.choices = self.choices.keeper(call, principal, opener)
            if target == "resource" and not call.endpoint.name.startswith(OF_MODELS):
                call.body.pop("model", None)  # it has chosen the resource, which does not know it

    def _is_kept_here(self, call: Call, opener: Opener) -> bool:
        """Whether the gateway keeps what the call is about. Raises ApiError."""
        endpoint = call.endpoint
        if endpoint.shape == "batches":
            if not self.keeps:
                raise errors.bad_request("Batches need a gateway: a program of its own runs none.", code="no_batches")
            ours = any(looks_sealed(public_id) for _, public_id in opener.opened)
            if endpoint.name == "batches_create" and ours and opener.resources != [HERE]:
                raise errors.bad_request(
                    "This file was uploaded with another purpose. Upload it again with the purpose 'batch'.",
                    param="input_file_id",
                    code="wrong_purpose",
                )
            if opener.opened and opener.resources != [HERE]:
                raise errors.no_such_object()
            return endpoint.target != "list"
        if not self.keeps or endpoint.target == "list":
            return False
        if endpoint.name in ("files_create", "uploads_create"):
            return call.body.get("purpose") == "batch"
        return endpoint.name.startswith(("files_", "uploads_")) and opener.resources == [HERE]

    def _choose(self, call: Call, resources: Sequence[str]) -> None:
        """Which deployments may answer, and which may stand in. Raises ApiError."""
        try:
            call.choices = self.choices.of_alias(call.endpoint, call.alias, resources)
        except ApiError as error:
            if error.code != "objects_elsewhere":
                raise
            call.served_alias, call.choices = self.choices.elsewhere(call, resources)
            if not call.choices:
                raise
        call.spares = self.choices.spares(call, resources)

    def _wishes(self, call: Call, principal: Principal) -> None:
        """What the client says of routing. Raises ApiError 400 for what is none of it, 403 and 404 as for a model."""
        wishes = call.wishes = take_wishes(call.body, call.request.headers, stream=call.stream)
        for alias in wishes.fallbacks:
            if not self.catalog.of(alias):
                raise errors.model_not_found(alias, "fallbacks")
            if not principal.may_use(alias):
                raise errors.model_not_allowed(alias, "fallbacks")
        if wishes.region:
            call.wishes = replace(wishes, region=_place(wishes.region))
        call.tags = with_tags(call.tags, wishes.tags)

    def cache_key(self, call: Call) -> str:
        """What a prompt cache would know the call by; empty where routing does not ask for it."""
        return prompt_key(call.body) if self.catalog.router.strategy == "prompt-cache" else ""

    async def _body(self, call: Call, opener: Opener) -> Json:
        request, endpoint = call.request, call.endpoint
        if request.form is not None:
            until = endpoint.required
            if endpoint.target == "model" and "alias" not in request.path_params:
                until = ("session",) if endpoint.body == "sdp" else ("model", *until)
            fields = await request.form.fields_until(*until)
            body: Json = {name: values[-1] for name, values in fields.items()}
            if endpoint.target == "model":
                body |= lists_in_form(fields)
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


_WITHOUT_IDS = frozenset({"embeddings", "speech", "moderations"})
"""Shapes whose JSON holds no ids of stored objects."""
_TALK = frozenset({"chat", "messages", "count", "completions"})
"""Shapes in which few ids can stand; completions of a chat model pass what they do not know to its own dialect."""


def _place(given: str) -> str:
    """The region or data zone, as the configuration has them."""
    try:
        region, zone = place_of(given)
    except BadSetting as error:
        raise errors.bad_request(
            f"The header x-tollgate-region is not understood: {error}. Write a region of Azure, or 'eu' or 'us'.",
            code="invalid_type",
        ) from error
    return region or zone


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
