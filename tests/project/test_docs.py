"""The documentation says what is so: tables are compared with the code, examples are run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from shared.config import parse
from shared.document import read_document
from shared.settings import Settings
from shared.transform.families import FAMILIES
from shared.transform.resolve import resolve
from tests.support.stack import ROOT, Stack

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
ENVIRONMENT = {name: "value" for name in ("AZURE_API_KEY", "AZURE_VISION_KEY", "AZURE_TENANT_ID", "AZURE_CLIENT_ID",
                                          "AZURE_CLIENT_SECRET", "FOUNDRY_API_KEY", "OPENAI_API_KEY")}  # fmt: skip


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def fenced(text: str, language: str) -> list[str]:
    return [found[1] for found in re.finditer(rf"^```{language}\n(.*?)^```", text, re.S | re.M)]


class SettingsAsked(dict[str, str]):
    """A mapping that notes which names are asked for."""

    def __init__(self) -> None:
        super().__init__({"KEY_PEPPER": "p", "AzureWebJobsStorage": "UseDevelopmentStorage=true"})
        self.names: set[str] = set()

    def get(self, key: str, default: object = None) -> str:  # type: ignore[override]
        self.names.add(key)
        return super().get(key, default)  # type: ignore[arg-type,return-value]


def test_the_configuration_page_lists_exactly_the_settings_that_are_read() -> None:
    asked = SettingsAsked()
    Settings.from_mapping(asked)
    table = read("docs/configuration.md").partition("<!-- settings")[2]
    listed = {name for row in re.findall(r"^\| (`.+?) \|", table, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert listed == asked.names


def test_the_families_page_lists_exactly_the_families() -> None:
    listed = re.findall(r"^\| `([\w.-]+)`", read("docs/families.md"), re.M)
    assert listed == list(FAMILIES)


def test_the_example_configuration_loads() -> None:
    document = read_document(read("config.example.yaml"))
    catalog = resolve(parse(document, ENVIRONMENT, {}), document, ENVIRONMENT)
    assert catalog.warnings == ()
    assert len(catalog.of("gpt-4.1-mini")) == 2


def test_the_configuration_in_the_readme_loads() -> None:
    (text,) = fenced(read("README.md"), "yaml")
    document = read_document(text)
    assert resolve(parse(document, ENVIRONMENT, {}), document, ENVIRONMENT).aliases() == ("gpt-4o",)


def test_the_error_page_lists_every_code_that_the_code_makes() -> None:
    sources = [ROOT / "shared" / f"{name}.py" for name in ("errors", "payload", "gateway", "service")]
    made = set(re.findall(r'code="(\w+)"', "".join(path.read_text() for path in sources)))
    made |= set(re.findall(r'"(upstream_\w+|gateway_\w+|key_store_\w+)"', "".join(p.read_text() for p in sources)))
    made -= {"internal_error", "cors_not_allowed", "upstream_error", "upstream_cut", "gateway_error"}
    assert {code for code in made if f"`{code}`" not in read("docs/errors.md")} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_two_lines_of_the_readme_are_enough(stack: Stack) -> None:
    """The SDK snippets, by their changed arguments, on a running gateway."""
    text = read("README.md")
    key = stack.key("readme")
    openai, azure = fenced(text, "diff")
    changed = openai.replace("http://127.0.0.1:7071", stack.url).replace("sk-…", key.text)
    names: dict[str, object] = {}
    source = "\n".join(line[1:] for line in changed.splitlines() if not line.startswith("-"))
    exec(f"from openai import OpenAI\n{source}", names)
    client = names["client"]
    with client:  # type: ignore[attr-defined]
        assert client.models.list().data  # type: ignore[attr-defined]
    changed = azure.replace("http://127.0.0.1:7071", stack.url).replace('"sk-…"', f'"{key.text}"')
    source = "\n".join(line[1:] for line in changed.splitlines() if not line.startswith("-"))
    exec(f"from openai import AzureOpenAI\n{source}", names)
    client = names["client"]
    with client:  # type: ignore[attr-defined]
        answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}])  # type: ignore[attr-defined]
    assert answer.choices[0].message.content == "You said: Hi"


def test_versions_agree() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    assert f"tollgate/{version.rpartition('.')[0]}" in read("shared/adapters/upstream.py")
