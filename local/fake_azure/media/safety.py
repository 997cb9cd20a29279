"""Azure AI Content Safety: severities decided by the words of a text, or by the bytes of an image.

Pure. Owns the magic words (one of a category: 4; twice: 6) and Content Safety's own form of error.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from ..chat.shape import Json
from ..errors import ApiError

CATEGORIES = ("Hate", "SelfHarm", "Sexual", "Violence")
LONGEST_TEXT = 10_000  # characters (Unicode code points); documented limit of 2024-09-01
LARGEST_IMAGE = 4 * 2**20
_WORDS = {
    "Hate": re.compile(r"hate|racis", re.IGNORECASE),
    "SelfHarm": re.compile(r"suicid|self-?harm", re.IGNORECASE),
    "Sexual": re.compile(r"sex|porn", re.IGNORECASE),
    "Violence": re.compile(r"violen|kill", re.IGNORECASE),
}


def refusal(code: str, message: str, status: int = 400) -> ApiError:
    return ApiError(status, {"error": {"code": code, "message": message, "details": []}})


def analyze_text(body: Mapping[str, Any]) -> Json:
    text = body.get("text")
    if not isinstance(text, str) or not text:
        raise refusal("InvalidRequestBody", "The text field is required.")
    if len(text) > LONGEST_TEXT:
        message = f"The length of the text should not be greater than {LONGEST_TEXT}."
        raise refusal("InvalidRequestBody", message)
    kinds = ("FourSeverityLevels", "EightSeverityLevels")
    analysis = _analysis(body, text, kinds, odd=body.get("outputType") == "EightSeverityLevels")
    return {"blocklistsMatch": [], "categoriesAnalysis": analysis}


def analyze_image(body: Mapping[str, Any]) -> Json:
    """The bytes are read as text: an image that has "violence" in it is violent."""
    image = body.get("image")
    content = image.get("content") if isinstance(image, dict) else None
    if not isinstance(content, str):
        raise refusal("InvalidRequestBody", "The image field is required.")
    try:
        file = base64.b64decode(content, validate=True)
    except binascii.Error:
        raise refusal("InvalidRequestBody", "The image is not valid base64.") from None
    if len(file) > LARGEST_IMAGE:
        raise refusal("InvalidImageSize", "The image size is larger than 4 MB.")
    return {"categoriesAnalysis": _analysis(body, file.decode("latin-1"), ("FourSeverityLevels",))}


def _analysis(body: Mapping[str, Any], text: str, kinds: tuple[str, ...], *, odd: bool = False) -> list[Json]:
    wanted = body.get("categories") or CATEGORIES
    if not isinstance(wanted, list | tuple) or any(category not in CATEGORIES for category in wanted):
        raise refusal("InvalidRequestBody", f"The categories field is invalid. Supported: {', '.join(CATEGORIES)}.")
    if body.get("outputType", kinds[0]) not in kinds:
        raise refusal("InvalidRequestBody", f"The outputType field is invalid. Supported: {', '.join(kinds)}.")
    return [{"category": category, "severity": _severity(category, text, odd)} for category in wanted]


def _severity(category: str, text: str, odd: bool) -> int:
    found = len(_WORDS[category].findall(text))
    severity = 0 if not found else 4 if found == 1 else 6
    return severity + (odd and severity > 0)
