"""The door of Azure Resource Manager: whose tokens it takes, and how its errors look, whoever answers behind it."""

from typing import Any

from aiohttp import web

from ..errors import ApiError
from ..tokens import TokenIssuer, TokenRefused

AUDIENCE = "https://management.azure.com"


def authorise(request: web.Request, tokens: TokenIssuer) -> None:
    """Raises ApiError 401."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise TokenRefused("missing")
        tokens.verify(token, {AUDIENCE})
    except TokenRefused as refused:
        text = f"The access token is invalid: {refused}."
        raise ApiError(401, error_body("InvalidAuthenticationToken", text)) from refused


def error_body(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
