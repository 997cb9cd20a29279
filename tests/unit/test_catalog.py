"""The look-up by alias, and how a deployment may be named."""

from __future__ import annotations

from shared.catalog import Catalog
from tests.unit.given import deployment


def test_catalog_finds_deployments_by_alias() -> None:
    one, two = deployment(name="a"), deployment(name="b")
    found = Catalog({"x": (one, two), "y": (two,)})
    assert (found.aliases(), found.of("x"), found.of("z"), found.warnings) == (("x", "y"), (one, two), (), ())


def test_label_holds_neither_host_nor_deployment() -> None:
    assert deployment(name="dep-1", alias="gpt").label == "gpt#1"


def test_hidden_names_leave_out_a_deployment_that_is_called_like_its_alias() -> None:
    assert deployment(name="dep-1", alias="gpt").hidden_names() == {"dep-1": "gpt", "res": "the resource"}
    assert deployment(name="gpt", alias="gpt").hidden_names() == {"res": "the resource"}


def test_deployment_hides_its_secrets() -> None:
    text = repr(deployment(defaults={"data_sources": [{"key": "hunter2"}]}))
    assert "hunter2" not in text
    assert "secret-key-1" not in text
