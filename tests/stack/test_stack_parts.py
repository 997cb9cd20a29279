"""The parts of the stack runner that need no running stack: records, processes, ports, settings, the fake's config."""

import os
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.stack import ports, processes, record, report, settings
from local.stack.fake_config import config_text
from local.stack.layout import TOOLS, Layout, layout_from
from local.stack.lock import hold

RESOURCES: dict[str, dict[str, Any]] = {
    name: {"url": f"http://127.0.0.1:{port}", "key": f"key-{name}"}
    for name, port in {"main": 4001, "foundry": 4002, "openai": 4003, "second": 4004}.items()
}
FAKE = {
    "vault_url": "https://localhost:1",
    "authority_url": "https://localhost:1",
    "tenant_id": "tenant",
    "managed_client_id": "managed",
    "identity_endpoint": "http://127.0.0.1:2/msi/token",
    "identity_header": "header",
    "ca_file": "/ca.pem",
    "prices_url": "http://127.0.0.1:3/api/retail/prices",
    "management_url": "http://127.0.0.1:3",
}
PORTS = {"blob": 1, "queue": 2, "table": 3}


@pytest.fixture
def sleeper() -> Generator[subprocess.Popen[bytes]]:
    """A process in a group of its own, as the stack starts them."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as process:
        yield process
        process.kill()


# -- who is who


def test_a_process_is_known_by_its_number_and_its_start(sleeper: subprocess.Popen[bytes]) -> None:
    born = processes.birth(sleeper.pid)
    assert born
    assert processes.is_alive(sleeper.pid, born)
    assert not processes.is_alive(sleeper.pid, f"{born}0")
    sleeper.kill()
    assert processes.wait_until([(sleeper.pid, born)], seconds=5)
    assert processes.birth(sleeper.pid) is None


def test_a_reused_number_is_never_ended(sleeper: subprocess.Popen[bytes]) -> None:
    processes.end_strangers([(sleeper.pid, "somebody else's start")], grace=0.2)
    assert sleeper.poll() is None
    processes.end_strangers([(sleeper.pid, processes.birth(sleeper.pid))], grace=2)
    assert sleeper.wait(5) != 0


@pytest.mark.skipif(os.name == "nt", reason="process groups and SIGTERM")
def test_ending_a_child_ends_its_own_children_and_forces_the_deaf(tmp_path: Path) -> None:
    program = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    log = tmp_path / "part.log"
    child = processes.spawn("deaf", [sys.executable, "-c", program], log, tmp_path, os.environ)
    while not log.read_text().endswith("\n"):
        assert child.exit_code is None
    grandchild = int(log.read_text())
    born = processes.birth(grandchild)
    assert born
    assert processes.end_children([child], grace=0.2) == ["deaf"]
    assert processes.wait_until([(grandchild, born)], seconds=5)


def test_the_previous_log_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    for text in ("first", "second"):
        program = [sys.executable, "-c", f"print({text!r})"]
        processes.spawn("part", program, log, tmp_path, os.environ).process.wait()
    assert processes.last_lines(log) == "    second"
    assert processes.last_lines(tmp_path / "part.previous.log") == "    first"


# -- stack.json


def test_the_record_is_private_and_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    fresh = record.load(path)
    assert fresh.admin_key.startswith("sk-admin-")
    fresh.run = record.Run(options={"port": None}, parts={"supervisor": record.part(os.getpid())}, ready=True)
    record.save(path, fresh)
    assert record.load(path) == fresh
    assert record.load(path).running == fresh.run
    assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": null, "other": 1}', '{"run": {"parts": 1}}'])
def test_a_broken_record_is_replaced_by_a_new_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "stack.json"
    path.write_text(text)
    assert record.load(path).run is None


def test_a_record_of_a_dead_supervisor_is_not_a_running_stack(tmp_path: Path) -> None:
    dead = record.Part(pid=os.getpid(), born="another process had this number")
    known = record.load(tmp_path / "none")
    known.run = record.Run(options={}, parts={"supervisor": dead, "host": record.part(os.getpid())}, ready=True)
    assert known.running is None
    assert report.status_json(Layout(tmp_path), known)["running"] is False
    assert "1 of its processes were left behind" in report.status_text(Layout(tmp_path), known)


def test_one_state_directory_has_one_supervisor(tmp_path: Path) -> None:
    lock = tmp_path / "stack.lock"
    with hold(lock) as first, hold(lock) as second:
        assert (first, second) == (True, False)
    with hold(lock) as again:
        assert again


# -- ports


def test_a_taken_port_is_refused_when_asked_for_and_else_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with pytest.raises(ports.PortTakenError, match=f"Port {taken} is taken"):
            ports.gateway_port(taken)
        assert ports.gateway_port(None, usual=taken) > taken
        assert taken not in ports.free_ports(3, [taken, taken + 1, taken + 2])
        assert ports.answers(taken)
    assert not ports.answers(taken)


def test_preferred_ports_are_kept_while_they_are_free() -> None:
    chosen = ports.free_ports(3, [])
    assert len(set(chosen)) == 3
    assert ports.free_ports(3, chosen) == chosen


# -- settings


def secrets_of(tmp_path: Path) -> record.Record:
    return record.load(tmp_path / "none")


def test_with_the_fake_every_azure_sdk_is_led_to_it(tmp_path: Path) -> None:
    storage = settings.storage_connection(PORTS)
    made = settings.app_settings(secrets_of(tmp_path), storage, tmp_path / "config.yaml", FAKE)
    assert "BlobEndpoint=http://127.0.0.1:1/devstoreaccount1;" in made["AzureWebJobsStorage"]
    assert made["CONFIG_SOURCE"] == str(tmp_path / "config.yaml")
    assert made["TRUSTED_HOSTS"] == "127.0.0.1,localhost"
    assert made["SSL_CERT_FILE"] == made["REQUESTS_CA_BUNDLE"] == "/ca.pem"
    assert made["AZURE_CLIENT_ID"] == "managed"
    assert (made["PRICES_URL"], made["RESOURCE_MANAGER_URL"]) == (FAKE["prices_url"], FAKE["management_url"])
    assert made["EVENTS"] == "queue:tollgate-events"


def test_with_the_fake_nothing_of_a_real_azure_stays_in_the_environment() -> None:
    base = {"AZURE_CLIENT_SECRET": "real", "MSI_ENDPOINT": "real", "PATH": "/bin", "NO_PROXY": "example.com"}
    made = settings.app_environment(base, {"AZURE_CLIENT_ID": "managed"}, faked=True)
    assert "AZURE_CLIENT_SECRET" not in made
    assert "MSI_ENDPOINT" not in made
    assert (made["PATH"], made["AZURE_CLIENT_ID"]) == ("/bin", "managed")
    assert made["NO_PROXY"] == made["no_proxy"] == "example.com,127.0.0.1,localhost"


def test_with_a_config_of_ones_own_the_environment_passes_and_nothing_is_faked(tmp_path: Path) -> None:
    made = settings.app_settings(secrets_of(tmp_path), "storage", tmp_path / "mine.yaml", {})
    assert made.keys() == {
        "FUNCTIONS_WORKER_RUNTIME",
        "AzureWebJobsStorage",
        "CONFIG_SOURCE",
        "KEY_PEPPER",
        "ADMIN_KEY",
    }
    kept = settings.app_environment({"AZURE_CLIENT_SECRET": "real"}, made, faked=False)
    assert kept["AZURE_CLIENT_SECRET"] == "real"


def test_local_settings_of_the_user_are_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "local.settings.json"
    for own in ('{"Values": {"A": "1"}}', "not json", "[]"):
        path.write_text(own)
        assert not settings.write_local_settings(path, {"B": "2"})
        settings.remove_local_settings(path)
        assert path.read_text() == own


def test_local_settings_of_ours_come_and_go_with_the_stack(tmp_path: Path) -> None:
    path = tmp_path / "local.settings.json"
    assert settings.write_local_settings(path, {"B": "2"})
    assert settings.write_local_settings(path, {"B": "3"})
    assert yaml.safe_load(path.read_text()) == {
        "_written_by": "dev.py up",
        "IsEncrypted": False,
        "Values": {"B": "3"},
    }
    settings.remove_local_settings(path)
    assert not path.exists()


def test_a_stack_whose_state_is_elsewhere_keeps_its_local_settings_there(tmp_path: Path) -> None:
    assert layout_from({"TOLLGATE_STATE": str(tmp_path)}).local_settings == tmp_path.resolve() / "local.settings.json"
    assert layout_from({}).local_settings == TOOLS.parent / "local.settings.json"


# -- the configuration for the fake Azure


def test_the_fakes_configuration_has_an_alias_for_each_way_to_serve_a_model() -> None:
    rows = yaml.safe_load(
        config_text(RESOURCES, {"main": "/subscriptions/s/main", "foundry": "/subscriptions/s/foundry"})
    )["model_list"]
    by_alias = {row["model_name"]: row["litellm_params"] for row in rows}
    assert by_alias.keys() == {
        "gpt-4o", "gpt-4.1-mini", "gpt-4o-v1", "gpt-4o-routed", "o3-mini", "gpt-5", "gpt-5.1", "gpt-5-chat", "gpt-4-vision",
        "azure-openai-4o-audio", "gpt-4o-entra", "gpt-4o-keyvault", "grok-4", "gpt-3.5-turbo", "gpt-4o-asyncfilter",
        "gpt-5-codex", "o3-pro", "gpt-3.5-turbo-instruct", "text-embedding-3-small", "gpt-image-1", "dall-e-3",
        "gpt-4o-mini-tts", "whisper-1", "gpt-4o-transcribe", "sora-2", "gpt-realtime", "claude-sonnet-4-5",
        "omni-moderation-latest", "gpt-4o-batch",
    }  # fmt: skip
    batching = [row["litellm_params"]["api_base"] for row in rows if row["model_name"] == "gpt-4o-batch"]
    assert len(set(batching)) == 2, "a batch has a choice"
    assert by_alias["o3-mini"]["model"] == "azure/o_series/my-random-deployment-name"
    assert by_alias["gpt-5"]["model"] == "azure/gpt5_series/my-gpt-5-deployment"
    assert by_alias["gpt-4o-v1"]["api_version"] == "v1"
    assert by_alias["gpt-4-vision"]["api_base"].endswith(":4001/openai/deployments/gpt-4-vision/extensions")
    assert "api_key" not in by_alias["gpt-4o-entra"]
    assert by_alias["gpt-4o"]["azure_resource_id"] == "/subscriptions/s/main"
    assert by_alias["grok-4"]["azure_resource_id"] == "/subscriptions/s/foundry"
    assert by_alias["gpt-4o-keyvault"]["api_key"] == "keyvault/main-api-key"
    turbo = [row["litellm_params"]["api_base"] for row in rows if row["model_name"] == "gpt-3.5-turbo"]
    assert turbo == ["http://127.0.0.1:4001", "http://127.0.0.1:4003/v1"]
