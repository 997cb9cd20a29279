"""The host's parts on their own: routes, schedules, settings, keys, limits, connections."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.host.contract import Function, HostError
from local.host.keys import Keys
from local.host.reload import watched
from local.host.route_table import RouteTable
from local.host.settings import read_settings, seconds, setting
from local.host.triggers.bindings import expand
from local.host.triggers.blob import pattern_of
from local.host.triggers.schedule import Schedule
from local.host.triggers.storage import DEVELOPMENT, connection_string, service_uri

GET = ("GET",)


def http(name: str, route: str, methods: tuple[str, ...] = ()) -> Function:
    return Function(
        name, name, True, [{"type": "httpTrigger", "name": "req", "route": route, "methods": list(methods)}]
    )


def winner(table: RouteTable, path: str, method: str = "GET") -> str | None:
    found = table.find(method, path)
    return found[0].function.name if found else None


def test_the_first_route_by_function_name_wins() -> None:
    table = RouteTable([http("b_list", "models/list"), http("a_any", "{*path}")], "api")
    assert winner(table, "/api/models/list") == "a_any"
    table = RouteTable([http("Z_any", "{*path}"), http("b_list", "models/list")], "api")
    assert winner(table, "/api/models/list") == "b_list"
    assert winner(table, "/API/Models/List/") == "b_list"
    assert winner(table, "/models/list") is None


def test_route_templates() -> None:
    def match(route: str, path: str) -> dict[str, str] | None:
        found = RouteTable([http("f", route)], "").find("GET", path)
        return found[1] if found else None

    assert match("x/{id}:{verb}", "/x/7:cancel") == {"id": "7", "verb": "cancel"}
    assert match("x/{a=1}", "/x") == {"a": "1"}
    assert match("x/{a?}", "/x/") == {}
    assert match("x/{*rest}", "/x/a/b%2Fc") == {"rest": "a/b%2Fc"}
    assert match("x/{b:bool}", "/x/TRUE") == {"b": "TRUE"}
    assert match("x/{b:range(1,5)}", "/x/6") is None
    assert match("x/{b:length(2,3)}", "/x/abc") == {"b": "abc"}
    assert match("x/{b:regex(^a.c$)}", "/x/abc") == {"b": "abc"}
    assert match("x/{g:guid}", "/x/not-one") is None
    assert match("x", "/x/y") is None


@pytest.mark.parametrize("route", ["admin/keys", "Administrators", "runtime/x"])
def test_reserved_routes(route: str) -> None:
    with pytest.raises(HostError, match=r"'f'.*conflicts with the host's"):
        RouteTable([http("f", route)], "")


def test_conflicting_routes() -> None:
    with pytest.raises(HostError, match=r"'g'.*with GET is already taken by 'f'"):
        RouteTable([http("f", "x/{a}", ("GET", "PUT")), http("g", "X/{a}", ("GET", "POST"))], "")
    RouteTable([http("f", "x", ("GET",)), http("g", "x", ("POST",))], "")
    with pytest.raises(HostError, match="every method"):
        RouteTable([http("f", "x"), http("g", "x")], "")
    with pytest.raises(HostError, match="unknown constraint 'nope'"):
        RouteTable([http("f", "x/{a:nope}")], "")


SEGMENTS = st.sampled_from(
    [
        "a",
        "b",
        "A",
        "models",
        "1",
        "{x}",
        "{y:int}",
        "{z:alpha}",
        "{w?}",
        "{*rest}",
        "a{v}",
        "k",
        "s",
        "é",
        "\u212a",
        "\u017f",
    ]
)
PATHS = st.lists(
    st.sampled_from(
        ["a", "b", "A", "Models", "models", "1", "77", "k", "K", "s", "é", "É", "", "%2F", "%61", "ab", "%20"]
    ),
    max_size=5,
)


def tables() -> st.SearchStrategy[RouteTable]:
    def build(rows: list[tuple[list[str], str, tuple[str, ...]]]) -> RouteTable:
        made: list[Function] = []
        for i, (parts, name, methods) in enumerate(rows):
            kept: list[str] = []
            for part in parts:
                parameter = part.partition("{")[1] and part[part.index("{") :].strip("{}*?").split(":")[0]
                if parameter and any(f"{{{parameter}" in k or f"{{*{parameter}" in k for k in kept):
                    continue  # a name may occur once
                kept.append(part)
                if "*" in part or "?" in part:
                    break  # only the last may be optional
            made.append(http(f"{name}{i}", "/".join(kept) or "root", methods))
        unique = {str(f.trigger["route"]).lower(): f for f in made}
        return RouteTable(unique.values(), "")

    methods = st.sampled_from([(), ("GET",), ("POST",), ("GET", "POST")])
    row = st.tuples(st.lists(SEGMENTS, max_size=4), st.sampled_from("abzAZ"), methods)
    return st.lists(row, min_size=1, max_size=12).map(build)


@settings(max_examples=300, deadline=None)
@given(tables(), st.lists(PATHS, min_size=1, max_size=8), st.sampled_from(["GET", "POST", "PUT"]))
def test_the_index_agrees_with_the_scan(table: RouteTable, paths: list[list[str]], method: str) -> None:
    spelled = [route.template.text for route in table.routes]
    for text in ["/" + "/".join(p) for p in paths] + [f"/{t}" for t in spelled] + [f"/{t.upper()}/" for t in spelled]:
        assert table.find(method, text) == table.scan(method, text), text


def test_schedules() -> None:
    at = datetime(2026, 2, 27, 23, 59, 59, tzinfo=UTC)  # a Friday

    def due(text: str) -> str:
        return Schedule(text).next(at).strftime("%m-%d %H:%M:%S")

    assert due("0 */5 * * * *") == "02-28 00:00:00"
    assert due("0 30 9 * * 1-5") == "03-02 09:30:00"
    assert due("0 0 0 1 JAN *") == "01-01 00:00:00"
    assert due("*/5 * * * *") == "02-28 00:00:00"
    assert due("0 0 0 29 2 *") == "02-29 00:00:00"
    assert due("0 0 0 * * SUN") == "03-01 00:00:00"
    assert due("0 0 0 * * 7") == "03-01 00:00:00"
    assert due("0 0 0 * * Mon-Fri") == "03-02 00:00:00"
    assert due("00:00:10") == "02-28 00:00:09"
    for wrong in ("* * *", "61 * * * * *", "0 0 0 * * nobody", "*/0 * * * * *", "00:00:00", "soon"):
        with pytest.raises(ValueError, match=r".+"):
            Schedule(wrong)
    with pytest.raises(ValueError, match="never comes due"):
        Schedule("0 0 0 31 2 *").next(at)


def test_time_spans() -> None:
    assert seconds("1.02:03:04") == 93784
    assert seconds("00:00:00.5") == 0.5


def app_with(folder: Path, **files: Any) -> str:
    for name, value in files.items():
        (folder / f"{name.replace('_', '.')}.json").write_text(json.dumps(value))
    return str(folder)


def test_the_environment_wins_over_local_settings(tmp_path: Path) -> None:
    local = {
        "IsEncrypted": False,
        "Values": {"A": "file", "B": "file", "N": 7},
        "Host": {"LocalHttpPort": 7090, "CORS": "*"},
    }
    environ = {"A": "environment", "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "10"}
    read = read_settings(app_with(tmp_path, local_settings=local, host={"functionTimeout": "-1"}), environ)
    assert (environ["A"], environ["B"], environ["N"]) == ("environment", "file", "7")
    assert (read.local_port, read.local_cors, read.body_limit) == (7090, "*", 10)
    assert read.function_timeout is None
    assert read.route_prefix == "api"


def test_settings_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="IsEncrypted"):
        read_settings(app_with(tmp_path, local_settings={"IsEncrypted": True}), {})
    (tmp_path / "local.settings.json").write_text("{")
    with pytest.raises(HostError, match=r"local\.settings\.json is not JSON"):
        read_settings(str(tmp_path), {})
    with pytest.raises(HostError, match="is not a time span"):
        read_settings(app_with(tmp_path, local_settings={}, host={"functionTimeout": "ten minutes"}), {})
    with pytest.raises(HostError, match="app setting NOPE"):
        setting("%NOPE%", {})


def test_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUNCHOST_MASTER_KEY", raising=False)
    keys = Keys(tmp_path / "made.json", True)
    assert keys.level("", "f") == 0
    assert not keys.path.exists()  # nobody has shown a key, nobody needs one
    assert keys.level("guess", "f") == 0
    stored = json.loads(keys.path.read_text())
    assert keys.path.stat().st_mode & 0o777 == 0o600
    assert keys.level(stored["masterKey"], None) == 2
    stored["functions"] = {"f": {"mine": "only f's"}}
    keys.path.write_text(json.dumps(stored))
    again = Keys(keys.path, True)
    assert (again.level("only f's", "f"), again.level("only f's", "g")) == (1, 0)
    monkeypatch.setenv("FUNCHOST_MASTER_KEY", "injected")
    injected = Keys(tmp_path / "none.json", True)
    assert (injected.level("injected", None), injected.level("ünïcode", None)) == (2, 0)
    assert not injected.path.exists()


def test_storage_connections() -> None:
    assert (
        connection_string("AzureWebJobsStorage", {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}) == DEVELOPMENT
    )
    assert connection_string("Jobs", {"AzureWebJobsJobs": "x=y"}) == "x=y"
    assert connection_string("Jobs", {}) is None
    assert service_uri("S", "queue", {"S__queueServiceUri": "https://q"}) == "https://q"
    assert service_uri("S", "blob", {"S__accountName": "acc"}) == "https://acc.blob.core.windows.net"


def test_binding_expressions() -> None:
    assert expand("in/{name}.txt", {"name": "a"}) == "in/a.txt"
    assert len(expand("{rand-guid}", {})) == 36
    with pytest.raises(HostError, match=r"\{name\}"):
        expand("in/{name}", {})
    found = pattern_of("{name}.{ext}").fullmatch("a.b.txt")
    assert found is not None
    assert found.groupdict() == {"name": "a.b", "ext": "txt"}


def test_what_reload_watches(tmp_path: Path) -> None:
    for name in ("function_app.py", "host.json", "data.json", "config.yaml", ".venv/x.py", "tests/t.py", "shared/a.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    found = {str(Path(p).relative_to(tmp_path)) for p, _ in watched(tmp_path)}
    assert found == {"function_app.py", "host.json", "config.yaml", "shared/a.py"}
