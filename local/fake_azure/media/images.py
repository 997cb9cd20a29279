"""Image generation and editing: what dall-e-3 and gpt-image take, what they cost, and what their answers look like.

Pure: pictures are functions of the prompt and its place. Serving the files that urls point at is `images_part.py`.
"""

import base64
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ..chat.shape import Json
from ..chat.tokenizer import split
from ..errors import invalid
from .pictures import is_image, picture
from .wording import bad_value, choice, flag, integer, missing, refuse_prompt, text, unknown

# OpenAI's table of output tokens for gpt-image-1, by quality and size (image generation guide, 2026-08).
_OUTPUT_TOKENS = {
    "low": {"1024x1024": 272, "1024x1536": 408, "1536x1024": 400},
    "medium": {"1024x1024": 1_056, "1024x1536": 1_584, "1536x1024": 1_568},
    "high": {"1024x1024": 4_160, "1024x1536": 6_240, "1536x1024": 6_208},
}
_PARTIAL_TOKENS = 100
_INPUT_IMAGE_TOKENS = {"low": 194, "high": 4_353}
_MOST_IMAGES = 10
_MOST_INPUTS = 16
_SAFE: Json = {"filtered": False, "severity": "safe"}
_VERDICT: Json = {"hate": _SAFE, "self_harm": _SAFE, "sexual": _SAFE, "violence": _SAFE}
_PROMPT_VERDICT: Json = {**_VERDICT, "profanity": {"detected": False, "filtered": False}}

_COMMON = frozenset("model prompt n size quality user safety_identifier".split())
_DALLE = _COMMON | {"style", "response_format"}
_GPT = _COMMON | set("background output_format output_compression moderation stream partial_images".split())
_EDIT = (_GPT - {"moderation"}) | {"input_fidelity"}


