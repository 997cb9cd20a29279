"""Each deployment: whether it answers the gateway, and what Azure says of it (model_facts.py)."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit

from shared.catalog import Deployment
from shared.operations.checkup import commands, model_facts
from shared.operations.checkup.finding import Check, Finding, failed, ok, skipped, warning
from shared.operations.checkup.model_calls import Answered, called
from shared.operations.checkup.refusals import PARTNERS, Wrong, lacking, role_named
from shared.operations.checkup.scene import Scene

_DATED = re.compile(r"(.+)-(\d{4}-\d{2}-\d{2})")
_WRONG_VERSION = ("api version", "api-version", "apiversion")


def checks(scene: Scene) -> list[Check]:
    found = [Check(_label(one), lambda one=one: _look(scene, one)) for one in scene.catalog.every()]
    return found or [Check("deployments", _none)]


async def _none() -> list[Finding]:
    return [skipped("deployments", "the configuration names none, or cannot be read")]


def _label(one: Deployment) -> str:
    """As the operator knows it."""
    return f"{one.label} ({one.id})"


async def _look(scene: Scene, one: Deployment) -> list[Finding]:
    facts, answer = await asyncio.gather(model_facts.of(scene, one), called(scene, one))
    if answer is None:
        why = "it is for batches alone" if one.only_batches else "nothing that is surely free can be asked of it"
        tried = ok(_label(one), f"not called: {why}") if facts.known else skipped(_label(one), f"not called: {why}")
    else:
        tried = await _judge(scene, one, answer, facts)
    about = f", {facts.text}" if facts.text else ""
    whole = Finding(tried.about, tried.verdict, tried.text + about, tried.fix)
    return [whole, *(Finding(_label(one), f.verdict, f.text, f.fix) for f in facts.findings)]


async def _judge(scene: Scene, one: Deployment, answer: Answered, facts: model_facts.Facts) -> Finding:
    about = _label(one)
    words = f"{answer.code} {answer.text}".lower()
    wrong = Wrong(answer.status, answer.code, answer.text)
    if answer.status == 0:
        return _no_answer(one, answer)
    if answer.status == 429:
        return warning(about, "it is there, and at its limit just now", "python3 -m shared.manage route status")
    if answer.status == 404 or (answer.status == 400 and any(each in words for each in _WRONG_VERSION)):
        return _not_there(one, answer, facts)
    if answer.status == 400 and "operationnotsupported" in words:
        text = f"there, but its model is of another kind: {answer.text}"
        return failed(about, text, "set model_info.mode in config.yaml (docs/configuration.md)")
    if answer.understood:
        return ok(about, "answers")
    if wrong.wall:
        fix = commands.show_account(facts.account_name(one), facts.group)
        return failed(about, "the resource's network rules keep the gateway out", fix)
    if wrong.denied:
        return await _denied(scene, one, answer, facts)
    return failed(about, f"status {answer.status}: {answer.text}", "python3 -m shared.manage route status")


def _no_answer(one: Deployment, answer: Answered) -> Finding:
    about, host = _label(one), urlsplit(one.root).netloc
    if answer.code == "credential":
        return failed(about, f"no token for it: {answer.text}", commands.again("identity"))
    if answer.code == "secret":
        return failed(about, "its key cannot be read from Key Vault", commands.again("vault"))
    if answer.code == "timeout":
        return failed(about, f"{host} has not answered in time", commands.again("network"))
    return failed(about, f"{host} cannot be reached", commands.again("network"))


def _not_there(one: Deployment, answer: Answered, facts: model_facts.Facts) -> Finding:
    about, account = _label(one), facts.account_name(one)
    deployment = "deployment" in f"{answer.code} {answer.text}".lower() or answer.code in (
        "unknown_model",
        "not_found_error",
    )
    if one.provider == "openai":
        return failed(about, f"no such model: {answer.text}", "correct litellm_params.model in config.yaml")
    if facts.missing or (deployment and not facts.known):
        others = f"; there are: {', '.join(facts.others)}" if facts.others else ""
        sku = one.terms.sku if one.terms.sku_given else ""
        model, version = _model_and_version(one)
        fix = commands.make_deployment(account, facts.group, one.name, _maker(one), model, version, sku)
        return failed(about, f"there is no deployment {one.name} on {account}{others}", fix)
    if deployment:
        return warning(about, "Azure knows it and does not serve it yet: a new one takes up to 5 minutes",
                       f"wait, then: {commands.again('models')}")  # fmt: skip
    if not one.api_version:
        return failed(about, f"this address is not served there ({answer.text})", "correct api_base in config.yaml")
    return failed(about, f"api-version {one.api_version} is not served there ({answer.text})",
                  "leave api_version out of config.yaml: the v1 API is used then")  # fmt: skip


def _maker(one: Deployment) -> str:
    if one.surface.name == "anthropic":
        return "Anthropic"
    return "FORMAT" if one.surface.name in PARTNERS else "OpenAI"


def _model_and_version(one: Deployment) -> tuple[str, str]:
    model = one.terms.model or one.model
    dated = _DATED.fullmatch(model)
    return (dated[1], one.terms.version or dated[2]) if dated else (model, one.terms.version)


async def _denied(scene: Scene, one: Deployment, answer: Answered, facts: model_facts.Facts) -> Finding:
    about, account = _label(one), facts.account_name(one)
    if one.credential.kind == "api_key":
        if facts.no_keys:
            return failed(about, f"{account} takes no keys", "leave api_key out in config.yaml: the identity is used")
        return failed(about, f"its api_key is refused ({answer.status})",
                      "leave api_key out in config.yaml to use the identity, or give the right one")  # fmt: skip
    if one.credential.kind == "static_token":
        return failed(about, "its azure_ad_token is refused", commands.again("identity"))
    role = role_named("Cognitive Services User" if one.surface.name in PARTNERS else "Cognitive Services OpenAI User")
    scope = facts.account_id or commands.account_id(account)
    found = await lacking(scene, about, role, one.credential, scope, account)
    if answer.status == 401 and "audience" in answer.text.lower() and facts.no_domain:
        return failed(about, f"{account} has no domain of its own, so it takes no tokens",
                      commands.give_domain(account, facts.group))  # fmt: skip
    return found
