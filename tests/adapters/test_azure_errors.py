"""What Azure's refusals become in the operator's log."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError

from shared.adapters.azure_errors import Service, told, unavailable

REFUSED = "This request is not authorized to perform this operation.\nRequestId:1"


def refusal(status: int, code: str = "", body: str = "", message: str = REFUSED) -> HttpResponseError:
    answer = SimpleNamespace(status_code=status, reason="Forbidden", text=lambda: body, headers={})
    error: Any = HttpResponseError(message=message, response=answer)  # pyright: ignore[reportArgumentType]
    if code:
        error.error_code = code
    return error


ROLES: list[tuple[Service, str]] = [
    ("table", "Storage Table Data Contributor"), ("blob", "Storage Blob Data Owner"),
    ("queue", "Storage Queue Data Contributor"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "role"), ROLES)
def test_a_role_that_is_missing_is_named(service: Service, role: str) -> None:
    text = told(refusal(403, "AuthorizationPermissionMismatch"), service)
    assert f"lacks the role {role} on the storage account" in text
    assert text.endswith("[AuthorizationPermissionMismatch]")
    assert str(unavailable(refusal(403, "AuthorizationPermissionMismatch"), service)) == text


VAULT = [
    ("ForbiddenByRbac", "lacks the role Key Vault Secrets User on the key vault"),
    ("ForbiddenByFirewall", "the firewall of the key vault does not let the app in"),
    ("ForbiddenByConnection", "the key vault takes private connections alone"),
]


@pytest.mark.parametrize(("code", "said"), VAULT)
def test_the_vaults_inner_code_tells_a_role_from_a_network(code: str, said: str) -> None:
    body = '{"error":{"code":"Forbidden","message":"Caller is not authorized","innererror":{"code":"%s"}}}'
    assert said in told(refusal(403, body=body % code), "vault")


OTHERS = [
    (refusal(403, "AuthorizationFailure"), "network rules"),
    (refusal(403, "KeyBasedAuthenticationNotPermitted"), "AzureWebJobsStorage__blobServiceUri"),
    (refusal(401, "InvalidAuthenticationInfo"), "the identity's tenant"),
    (refusal(403, message="ErrorCode:AuthorizationFailure\nmore"), "network rules"),
    (refusal(403, "SomethingNew"), "This request is not authorized to perform this operation."),
    (refusal(500, "AuthorizationPermissionMismatch", message="broken\nRequestId:1"), "broken"),
    (ServiceRequestError("Cannot connect\nmore"), "Cannot connect"),
]


@pytest.mark.parametrize(("error", "said"), OTHERS, ids=range(len(OTHERS)))
def test_other_refusals_say_what_to_do_or_what_azure_said(error: Exception, said: str) -> None:
    text = told(error, "table")
    assert said in text
    assert "\n" not in text
    assert "RequestId" not in text


def test_a_body_that_cannot_be_read() -> None:
    error = refusal(403, "AuthorizationFailure")
    error.response = SimpleNamespace(text=None)  # pyright: ignore[reportAttributeAccessIssue]
    assert "network rules" in told(error, "blob")
