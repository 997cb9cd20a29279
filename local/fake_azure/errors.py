"""The errors that Azure answers with, in Azure's and OpenAI's own words.

Raised anywhere below a listener as `ApiError` and turned into an answer in one place. Knows no request.
The wordings were taken from recordings and from users' reports; they are data, tests compare some byte for byte.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

_VERSION = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{3,4}|\d\.\d)$")
UNTYPED = web.ResponseKey("untyped", bool)  # set on a response that must leave without a Content-Type


class ApiError(Exception):
    def __init__(
        self,
        status: int,
        body: Mapping[str, Any] | bytes,
        headers: Mapping[str, str] | None = None,
        content_type: str | None = "application/json",
    ) -> None:
        super().__init__(status)
        self.status = status
        self.body = body if isinstance(body, bytes) else orjson.dumps(body)
        self.headers = dict(headers or {})
        self.content_type = content_type

    def response(self) -> web.Response:
        response = web.Response(status=self.status, body=self.body, headers=self.headers)
        if self.content_type is None:
            response[UNTYPED] = True
            response.enable_chunked_encoding()
        else:
            response.headers["Content-Type"] = self.content_type
        return response


def azure(status: int, code: str, message: str) -> ApiError:
    return ApiError(status, {"error": {"code": code, "message": message}})


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return ApiError(400, {"error": error})


def resource_not_found() -> ApiError:
    return azure(404, "404", "Resource not found")


def deployment_not_found() -> ApiError:
    body = (
        b'{\n  "error": {\n    "type": "invalid_request_error",\n    "code": "DeploymentNotFound",\n'
        b'    "message": "The API deployment for this resource does not exist. If you created the deployment within '
        b'the last 5 minutes, please wait a moment and try again."\n  }\n}'
    )
    return ApiError(404, body, content_type=None)


def operation_not_supported(operation: str, model: str) -> ApiError:
    """A model of another sort. In the words that users of Azure report (2023-06 to 2025-12), without the version."""
    message = (
        f"The {operation} operation does not work with the specified model, {_VERSION.sub('', model)}. Please choose "
        "different model and try again. You can learn more about which models can be used with each operation here: "
        "https://go.microsoft.com/fwlink/?linkid=2197993."
    )
    return azure(400, "OperationNotSupported", message)


def partner_model_not_found(model: str) -> ApiError:
    if not model:
        message = (
            "No model specified in request. Please provide a model name in the request body "
            "or as a x-ms-model-mesh-model-name header."
        )
        return ApiError(400, {"error": {"code": "no_model_name", "message": message, "details": message}})
    message = f"Unknown model: {model}"
    return ApiError(404, {"error": {"code": "unknown_model", "message": message, "details": message}})


def openai_model_not_found(model: str) -> ApiError:
    error = {
        "message": f"The model `{model}` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }
    return ApiError(404, {"error": error})


def openai_wrong_key() -> ApiError:
    message = "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
    return ApiError(401, {"error": error})


def wrong_key() -> ApiError:
    return azure(
        401,
        "401",
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
        "active subscription and use a correct regional API endpoint for your resource.",
    )


def bad_token() -> ApiError:
    return azure(
        401,
        "401",
        "Unauthorized. Access token is missing, invalid, audience is incorrect (https://cognitiveservices.azure.com), "
        "or have expired.",
    )


def no_role() -> ApiError:
    """As Azure answers a good token of an identity that has no role: not with 403."""
    message = (
        "The principal `00000000-0000-0000-0000-000000000000` lacks the required data action "
        "`Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action` to perform "
        "`POST /openai/deployments/{deployment-id}/chat/completions` operation."
    )
    return azure(401, "PermissionDenied", message)


def prompt_filtered() -> ApiError:
    safe: dict[str, Any] = {"filtered": False, "severity": "safe"}
    verdict = {
        "hate": safe,
        "jailbreak": {"detected": True, "filtered": True},
        "self_harm": safe,
        "sexual": safe,
        "violence": safe,
    }
    error = {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. "
        "Please modify your prompt and retry. To learn more about our content filtering policies please read our "
        "documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": verdict},
    }
    return ApiError(400, {"error": error})


def insufficient_quota() -> ApiError:
    """OpenAI's words, which Azure repeats: waiting does not help."""
    message = (
        "You exceeded your current quota, please check your plan and billing details. For more information on this "
        "error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
    )
    error = {"message": message, "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}
    return ApiError(429, {"error": error})


def context_length_exceeded() -> ApiError:
    message = (
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 131072 tokens. "
        "Please reduce the length of the messages."
    )
    return invalid(message, "messages", "context_length_exceeded")


def partner_rate_limited(model: str) -> ApiError:
    message = f"Your requests to {model} for {model} in westeurope have exceeded rate limit."
    headers = {"Retry-After": "1", "Retry-After-Ms": "0", "X-Ms-Region": "West Europe"}
    body = {"error": {"code": "RateLimitReached", "message": message, "details": message}}
    return ApiError(429, body, headers, "application/json; charset=utf-8")


def bad_gateway_page() -> ApiError:
    page = (
        b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>"
        b"\r\n<hr><center>Microsoft-Azure-Application-Gateway/v2</center>\r\n<!-- upstream "
        b"oai-frontend-07.eastus2.internal.cloudapp.net:8443 (10.41.7.12) refused -->\r\n</body>\r\n</html>\r\n"
    )
    return ApiError(502, page, content_type="text/html")


SERVER_ERROR = {
    "error": {
        "message": "The server had an error processing your request. Sorry about that! You can retry your request, or "
        "contact us through an Azure support request at: https://go.microsoft.com/fwlink/?linkid=2213926 if you keep "
        "seeing this error.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
}


def of_status(status: int) -> ApiError:
    """The usual wording of a status, for a fault that gives no body of its own."""
    match status:
        case 401:
            return wrong_key()
        case 404:
            return deployment_not_found()
        case 500:
            return ApiError(500, SERVER_ERROR)
        case _:
            code, message = _WORDINGS.get(status, (str(status), "The request failed."))
            return azure(status, code, message)


_WORDINGS = {
    403: ("403", "Access denied due to Virtual Network/Firewall rules."),
    408: ("Timeout", "The operation was timeout."),
    409: ("Conflict", "The requested operation conflicts with another operation that is in progress. Please retry."),
    429: (
        "429",
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded "
        "token rate limit of your current OpenAI S0 pricing tier. Please retry after 6 seconds. Please go here: "
        "https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit.",
    ),
    502: ("BadGateway", "The upstream service returned an invalid response."),
    503: (
        "InternalServerError",
        "The service is temporarily unable to process your request. Please try again later.",
    ),
    504: ("GatewayTimeout", "The gateway did not receive a response within the specified time period."),
}
