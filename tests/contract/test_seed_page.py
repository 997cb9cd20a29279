"""The page that this gateway implements: its configurations load, its calls are answered, with host and key changed.

The page is read where it lies beside the checkout; the project holds no copy of it.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from local.fake_azure import FakeAzure
from shared.config import parse
from shared.document import read_document
from shared.transform.resolve import resolve
from tests.support.models import Row, config_text
from tests.support.polling import until
from tests.support.stack import ROOT, Key, Stack

PAGE = ROOT.parent / "shared" / "reference" / "seed.md"
ENVIRONMENT = {
    "AZURE_API_BASE": "https://example.openai.azure.com",
    "AZURE_API_KEY": "a-key",
    "AZURE_API_VERSION": "2024-10-21",
    "AZURE_AD_TOKEN": "a-token",
    "AZURE_TENANT_ID": "a-tenant",
    "AZURE_CLIENT_ID": "a-client",
    "AZURE_CLIENT_SECRET": "a-secret",
    "AZURE_USERNAME": "a-user",
    "AZURE_PASSWORD": "a-password",
    "AZURE_SCOPE": "https://cognitiveservices.azure.com/.default",
}


def blocks(language: str) -> Iterator[str]:
    """The page's fenced blocks in one language."""
    text = PAGE.read_text("utf-8") if PAGE.exists() else ""
    yield from (found[1] for found in re.finditer(rf"```{language}\b[^\n]*\n(.*?)```", text, re.S))


def curl_blocks() -> list[str]:
    found = [block for language in ("shell", "bash") for block in blocks(language)]
    # by the address, not by the body: batch examples name the operation there
    return [
        block for block in found if re.match(r"\s*curl\b[^{]*?/chat/completions\b.{0,2}\s", block.split("{")[0], re.S)
    ]


def of_batches(language: str) -> list[str]:
    """The examples of files and batches for a gateway's clients, in the page's order."""
    if language == "python":
        return [block for block in blocks("python") if "client.files." in block or "client.batches." in block]
    return [block for block in blocks("bash") if re.match(r"curl http://[\w.:]+/v1/(files|batches)\b", block)]


YAMLS = [block for block in blocks("yaml") if "model_list" in block]
CURLS = curl_blocks()
absent = pytest.mark.skipif(not PAGE.exists(), reason="the seed page does not lie beside this checkout")


@absent
def test_the_page_has_what_these_tests_look_for() -> None:
    assert len(YAMLS) >= 15
    assert len(CURLS) >= 5
    assert len(of_batches("python")) >= 5
    assert len(of_batches("bash")) >= 9


@absent
@pytest.mark.parametrize("text", YAMLS, ids=[f"yaml-{i}" for i in range(len(YAMLS))])
def test_every_configuration_loads(text: str) -> None:
    document = read_document(text)
    catalog = resolve(parse(document, ENVIRONMENT, {}), document, ENVIRONMENT)
    assert catalog.aliases()


@pytest.fixture(scope="module")
def seed_stack(tmp_path_factory: pytest.TempPathFactory, fake_azure: Any, azurite: Any) -> Iterator[tuple[Stack, Key]]:
    main = fake_azure.state.resources["main"]
    rows: list[Row] = [
        (
            alias,
            {"model": f"azure/{deployment}", "api_base": main.url, "api_version": version, "api_key": main.key},
            {},
        )
        for alias, deployment, version in (
            ("gpt-3.5-turbo", "chatgpt-v-2", "2023-05-15"),
            ("azure-gpt-3.5", "chatgpt-functioncalling", "2023-07-01-preview"),
            ("azure-openai-4o-audio", "azure-openai-4o-audio", "2025-01-01-preview"),
        )
    ]
    for alias in ("batch-gpt-4o-mini", "REPLACE-WITH-MODEL-DEPLOYMENT-NAME"):
        given = {"model": "azure/gpt-4o-batch", "api_base": main.url, "api_key": main.key}
        rows.append((alias, given, {"mode": "batch"}))
    config = config_text(rows) + "litellm_settings:\n  enable_loadbalancing_on_batch_endpoints: true\n"
    folder = tmp_path_factory.mktemp("seed")
    with Stack(folder, fake_azure, azurite.connection_string, config=config) as stack:
        yield stack, stack.key("seed")


