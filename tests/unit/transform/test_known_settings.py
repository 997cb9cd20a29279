"""The settings that hold for all entries: what they come to, and what is refused in them, with its line."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from shared.errors import ConfigError
from tests.unit.given import AT, catalog, entry

HEAD = entry(f"model: azure/gpt-4o, {AT}", "gpt-4o")


def test_rules_are_read_and_resources_are_named_as_azure_names_them() -> None:
    text = HEAD + (
        "settings:\n  default_resource: RES\n  import_raw_ids: {Res: [team-a], }\n  unusable_items: remove\n"
        "  default_models: {images: gpt-4o}\n"
    )
    found = catalog(text)
    assert found.rules.default_resource == "res"
    assert found.rules.import_raw_ids == {"res": frozenset({"team-a"})}
    assert found.rules.remove_unusable_items
    assert found.default_models == {"images": "gpt-4o"}


def test_without_settings_nothing_is_imported_removed_or_assumed() -> None:
    found = catalog(HEAD)
    assert (found.rules.default_resource, found.rules.import_raw_ids, found.rules.remove_unusable_items) == (
        "",
        {},
        False,
    )
    assert found.default_models == {}


def test_everybody_may_be_named_by_a_star() -> None:
    assert catalog(HEAD + "settings: {import_raw_ids: {res: '*'}}\n").rules.import_raw_ids == {"res": frozenset("*")}


class Bad(NamedTuple):
    settings: str
    says: str


BAD = [
    Bad("default_resource: rez", "line 4: settings.default_resource: no deployment is on a resource 'rez' → write one of res"),
    Bad("import_raw_ids: {other: '*'}",
        "line 4: settings.import_raw_ids: no deployment is on a resource 'other' → write one of res"),
    Bad("default_models: {images: gpt-4}",
        "line 4: settings.default_models.images: there is no model 'gpt-4' → write 'gpt-4o'"),
    Bad("default_models: {pictures: gpt-4o}", "line 4: settings.default_models.pictures: 'pictures' is no kind of operation → "
        "write one of chat, responses, messages, completions, embeddings, images, speech, transcription, videos, realtime, "
        "moderations"),
    Bad("unusable_items: drop", "line 4: settings.unusable_items: input should be 'refuse' or 'remove' (it is 'drop') → "
        "correct the value, or leave the field out"),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.settings)
def test_setting_that_cannot_work_is_refused_with_its_place(case: Bad) -> None:
    with pytest.raises(ConfigError) as caught:
        catalog(HEAD + f"settings: {{{case.settings}}}\n")
    assert [str(problem) for problem in caught.value.problems] == [case.says]
