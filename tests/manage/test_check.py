"""What `config check` shows of routing, without an app around it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.manage.cli import run
from tests.unit.given import AT

type Check = Callable[..., str]

MODELS = f"""\
model_list:
- {{model_name: gpt, params: {{model: azure/gpt-4o, {AT}, ptu: {{units: 5}}, region: swedencentral}}}}
- {{model_name: gpt, params: {{model: azure/gpt-4o-2, {AT}, rpm: 60, tags: [free, default], region: swedencentral}}}}
- {{model_name: mini, params: {{model: azure/mini, {AT}, region: westeurope}}}}
"""
ROUTING = """\
router_settings:
  routing_strategy: usage-based-routing-v2
  redis_host: h
  fallbacks: [{gpt: [mini]}, {"*": [gpt]}]
  context_window_fallbacks: [{mini: [gpt]}]
  content_policy_fallbacks: [{gpt: [mini]}]
  regions: [eu]
"""
HEAD = "MODEL   FAMILY    SURFACE  CREDENTIAL  ORDER  URL"
ROW = "ordinary  v1       api_key         {}  https://res.openai.azure.com/openai/v1/chat/completions"


@pytest.fixture
def checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    def check(text: str, *options: str) -> str:
        file = tmp_path / "config.yaml"
        file.write_text(text, "utf-8")
        assert run(("config", "check", str(file), *options), {}) == 0
        return capsys.readouterr().out

    return check


def test_orders_and_routing_are_shown(checked: Check) -> None:
    assert checked(MODELS + ROUTING).splitlines() == [
        HEAD,
        f"gpt#1   {ROW.format(0)}",
        f"gpt#2   {ROW.format(1)}",
        f"mini#1  {ROW.format(1)}",
        "routing: least-used, 2 retries, cooldown 5 s",
        "regions: eu",
        "fallbacks: gpt → mini",
        "fallbacks: * → gpt",
        "when its context is too long: mini → gpt",
        "when its content filter refuses: gpt → mini",
        "warning: line 7: redis_host has no effect here: instances share what they know through Table Storage",
        "ok: 2 models on 3 deployments",
    ]


def test_without_settings_one_line_is_enough(checked: Check) -> None:
    off = MODELS + "router_settings: {disable_cooldowns: true, num_retries: 0}\n"
    assert checked(MODELS).splitlines()[4:-1] == ["routing: simple-shuffle, 2 retries, cooldown 5 s"]
    assert checked(off).splitlines()[4:-1] == ["routing: simple-shuffle, 0 retries, no cooldowns"]


def test_programs_get_all_of_it(checked: Check) -> None:
    found = json.loads(checked(MODELS + ROUTING, "--json"))
    assert (found["routing"]["strategy"], found["routing"]["regions"]) == ("least-used", ["eu"])
    assert found["routing"]["fallbacks"] == {"gpt": ["mini"]}
    second = found["deployments"][1]
    assert (second["order"], second["weight"], second["rpm"], second["tpm"]) == (1, None, 60, None)
    assert second["tags"] == ["default", "free"]
    assert len(found["warnings"]) == 1


def test_what_is_doubtful_about_batches_is_told(checked: Check) -> None:
    batch = "model_info: {mode: batch}"
    found = checked(f"""\
model_list:
- {{model_name: sold, params: {{model: azure/a, {AT}}}, {batch}}}
- {{model_name: mixed, params: {{model: azure/b, {AT}}}}}
- {{model_name: mixed, params: {{model: azure/c, {AT}}}, {batch}}}
- {{model_name: lost, params: {{model: azure_ai/d, api_base: 'https://d.eastus.models.ai.azure.com', api_key: k}}, {batch}}}
""")
    told = [line for line in found.splitlines() if line.startswith("warning: ")]
    assert [line.split()[1] for line in told] == ["mixed", "lost#1"]
    assert "1 of 2 deployments for batches" in told[0]
    assert "takes no files" in told[1]