def picture_id(prompt: str, place: int) -> str:
    """Names a picture: the bytes behind the name are `picture(name)`."""
    return hashlib.sha256(f"{place} {prompt}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass
class Dalle:
    """DALL-E: pictures by url or inline, with Azure's verdicts inside `data` (not on plain OpenAI)."""

    body: Mapping[str, Any]
    version: str
    origin: str  # scheme and host of the resource
    filters: bool = True

    def __post_init__(self) -> None:
        body, newest = self.body, self.version.startswith("dall-e-3")
        _refuse_unknown(body, _DALLE)
        self.prompt = text(body, "prompt")
        self.n = integer(body, "n", 1, 1, _MOST_IMAGES)
        if newest and self.n != 1:
            raise invalid("You must provide n=1 for this model.", code="invalid_parameter")
        small, large = ("256x256", "512x512", "1024x1024"), ("1024x1024", "1792x1024", "1024x1792")
        choice(body, "size", "1024x1024", large if newest else small)
        choice(body, "quality", "standard", ("standard", "hd") if newest else ("standard",))
        choice(body, "style", "vivid", ("vivid", "natural"))
        self.by_url = choice(body, "response_format", "url", ("url", "b64_json")) == "url"
        if len(self.prompt) > 4_000:
            raise invalid("Prompt must be at most 4000 characters.", "prompt", "string_above_max_length")
        refuse_prompt(self.prompt)

    def whole(self) -> bytes:
        return orjson.dumps({"created": int(time.time()), "data": [self._row(place) for place in range(self.n)]})

    def _row(self, place: int) -> Json:
        name = picture_id(self.prompt, place)
        row: Json = {}
        if self.filters:
            row = {"content_filter_results": _VERDICT, "prompt_filter_results": _PROMPT_VERDICT}
        if self.version.startswith("dall-e-3"):
            row["revised_prompt"] = f"A {self.body.get('style') or 'vivid'} picture of: {self.prompt}"
        if self.by_url:
            return {**row, "url": url_of(self.origin, name)}
        return {**row, "b64_json": base64.b64encode(picture(name)).decode()}


def url_of(origin: str, name: str) -> str:
    """A link with a signature in the query, as Azure's blob links have: fetched without any key."""
    return (
        f"{origin}/private/images/{name}/generated_00.png?se=2099-01-01T00%3A00%3A00Z&sp=r&sv=2023-11-03&sig={name[:8]}"
    )


@dataclass
class GptImage:
    """gpt-image: inline pictures with token usage, at once or as events. `inputs` makes it an edit."""

    body: Mapping[str, Any]
    inputs: Sequence[bytes] = ()
    mask: bytes | None = None
    edit: bool = False
    with_usage: bool = True

    def __post_init__(self) -> None:
        body = self.body
        _refuse_unknown(body, _EDIT if self.edit else _GPT)
        self.prompt = text(body, "prompt")
        self.n = integer(body, "n", 1, 1, _MOST_IMAGES)
        self.size = choice(body, "size", "auto", ("1024x1024", "1024x1536", "1536x1024", "auto"))
        self.quality = choice(body, "quality", "auto", ("low", "medium", "high", "auto"))
        self.background = choice(body, "background", "auto", ("transparent", "opaque", "auto"))
        self.format = choice(body, "output_format", "png", ("png", "jpeg", "webp"))
        self.fidelity = choice(body, "input_fidelity", "low", ("low", "high"))
        self.partial = integer(body, "partial_images", 0, 0, 3)
        self.stream = flag(body, "stream")
        choice(body, "moderation", "auto", ("auto", "low"))
        integer(body, "output_compression", 100, 0, 100)
        self._refuse_combinations()
        if self.edit:
            self._refuse_inputs()
        refuse_prompt(self.prompt)

    def _refuse_combinations(self) -> None:
        if len(self.prompt) > 32_000:
            raise invalid("Prompt must be at most 32000 characters.", "prompt", "string_above_max_length")
        if self.partial and not self.stream:
            raise invalid("The 'partial_images' parameter is only allowed when 'stream' is true.", "partial_images")
        if self.stream and self.n > 1:
            raise invalid("Streaming is only supported with n=1.", "n")
        if self.background == "transparent" and self.format == "jpeg":
            raise bad_value("output_format", "jpeg", ("png", "webp"))

    def _refuse_inputs(self) -> None:
        if not self.inputs:
            raise invalid("Missing required parameter: 'image'.", "image", "missing_required_parameter")
        if len(self.inputs) > _MOST_INPUTS:
            raise invalid(f"Too many images. The max number of images is {_MOST_INPUTS}.", "image")
        for name, file in (*(("image", file) for file in self.inputs), ("mask", self.mask)):
            if file is not None and not is_image(file):
                message = f"Invalid file '{name}': unsupported mimetype ('application/octet-stream'). "
                supported = "Supported file formats are 'image/jpeg', 'image/png', and 'image/webp'."
                raise invalid(message + supported, name, "unsupported_file_mimetype")

    def whole(self) -> bytes:
        rows = [{"b64_json": self._picture(place)} for place in range(self.n)]
        body = {"created": int(time.time()), "background": self._background, "data": rows}
        return orjson.dumps({**body, **self._dress, **({"usage": self._usage()} if self.with_usage else {})})

    def events(self) -> Iterator[bytes]:
        kind = "image_edit" if self.edit else "image_generation"
        for place in range(self.partial):
            yield self._event(f"{kind}.partial_image", f"partial {place}", {"partial_image_index": place})
        usage = self._usage()
        del usage["output_tokens_details"]
        yield self._event(f"{kind}.completed", 0, {"usage": usage} if self.with_usage else {})

    def _event(self, kind: str, place: int | str, extra: Json) -> bytes:
        body = {"type": kind, "b64_json": self._picture(place), "created_at": int(time.time()), **self._dress}
        said = orjson.dumps({**body, "background": self._background, **extra})
        return b"event: " + kind.encode() + b"\ndata: " + said + b"\n\n"

    def _picture(self, place: int | str) -> str:
        seed = f"{place} {self.prompt}" + "".join(hashlib.sha256(file).hexdigest() for file in self.inputs)
        return base64.b64encode(picture(seed, self.format)).decode()

    @property
    def _background(self) -> str:
        return "opaque" if self.background == "auto" else self.background

    @property
    def _dress(self) -> Json:
        """What "auto" became is what the answer says."""
        size = "1024x1024" if self.size == "auto" else self.size
        quality = "high" if self.quality == "auto" else self.quality
        return {"output_format": self.format, "quality": quality, "size": size}

    def _usage(self) -> Json:
        dress = self._dress
        read = len(split(self.prompt))
        seen = _INPUT_IMAGE_TOKENS[self.fidelity] * (len(self.inputs) + (self.mask is not None))
        made = _OUTPUT_TOKENS[dress["quality"]][dress["size"]] * self.n + _PARTIAL_TOKENS * self.partial
        return {
            "input_tokens": read + seen,
            "input_tokens_details": {"image_tokens": seen, "text_tokens": read},
            "output_tokens": made,
            "output_tokens_details": {"image_tokens": made, "text_tokens": 0},
            "total_tokens": read + seen + made,
        }


def edit_of_json(body: Mapping[str, Any], *, with_usage: bool) -> GptImage:
    """An edit whose images are named in JSON. Only data URLs are understood: nothing is fetched."""
    rest = {name: value for name, value in body.items() if name not in ("images", "mask")}
    given = body.get("images")
    if not isinstance(given, list) or not given:
        raise missing("images")
    inputs = [_from_url(row, f"images[{place}]") for place, row in enumerate(given)]
    mask = None if body.get("mask") is None else _from_url(body["mask"], "mask")
    return GptImage(rest, inputs, mask, edit=True, with_usage=with_usage)


def _from_url(row: Any, name: str) -> bytes:
    url = row.get("image_url") if isinstance(row, dict) else None
    head, comma, data = str(url or "").partition(";base64,")
    if not comma or not head.startswith("data:image/"):
        raise bad_value(f"{name}.image_url", str(url)[:40], ("a data URL",))
    return base64.b64decode(data)


def _refuse_unknown(body: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in body:
        if name not in known:
            raise unknown(name)
