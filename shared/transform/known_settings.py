"""What a configuration may say besides its entries' own fields: which names are known, and what the settings mean.

Knows nothing of deployments; resolve.py makes those.
"""

from __future__ import annotations

from shared.catalog import Catalog, StoreRules
from shared.config import BASE_NAMES, File, Params, suggestion
from shared.document import Document, Path
from shared.errors import Problem
from shared.transform.models import MODES
from shared.transform.router_names import FROM_SETTINGS
from shared.transform.terms import RATE_NAMES, is_rate

BODY_DEFAULTS = frozenset(
    "audio dataSources data_sources enhancements frequency_penalty function_call functions logit_bias logprobs "
    "max_completion_tokens max_tokens metadata modalities n parallel_tool_calls prediction presence_penalty "
    "prompt_cache_key prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier stop "
    "store stream_options temperature tool_choice tools top_logprobs top_p user verbosity web_search_options".split()
)
"""Body fields that an entry may give as defaults beside its own settings, as the seed's examples do."""

NOTED = frozenset(
    "custom_llm_provider max_retries num_retries "
    "organization max_parallel_requests tag_regex rpm_limit tpm_limit supports_system_message "
    "use_in_pass_through merge_reasoning_content_in_choices configurable_clientside_auth_params "
    "cache_control_injection_points mock_response max_budget budget_duration "
    "cache_creation_input_audio_token_cost citation_cost_per_token code_interpreter_cost_per_session "
    "computer_use_input_cost_per_1k_tokens computer_use_output_cost_per_1k_tokens file_search_cost_per_1k_calls "
    "input_cost_per_pixel input_cost_per_query input_cost_per_video_per_second ocr_cost_per_page output_cost_per_pixel "
    "search_context_cost_per_query tiered_pricing vector_store_cost_per_gb_per_day".split()
)
"""Settings of other gateways that mean nothing to this one yet: reported as a warning, never an error."""


def store_rules(file: File) -> StoreRules:
    given = file.settings
    return StoreRules(
        (given.default_resource or "").lower(),
        {name.lower(): frozenset([who] if isinstance(who, str) else who) for name, who in given.import_raw_ids.items()},
        given.unusable_items == "remove",
    )


def unknown_resources(catalog: Catalog, file: File, document: Document) -> list[Problem]:
    """Resources that the settings name and no entry has."""
    section = "litellm_settings" if "litellm_settings" in document.data else "settings"
    named = [("import_raw_ids", name) for name in file.settings.import_raw_ids]
    known = {name.lower() for name in catalog.keepers()}
    aliases = catalog.default_models.items()
    problems = [
        document.problem((section, "default_models", shape), *_no_default(catalog, shape, alias))
        for shape, alias in aliases
        if shape not in MODES or not catalog.of(alias)
    ]
    if file.settings.default_resource:
        named.append(("default_resource", file.settings.default_resource))
    remedy = f"write one of {', '.join(sorted(known))}" if known else "remove it"
    return problems + [
        document.problem((section, field), f"no deployment is on a resource {name!r}", remedy)
        for field, name in named
        if name.lower() not in known
    ]


def _no_default(catalog: Catalog, shape: str, alias: str) -> tuple[str, str]:
    """What is wrong with one default model, and what to write instead."""
    if shape not in MODES:
        return f"{shape!r} is no kind of operation", f"write one of {', '.join(MODES)}"
    return f"there is no model {alias!r}", suggestion(alias, catalog.aliases())


def unknown_params(path: Path, document: Document, warnings: list[str]) -> list[Problem]:
    """Read from the file itself, so that an entry with other mistakes has them all named at once."""
    problems: list[Problem] = []
    known = {*Params.model_fields, *BASE_NAMES, *BODY_DEFAULTS, *RATE_NAMES, "region_name"}
    given = document.at(path)
    for name in given if isinstance(given, dict) else ():
        here = (*path, name)
        if name in NOTED:
            warnings.append(f"line {document.line(here)}: {name} has no effect here yet")
        elif name not in known and not is_rate(name):
            remedy = suggestion(name, sorted(known))
            problems.append(
                document.problem(here, "unknown setting", f"{remedy}, or put it under extra_body to send it")
            )
    return problems


def unknown_settings(file: File, document: Document) -> list[str]:
    """Sections and settings that this gateway does not read: worth a word, no reason to refuse a running config."""
    warnings = [f"line {document.line((name,))}: the section {name} is not read" for name in (file.model_extra or {})]
    section = "litellm_settings" if "litellm_settings" in document.data else "settings"
    warnings += [
        f"line {document.line((section, name))}: {section}.{name} is not read"
        for name in (file.settings.model_extra or {})
        if name not in FROM_SETTINGS
    ]
    return warnings