@absent
@pytest.mark.parametrize("command", CURLS, ids=[f"curl-{i}" for i in range(len(CURLS))])
def test_every_chat_call_is_answered(command: str, seed_stack: tuple[Stack, Key], tmp_path: Path) -> None:
    assert '"chat.completion"' in run_curl(command, *seed_stack, tmp_path)


def run_curl(command: str, stack: Stack, key: Key, folder: Path) -> str:
    """The answer to an example, which has to be good."""
    words = shlex.split(re.sub(r"\$\w+|sk-1234", key.text, command.replace("\\\n", " ")))
    words = [re.sub(r"http://(0\.0\.0\.0|localhost):4000", stack.url, word) for word in words]
    has_key = any("Authorization" in word for word in words)
    words += [] if has_key else ["--header", f"Authorization: Bearer {key.text}"]
    done = subprocess.run(
        [*words, "-s", "-w", "%{http_code}"], capture_output=True, text=True, timeout=30, cwd=folder
    )  # fmt: skip
    assert done.stdout.endswith("200"), done.stdout
    return done.stdout.removesuffix("200")


def test_the_sdk_without_v1_in_its_address(seed_stack: tuple[Stack, Key]) -> None:
    stack, key = seed_stack
    with stack.openai(key, path="") as client:
        messages: Any = [{"role": "user", "content": "this is a test request, write a short poem"}]
        answer = client.chat.completions.create(model="gpt-3.5-turbo", messages=messages)
    assert answer.choices[0].message.content == "You said: this is a test request, write a short poem"


def inputs() -> list[str]:
    """The page's two examples of an input: by a deployment's name, and by an alias."""
    return [block for block in blocks("json") if '"custom_id"' in block]


@absent
def test_every_curl_example_of_batches(seed_stack: tuple[Stack, Key], fake: FakeAzure, tmp_path: Path) -> None:
    """The made-up ids of the page are those that came before; a quotation mark that it lacks is put in."""
    fake.batches.hold("main", "in_progress")
    first, balanced = inputs()
    made: dict[str, str] = {}
    said: list[dict[str, Any]] = []
    for command in of_batches("bash"):
        if "/files" in command:
            (tmp_path / "mydata.jsonl").write_text(balanced if "file" in made else first, "utf-8")
        command = command.replace('"model: "', '"model": "')
        for prefix, name in made.items():
            command = re.sub(rf"\b{prefix}[-_][0-9a-f][\w-]*", name, command)
        answer = json.loads(run_curl(command, *seed_stack, tmp_path))
        said.append(answer)
        if answer["object"] in ("file", "batch"):
            made[answer["object"]] = answer["id"]
    fake.batches.release("main")
    assert [(answer["object"], answer.get("status")) for answer in said] == [
        ("file", "processed"), ("batch", "validating"), ("batch", said[2]["status"]), ("batch", "cancelling"),
        ("list", None),
        ("file", "processed"), ("batch", "validating"), ("batch", said[7]["status"]), ("list", None),
    ]  # fmt: skip
    assert [row["id"] for row in said[8]["data"]] == [said[6]["id"], said[1]["id"]]


@absent
def test_every_python_example_of_batches(
    seed_stack: tuple[Stack, Key], fake: FakeAzure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, key = seed_stack
    (tmp_path / "mydata.jsonl").write_text(inputs()[0], "utf-8")
    monkeypatch.chdir(tmp_path)
    fake.batches.hold("main", "in_progress")
    with ExitStack() as closing:
        names: dict[str, Any] = {"open": lambda *of: closing.enter_context(Path(of[0]).open(*of[1:]))}
        for example in of_batches("python"):
            exec(example.replace("http://localhost:4000", stack.url).replace("your-api-key", key.text), names)
        client = closing.enter_context(names["client"])
        assert names["retrieved_batch"].metadata == {"description": "My batch job"}
        assert names["cancelled_batch"].status == "cancelling"
        until(lambda: client.batches.retrieve(names["batch"].id).status == "cancelled", 20, 0.1)
    fake.batches.release("main")
