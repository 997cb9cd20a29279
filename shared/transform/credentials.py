"""The one rule by which an entry's credential is chosen, the same for every operation (docs/credentials.md).

Order: api_key · azure_ad_token · tenant_id + client_id + client_secret · client_id + azure_username + azure_password ·
federated token file · the same from AZURE_API_KEY and AZURE_AD_TOKEN · managed identity and the rest of
DefaultAzureCredential. The entry's own settings come before any environment variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from shared.config import Params
from shared.errors import BadSetting
from shared.transform.surfaces import Place
from shared.types import Credential, Secret

DEFAULT_SCOPE = "https://cognitiveservices.azure.com/.default"
SOVEREIGN = {
    # host ending -> (authority, scope); Azure "Sovereign clouds" page, 2026
    ".us": ("login.microsoftonline.us", "https://cognitiveservices.azure.us/.default"),
    ".cn": ("login.chinacloudapi.cn", "https://cognitiveservices.azure.cn/.default"),
}


def credential_of(params: Params, place: Place, environ: Mapping[str, str], refresh: bool) -> Credential:
    """Raises BadSetting when a credential is given in part, or of a kind that is not served."""
    if key := _given(params.api_key):
        return Credential("api_key", key)
    if not place.surface.entra:
        return _plain_key(environ)
    authority, scope = _cloud(params, place, environ)
    own = _own_credential(params, authority, scope, environ)
    if own:
        return own
    if not (refresh or params.client_id):  # both ask for DefaultAzureCredential, the latter with that identity
        if environ.get("AZURE_API_KEY"):
            return Credential("api_key", Secret(environ["AZURE_API_KEY"]))
        if environ.get("AZURE_AD_TOKEN"):
            return _token(Secret(environ["AZURE_AD_TOKEN"]), params, authority, scope, environ)
    return Credential("default", client_id=params.client_id or "", authority=authority, scope=scope)


def _own_credential(params: Params, authority: str, scope: str, environ: Mapping[str, str]) -> Credential | None:
    tenant, client = params.tenant_id or "", params.client_id or ""
    if token := _given(params.azure_ad_token):
        return _token(token, params, authority, scope, environ)
    if secret := _given(params.client_secret):
        _need("client_secret", tenant_id=tenant, client_id=client)
        return Credential("client_secret", secret, tenant, client, authority=authority, scope=scope)
    if password := _given(params.azure_password):
        _need("azure_password", client_id=client, azure_username=params.azure_username)
        tenant = tenant or "organizations"
        username = params.azure_username or ""
        return Credential("password", password, tenant, client, username, authority=authority, scope=scope)
    if file := params.azure_federated_token_file:
        return _federated(file, "azure_federated_token_file", params, authority, scope, environ)
    if params.tenant_id and params.client_id is None:
        _need("tenant_id", client_id=client, client_secret="")
    if params.azure_username:
        _need("azure_username", azure_password="")
    return None


def _token(token: Secret, params: Params, authority: str, scope: str, environ: Mapping[str, str]) -> Credential:
    """A literal token, or `oidc/SOURCE/NAME`: an assertion that is exchanged for one."""
    found = re.match(r"oidc/([^/]+)/?(.*)", token.reveal())
    if not found:
        return Credential("static_token", token, scope=scope)
    source, name = found.groups()
    if source == "azure":
        file = environ.get("AZURE_FEDERATED_TOKEN_FILE", "")
    elif source == "env_path":
        file = environ.get(name, "")
    elif source == "file":
        file = "/" + name.lstrip("/")
    elif source == "env":
        file = f"env:{name}" if environ.get(name) else ""
    else:
        remedy = "write oidc/azure/, oidc/file/PATH, oidc/env/NAME or oidc/env_path/NAME"
        raise BadSetting("azure_ad_token", f"the oidc source {source!r} is not served", remedy)
    if not file:
        raise BadSetting("azure_ad_token", f"oidc/{source} names no assertion", "set the environment variable it reads")
    return _federated(file, "azure_ad_token", params, authority, scope, environ)


def _federated(
    file: str, field: str, params: Params, authority: str, scope: str, environ: Mapping[str, str]
) -> Credential:
    tenant = params.tenant_id or environ.get("AZURE_TENANT_ID", "")
    client = params.client_id or environ.get("AZURE_CLIENT_ID", "")
    _need(field, tenant_id=tenant, client_id=client)
    return Credential(
        "federated", tenant_id=tenant, client_id=client, token_file=file, authority=authority, scope=scope
    )


def _plain_key(environ: Mapping[str, str]) -> Credential:
    if environ.get("OPENAI_API_KEY"):
        return Credential("api_key", Secret(environ["OPENAI_API_KEY"]))
    raise BadSetting("api_key", "there is no api_key", "add 'api_key: os.environ/OPENAI_API_KEY' or set OPENAI_API_KEY")


def _cloud(params: Params, place: Place, environ: Mapping[str, str]) -> tuple[str, str]:
    """-> (authority, scope): as configured, else from the environment, else by the resource's domain."""
    authority, scope = SOVEREIGN.get(place.host[-3:], ("", DEFAULT_SCOPE))
    return (
        params.azure_authority_host or environ.get("AZURE_AUTHORITY_HOST") or authority,
        params.azure_scope or environ.get("AZURE_SCOPE") or scope,
    )


def _given(secret: Secret | None) -> Secret | None:
    return secret if secret and (secret.reveal() or secret.vault_name) else None


def _need(field: str, **needed: str | None) -> None:
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise BadSetting(field, f"{field} needs {' and '.join(missing)} beside it", f"add {', '.join(missing)}")
