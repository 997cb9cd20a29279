"""The manage API through a real gateway, as an operator and as a stranger meets it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Generator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from local.fake_azure import FakeAzure
from shared.operations.registry import operations
from tests.support.stack import ADMIN, Stack, run_manage
from tests.support.tls import NO_TLS

AUDIENCE = "api://tollgate-tests"
APP = "11111111-2222-3333-4444-555555555555"
STRANGER = {"x-forwarded-for": "198.51.100.7:1234"}
"""Wrong credentials of one address do not slow down the others."""
WRONG: dict[str, dict[str, str | bytes]] = {
    "nothing": {},
    "a wrong key": {"authorization": "Bearer not-the-key"},
    "half of the key": {"api-key": ADMIN[:-1]},
    "the key as a function key": {"x-functions-key": ADMIN},
    "the key by Anthropic's header": {"x-api-key": ADMIN},
    "basic": {"authorization": f"Basic {ADMIN}"},
    "letters beyond ASCII": {"api-key": "schlüssel".encode()},
}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, fake_azure: FakeAzure, azurite: Any) -> Generator[Stack]:
    """A gateway that also accepts operators of an Entra tenant."""
    settings: dict[str, Any] = {"ENTRA_TENANTS": fake_azure.state.tenant_id, "ENTRA_AUDIENCES": AUDIENCE}
    with Stack(tmp_path_factory.mktemp("office"), fake_azure, azurite.connection_string, **settings) as running:
        yield running


@pytest.fixture
def admin(office: Stack) -> Generator[httpx.Client]:
    headers = {"authorization": f"Bearer {ADMIN}"}
    with httpx.Client(
        base_url=office.url + "/manage", headers=headers, timeout=30, trust_env=False, verify=NO_TLS
    ) as client:
        yield client


def token(fake: FakeAzure, *roles: str, audience: str = AUDIENCE, lifetime: float = 3600) -> dict[str, str]:
    given = fake.issue_token(audience, lifetime, azp=APP, appid=APP, oid=APP, sub=APP, idtyp="app", roles=list(roles))
    return {"authorization": f"Bearer {given}"}


def error(answer: httpx.Response) -> dict[str, Any]:
    found = answer.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return found


def audit_of(admin: httpx.Client, **query: str) -> list[dict[str, Any]]:
    return admin.get("/audit", params=query).raise_for_status().json()["rows"]


# Who may.


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_credentials_all_get_the_same_answer(office: Stack, kind: str) -> None:
    answer = office.http.get("/manage/keys", headers={**WRONG[kind], **STRANGER})  # type: ignore[arg-type,dict-item]
    first = office.http.get("/manage/keys", headers={"authorization": "Bearer nothing-like-it", **STRANGER})
    assert answer.status_code == first.status_code == 401
    assert answer.content == first.content
    assert error(answer)["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_callers_own_key_is_not_enough(office: Stack) -> None:
    key = office.key("no-operator")
    for headers in (key.bearer, {"api-key": key.text}):
        assert error(office.http.get("/manage/keys", headers=headers))["code"] == "invalid_api_key"


def test_tokens_that_are_no_operators(office: Stack, fake: FakeAzure) -> None:
    refused = [
        token(fake, audience=AUDIENCE),
        token(fake, "Tollgate.Data"),
        token(fake, "tollgate.admin"),
        token(fake, "Tollgate.Admin", audience="api://another"),
        token(fake, "Tollgate.Admin", lifetime=-3600),
    ]
    forged = token(fake, "Tollgate.Admin")["authorization"]
    refused.append({"authorization": forged[:-6] + ("AAAAAA" if not forged.endswith("AAAAAA") else "BBBBBB")})
    for headers in refused:
        answer = office.http.get("/manage/keys", headers={**headers, "x-forwarded-for": "198.51.100.8:1234"})
        assert answer.status_code == 401, answer.text
        assert error(answer)["code"] == "invalid_api_key"


def test_operators_by_key_and_by_role(office: Stack, fake: FakeAzure) -> None:
    good = [
        {"authorization": f"Bearer {ADMIN}"},
        {"authorization": f"bearer {ADMIN}"},
        {"api-key": ADMIN},
        token(fake, "Tollgate.Reader"),
        token(fake, "Tollgate.Data", "Tollgate.Admin"),
    ]
    for headers in good:
        answer = office.http.get("/manage/keys", headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"].startswith("req_")


def test_readers_cannot_write(office: Stack, admin: httpx.Client, fake: FakeAzure) -> None:
    reader, writer = token(fake, "Tollgate.Reader"), token(fake, "Tollgate.Admin")
    answer = office.http.post("/manage/keys", headers=reader, json={"name": "by-a-reader"})
    assert (answer.status_code, error(answer)["code"]) == (403, "read_only_role")
    assert "Tollgate.Admin" in error(answer)["message"]
    assert "by-a-reader" not in admin.get("/keys", params={"limit": 1000}).text
    (row,) = [r for r in audit_of(admin) if r["request_id"] == answer.headers["x-request-id"]]
    assert (row["operation"], row["status"]) == ("keys_create", 403)
    assert row["actor"] == f"entra:{fake.state.tenant_id}/{APP}"
    assert office.http.post("/manage/keys", headers=writer, json={"name": "by-a-writer"}).status_code == 200


# What is sent.


def test_a_key_lives_and_every_change_is_written_down(office: Stack, admin: httpx.Client) -> None:
    made = admin.post("/keys", json={"name": "life-by-api", "models": ["gpt-4o"], "rpm": 60, "budgets": ["month=5"]})
    assert made.status_code == 200, made.text
    told = made.json()
    assert re.fullmatch(r"sk-[\w-]{43}", told["key"])
    bearer = {"authorization": f"Bearer {told['key']}"}
    assert office.http.get("/v1/models", headers=bearer).json()["data"][0]["id"] == "gpt-4o"
    changed = admin.patch(f"/keys/{told['id']}", json={"rpm": None, "tpm": 1000})
    assert (changed.json()["rpm"], changed.json()["tpm"], changed.json()["models"]) == (None, 1000, ["gpt-4o"])
    assert admin.get("/keys/life-by-api").json()["state"] == "active"
    assert admin.post(f"/keys/{told['key']}/revoke").json()["state"] == "revoked"

    rows = [row for row in audit_of(admin, actor="admin-key") if row["target"].get("id") == told["id"]]
    assert [(row["operation"], row["status"]) for row in rows] == [
        ("keys_revoke", 200), ("keys_update", 200), ("keys_create", 200),
    ]  # fmt: skip
    assert rows[-1]["changed"] == {"name": "life-by-api", "models": ["gpt-4o"], "rpm": 60, "budgets": ["month=5"]}
    assert rows[-1]["request_id"] == made.headers["x-request-id"]
    assert rows[1]["changed"] == {"rpm": None, "tpm": 1000}
    assert told["key"] not in json.dumps(rows)


def test_the_command_line_is_written_down_as_well(office: Stack, admin: httpx.Client) -> None:
    key = office.key("by-cli")
    (row,) = [row for row in audit_of(admin, operation="keys_create") if row["changed"].get("name") == "by-cli"]
    assert (row["actor"], row["status"]) == ("cli", 200)
    assert key.id.startswith(row["target"]["id"][:12])


BAD_BODIES: list[tuple[bytes, str, int, str, str | None]] = [
    (b"{", "application/json", 400, "invalid_json", None),
    (b"[1]", "application/json", 400, "invalid_json", None),
    (b'"x"', "application/json", 400, "invalid_json", None),
    (b"{}", "application/json", 400, "invalid_value", "name"),
    (b"", "application/json", 400, "invalid_value", "name"),
    (b'{"name": "x", "rmp": 5}', "application/json", 400, "invalid_value", "rmp"),
    (b'{"name": "x", "rpm": "5"}', "application/json", 400, "invalid_value", "rpm"),
    (b'{"name": "x", "rpm": true}', "application/json", 400, "invalid_value", "rpm"),
    (b'{"name": "x", "rpm": 5.5}', "application/json", 400, "invalid_value", "rpm"),
    (b'{"name": "x", "rpm": 99999999999999999999}', "application/json", 400, "invalid_value", "rpm"),
    (b'{"name": ["x"]}', "application/json", 400, "invalid_value", "name"),
    (b"name=x", "application/x-www-form-urlencoded", 415, "unsupported_media_type", None),
    (b'{"name": "' + b"x" * 70_000 + b'"}', "application/json", 413, "request_too_large", None),
    (b'{"name": "x", "metadata": ' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}", "application/json", 400, "too_deep",
     None),
]  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "status", "code", "param"), BAD_BODIES, ids=lambda v: str(v)[:30])
def test_bodies_that_are_wrong(
    admin: httpx.Client, body: bytes, kind: str, status: int, code: str, param: str | None
) -> None:
    answer = admin.post("/keys", content=body, headers={"content-type": kind})
    assert (answer.status_code, error(answer)["code"], error(answer)["param"]) == (status, code, param)


def test_all_that_is_wrong_is_said_at_once(admin: httpx.Client) -> None:
    answer = admin.post("/keys", json={"rpm": 0, "models": "gpt-4o", "colour": "mauve", "budgets": ["week=5"]})
    message = error(answer)["message"]
    for text in ("name: is required", "rpm: ", "models: ", "colour: is not known here. There are: ", "budgets: "):
        assert text in message
    assert "mauve" not in message


def test_queries_that_are_wrong(admin: httpx.Client) -> None:
    for query, param in (("limit=0", "limit"), ("limit=x", "limit"), ("colour=red", "colour"),
                         ("limit=1&limit=2", "limit"), ("format=xml", "format"), ("from=tomorrow", "from"),
                         ("from=2026-02-01&to=2026-01-01", "from")):  # fmt: skip
        answer = admin.get(f"/audit?{query}")
        assert (answer.status_code, error(answer)["param"]) == (400, param), query
    assert error(admin.get("/keys/nobody-has-this-name?format=csv"))["param"] == "format"
    assert error(admin.post("/keys?name=x", json={"name": "x"}))["param"] == "name"
    assert error(admin.patch("/keys/x", json={"key": "y"}))["param"] == "key"


def test_addresses_that_are_none(admin: httpx.Client, office: Stack) -> None:
    for path in ("", "/", "/colours", "/keys/a/b/c", "/keys/a%2Fb/rotate/x"):
        answer = admin.get(path)
        assert (answer.status_code, error(answer)["code"]) == (404, "unknown_url"), path
        assert "keys, teams" in error(answer)["message"]
    for method, path, allowed in (("DELETE", "/keys", "GET, POST"), ("PUT", "/keys/x", "GET, PATCH"),
                                  ("OPTIONS", "/keys", "GET, POST")):  # fmt: skip
        answer = admin.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed), path
    assert admin.get("/teams/no%2Fteam").status_code == 404
    assert error(admin.get("/teams/no%2Fteam"))["code"] == "team_not_found"
    assert error(office.http.get("/v1/manage/keys", headers={"api-key": ADMIN}))["code"] == "unknown_url"


# Lists.


def test_pages_follow_each_other(office: Stack, admin: httpx.Client) -> None:
    names = [f"page-{number}" for number in range(3)]
    for name in names:
        admin.post("/keys", json={"name": name, "team": "paged"}).raise_for_status()
    seen: list[str] = []
    path = "/manage/keys?team=paged&limit=2"
    for _ in range(2):
        answer = office.http.get(path, headers={"api-key": ADMIN})
        seen += [row["name"] for row in answer.json()["rows"]]
        link = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers.get("link", ""))
        path = link[1] if link else ""
        assert bool(path) == bool(answer.json()["next"])
    assert (seen, path) == (names, "")


def test_pages_of_the_audit_are_complete_and_newest_first(admin: httpx.Client) -> None:
    for number in range(5):
        admin.post("/keys", json={"name": f"audited-{number}"}).raise_for_status()
    rows: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(3):  # of what other tests have done there may be any number of pages
        page = admin.get("/audit", params={"operation": "keys_create", "limit": 2, "cursor": cursor}).json()
        assert len(page["rows"]) <= 2
        rows += page["rows"]
        cursor = page["next"]
    assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
    assert len({row["request_id"] for row in rows}) == len(rows)
    assert [row["changed"]["name"] for row in rows[:5]] == [f"audited-{number}" for number in range(4, -1, -1)]


def test_lists_as_csv(admin: httpx.Client) -> None:
    admin.post("/keys", json={"name": "=1+1", "team": "csv", "models": ["gpt-4o", "gpt-5"], "rpm": 7})
    by_query = admin.get("/keys", params={"team": "csv", "format": "csv"})
    by_header = admin.get("/keys", params={"team": "csv"}, headers={"accept": "text/csv"})
    assert by_query.text == by_header.text
    assert by_query.headers["content-type"] == "text/csv; charset=utf-8"
    assert by_query.headers["content-disposition"] == 'attachment; filename="keys_list.csv"'
    (row,) = csv.DictReader(io.StringIO(by_query.text))
    told = admin.get("/keys", params={"team": "csv"}).json()["rows"][0]
    assert set(row) == set(told)
    assert (row["name"], row["models"], row["rpm"]) == ("'=1+1", "gpt-4o,gpt-5", "7"), "no spreadsheet may run it"
    assert admin.get("/keys", params={"team": "csv"}, headers={"accept": "application/json, text/csv"}).json()


# The document.


def test_the_document_is_valid_and_complete(admin: httpx.Client, office: Stack) -> None:
    assert office.http.get("/manage/openapi.json").status_code == 401
    document = admin.get("/openapi.json").json()
    validate(document)
    assert document["openapi"].startswith("3.1")
    described = {
        (path, method, operation["operationId"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert described == {(f"/manage/{row.path}", row.method.lower(), row.name) for row in operations()}
    create = document["paths"]["/manage/keys"]["post"]
    assert "name" in create["requestBody"]["content"]["application/json"]["schema"]["required"]
    update = document["paths"]["/manage/keys/{key}"]["patch"]
    assert [p["name"] for p in update["parameters"] if p["in"] == "path"] == ["key"]
    assert "key" not in update["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert ADMIN not in json.dumps(document)


# Limits, outages, the switch.


def test_strangers(new_stack: Any) -> None:
    """Wrong credentials are slowed down by their address, and no browser of another origin is told anything."""
    gateway: Stack = new_stack(CORS_ORIGINS="*")
    asked = {"origin": "https://elsewhere.example", "access-control-request-method": "GET", "api-key": ADMIN}
    assert "access-control-allow-origin" in gateway.http.options("/v1/models", headers=asked).headers
    for answer in (gateway.http.options("/manage/keys", headers=asked), gateway.http.get("/manage", headers=asked)):
        assert not [name for name in answer.headers if name.startswith("access-control")]

    here, there = {"x-forwarded-for": "192.0.2.1:5000"}, {"x-forwarded-for": "203.0.113.9, 192.0.2.2:5000"}
    answers = [gateway.http.get("/manage/keys", headers={"api-key": f"guess-{number}", **here}) for number in range(21)]
    assert [answer.status_code for answer in answers] == [401] * 20 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 3
    assert error(answers[-1])["code"] == "rate_limit_exceeded"
    assert gateway.http.get("/manage/keys", headers={"api-key": ADMIN, **here}).status_code == 429, "not looked at"
    assert gateway.http.get("/manage/keys", headers={"api-key": ADMIN, **there}).status_code == 200
    rows = run_manage(gateway.settings, "audit", "list", "--operation", "refused_credentials")
    counts = [row["changed"]["count"] for row in rows]
    assert 16 in counts, "the burst is one row, which grows"


def test_the_switch(new_stack: Any) -> None:
    gateway: Stack = new_stack(MANAGE_API="off")
    for headers in ({"api-key": ADMIN}, {}):
        answer = gateway.http.get("/manage/keys", headers=headers)
        assert (answer.status_code, error(answer)["code"]) == (404, "unknown_url")
    assert run_manage(gateway.settings, "keys", "list", "--limit", "1") is not None


def test_without_any_credential_set_up_nobody_gets_in(new_stack: Any) -> None:
    gateway: Stack = new_stack(without=("ADMIN_KEY",))
    for headers in ({}, {"api-key": ""}, {"authorization": "Bearer"}, {"authorization": "Bearer x"}):
        answer = gateway.http.get("/manage/keys", headers=headers)
        assert (answer.status_code, error(answer)["code"]) == (403, "manage_off")


# Secrets.


def test_no_secret_is_in_any_answer_or_log(office: Stack, admin: httpx.Client) -> None:
    made = admin.post("/keys", json={"name": "secret", "metadata": {"note": "sk-" + "A" * 43}}).json()
    secrets = {made["key"], ADMIN, office.settings["KEY_PEPPER"], "sk-" + "A" * 43}
    admin.post(f"/keys/{made['key']}/revoke")
    admin.get(f"/keys/{made['key']}")
    texts = {"log": office.log()}
    for row in operations():
        if row.method == "GET" and "{" not in row.path:
            texts[row.name] = admin.get(f"/{row.path}").raise_for_status().text
    texts["keys_list"] = texts["keys_list"].replace("sk-" + "A" * 43, "")  # its own metadata, as it was given
    for name, text in texts.items():
        assert not [secret for secret in secrets if secret in text], name
        if name in ("log", "keys_list", "teams_list", "audit_list"):
            assert not re.search(made["id"] + r"[0-9a-f]{52}", text), f"{name} shows a whole digest"
