"""No id gets past: every place of the published specifications is sealed on the way out and opened on the way in."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shared.ids import Keyring, looks_sealed
from shared.transform.owned import ID_FIELDS, OPAQUE, JsonLineSealer, Sealer, is_id_field, open_ids, seal_ids
from shared.types import Json
from tests.unit.given import SAMPLES, sample

RING = Keyring({1: b"k" * 32})
OWNER = "team:search"


class NotFound(Exception):
    """What the opener raises here for an id that it cannot open."""


def sealer(owner: str = OWNER, ring: Keyring = RING) -> Sealer:
    return Sealer(ring, "contoso-eu", owner)


def opener(public_id: str) -> str:
    sealed = RING.open(public_id, OWNER)
    if sealed is None:
        raise NotFound(public_id)
    return sealed.upstream_id


def marked(value: Any) -> Any:
    """A copy, in which every id is put between angle brackets."""
    value = copy.deepcopy(value)
    seal_ids(value, lambda upstream_id: f"<{upstream_id}>")
    return value


def unmarked(body: Json) -> tuple[Json, list[str]]:
    asked: list[str] = []

    def record(public_id: str) -> str:
        asked.append(public_id)
        return public_id

    return open_ids(body, record), sorted(asked)


# ---- the specifications, walked


SPECS = SAMPLES.parent / "specs"
NAMES = ["openai-openapi-2026-08-21.yaml", "azure-openai-v1.json", "azure-openai-inference-2025-03-01-preview.json",
         "anthropic-openapi-2026-01.json"]  # fmt: skip

NOT_OURS = {
    "call_id tool_call_id tool_use_id caller_id tool_id": "correlate a call with its result; whoever calls makes them up or echoes them",
    "custom_id": "the client's own name of a line in its batch",
    "request_id": "for support, opens nothing",
    "event_id stream_id": "of a WebSocket's events",
    "segment_id": "of a transcript, which nothing keeps",
    "datasource_item_id": "the number of a row",
    "chunk_id key_id model_id managed_identity_resource_id": "of the client's own data sources on Azure",
    "end_user_id end_user_tenant_id user_id": "people, as the client names them",
    "organization_id": "whose the subscription is",
    "connector_id tunnel_id": "fixed names of OpenAI's connectors; tunnels are made by no operation here",
    "skill_id": "made by no operation here; the built-in ones are plain names",
    "destinationResourceId": "an address in Azure's resource manager, as the client gives it",
    "session_id": "only in webhooks, which Azure does not send through the gateway",
    "assistant_id thread_id message_id": "assistants and threads are retired: no operation serves them",
    "api_call_logging_project_ids api_key_id certificate_ids external_key_id group_id identity_provider_id model_ids "
    "principal_id project_id project_ids resource_id role_id service_account_id workspace_id": "the administration of an organisation: no operation",
}
NAMES_NOT_OURS = {name for names in NOT_OURS for name in names.split()}


class Plain(NamedTuple):
    """Objects whose `id` stays as it is, and the field that they stand below."""

    components: str
    below: str
    why: str


PLAIN_IDS = [
    Plain(r"(OpenAI\.)?[cC]hatCompletionMessage(Custom)?ToolCall(Chunk)?", "tool_calls", "a correlation"),
    Plain(r"[rR]unToolCallObject|[rR]unStep(Delta)?Details?(StepDetails)?ToolCalls\w+", "tool_calls", "a correlation"),
    Plain(r"(Azure|OpenAI\.)?[cC]reate(Chat)?Completion(Stream)?Response", "", "nothing is kept"),
    Plain(r"ChatCompletionDeleted", "", "stored completions are not served"),
    Plain(r"(OpenAI\.)?Model|DeleteModelResponse", "", "the name of a model"),
    Plain(r"(Beta|OpenAI\.)?Prompt", "prompt", "made in a portal, the operator's"),
    Plain(r"(OpenAI\.)?Computer(Tool)?Call(Output)?SafetyCheck(Param)?|Beta\w*SafetyCheckParam|Computer(Tool)?Call\w*", "pending_safety_checks", "echoed with its item"),
    Plain(r"VoiceIdsOrCustomVoice", "voice", "voices are not served"),
    Plain(r"TranscriptTextSegmentEvent", "", "nothing is kept"),
    Plain(r"TranscriptionDiarizedSegment", "segments", "nothing is kept"),
    Plain(r"AzureContentFilter\w+|contentFilter\w+", "content_filter_results", "the operator's blocklists"),
    Plain(r"Realtime\w+", "session", "goes to Azure without the gateway"),
    Plain(r"(Beta)?(Request|Response)(Server|MCP)?ToolUseBlock", "content", "a correlation"),
    Plain(r"(Beta)?Message|CompletionResponse", "", "nothing is kept"),
]  # fmt: skip


class Place(NamedTuple):
    component: str
    path: tuple[str, ...]
    name: str
    around: Json
    """What the specification fixes of the fields beside it."""


def spec(name: str) -> Json:
    path = SPECS / name
    if not path.exists():
        pytest.skip(f"the specification {name} is not here")
    text = path.read_text(encoding="utf-8")
    value: Any = yaml.load(text, Loader=yaml.CSafeLoader) if name.endswith("yaml") else orjson.loads(text)
    return value


def fields_of(schema: Any) -> Json:
    """The properties of one object, also those that `allOf` adds in line."""
    found: Json = dict(schema.get("properties") or {})
    for part in schema.get("allOf") or []:
        found |= fields_of(part)
    return found


def fixed(properties: Json) -> Json:
    known: Json = {"choices": [], "stop_reason": None}
    values: Json = {name: known[name] for name in known if name in properties}
    for name, schema in properties.items():
        choice = schema.get("enum") or [schema.get("const")]
        if name in ("type", "object") and len(choice) == 1 and choice[0]:
            values[name] = choice[0]
    return values


def places(component: str, schema: Any, path: tuple[str, ...] = ()) -> Iterator[Place]:
    if not isinstance(schema, dict):
        return
    properties = fields_of(schema)
    for name, field in properties.items():
        if re.search(r"(^|_)ids?$|Ids?$", name):
            yield Place(component, path, name, fixed(properties))
        yield from places(component, field, (*path, name))
    for part in [*(schema.get("anyOf") or []), *(schema.get("oneOf") or []), schema.get("items")]:
        yield from places(component, part, path)


def all_places(name: str) -> list[Place]:
    document = spec(name)
    schemas = document.get("components", document).get("schemas") or document["definitions"]
    return [place for component, schema in schemas.items() for place in places(component, schema)]


def probe(place: Place, below: str = "") -> bool:
    """Whether an id in this place is sealed."""
    body: Any = {**place.around, place.name: ["raw_1"] if place.name.endswith("s") else "raw_1"}
    for step in reversed(place.path):
        body = {step: body}
    return b"<raw_1>" in orjson.dumps(marked({below: body} if below else body))


@pytest.mark.parametrize("name", NAMES)
def test_every_id_of_the_specification_is_sealed_or_excepted(name: str) -> None:
    found = all_places(name)
    assert len(found) > 100
    missed: list[str] = []
    for place in found:
        excepted = place.name == "id" and any(re.fullmatch(plain.components, place.component) for plain in PLAIN_IDS)
        if not (probe(place) or excepted or place.name in NAMES_NOT_OURS):
            missed.append(f"{place.component}: {'.'.join((*place.path, place.name))}")
    assert missed == []


def test_every_exception_is_needed_and_holds() -> None:
    found = [place for name in NAMES for place in all_places(name)]
    assert {place.name for place in found} >= NAMES_NOT_OURS
    assert [place for place in found if place.name in NAMES_NOT_OURS and probe(place)] == []
    for plain in PLAIN_IDS:
        excepted = [p for p in found if p.name == "id" and re.fullmatch(plain.components, p.component)]
        assert any(not probe(place, plain.below) for place in excepted), plain


def test_table_names_only_what_is_somewhere_specified() -> None:
    known = {place.name for name in NAMES for place in all_places(name)}
    others = {"container", "conversation", "result_files", "training_file", "validation_file"}  # not called ids
    ours = {"batch_id", "job_id", "video_id"}  # names of path parameters, which an upstream may repeat
    assert known | others | ours >= ID_FIELDS


# ---- places, one by one


class Case(NamedTuple):
    id: str
    body: Json
    expect: list[str]


EVERYWHERE = [
    Case("previous response", {"previous_response_id": "resp_1", "model": "gpt-5"}, ["resp_1"]),
    Case("conversation by name", {"conversation": "conv_1"}, ["conv_1"]),
    Case("conversation as object", {"conversation": {"id": "conv_1"}}, ["conv_1"]),
    Case("item reference", {"input": [{"type": "item_reference", "id": "rs_1"}]}, ["rs_1"]),
    Case("item reference without a type", {"input": [{"id": "rs_1"}]}, ["rs_1"]),
    Case("whole items", {"input": [{"type": "message", "id": "msg_1", "role": "assistant", "content": []},
                                   {"type": "function_call", "id": "fc_1", "call_id": "call_1", "arguments": "{}"},
                                   {"type": "function_call_output", "call_id": "call_1", "output": "file_id"}]}, ["fc_1", "msg_1"]),
    Case("files in a message", {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"},
                                                                       {"type": "input_image", "file_id": "file-2"}]}]}, ["file-1", "file-2"]),
    Case("files in a tool's output", {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_file", "file_id": "file-1"}]}]}, ["file-1"]),
    Case("screenshot", {"input": [{"type": "computer_call_output", "output": {"type": "computer_screenshot", "file_id": "file-1"},
                                   "acknowledged_safety_checks": [{"id": "sc_1"}]}]}, ["file-1"]),
    Case("approval", {"input": [{"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}]}, ["mcpr_1"]),
    Case("file search", {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1", "vs_2"], "filters": {"key": "id", "id": "x"}}]}, ["vs_1", "vs_2"]),
    Case("container by name", {"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, ["cntr_1"]),
    Case("container with files", {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}}]}, ["file-1"]),
    Case("shell's container", {"tools": [{"type": "shell", "environment": {"type": "container_reference", "container_id": "cntr_1"}}]}, ["cntr_1"]),
    Case("mask of a tool", {"tools": [{"type": "image_generation", "input_image_mask": {"file_id": "file-1"}}]}, ["file-1"]),
    Case("nested tools", {"tools": [{"type": "namespace", "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}]}, ["vs_1"]),
    Case("prompt", {"prompt": {"id": "pmpt_1", "version": "2", "variables": {"id": "x", "file_id": "y", "metadata": {"type": "input_file", "file_id": "file-1"},
                                                                          "messages": {"type": "input_image", "id": "x_1"}}}}, ["file-1", "x_1"]),
    Case("chat's file and audio", {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]},
                                                {"role": "assistant", "id": "m_1", "audio": {"id": "audio_1"}, "tool_calls": [{"id": "call_1"}]},
                                                {"role": "tool", "tool_call_id": "call_1", "content": "id"}]}, ["audio_1", "file-1"]),
    Case("Anthropic's file and tools", {"container": "container_1", "messages": [{"role": "user", "content": [
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}}, {"type": "tool_result", "tool_use_id": "toolu_1", "content": []},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"id": "x", "file_id": "y"}}]}]}, ["container_1", "file_1"]),
    Case("batch", {"input_file_id": "file-1", "endpoint": "/v1/responses", "metadata": {"id": "x", "file_id": "y"}}, ["file-1"]),
    Case("fine-tuning", {"training_file": "file-1", "validation_file": "file-2", "model": "gpt-4o"}, ["file-1", "file-2"]),
    Case("upload", {"part_ids": ["part_1", "part_2"]}, ["part_1", "part_2"]),
    Case("vector store", {"file_ids": ["file-1"], "name": "x"}, ["file-1"]),
    Case("files with attributes", {"files": [{"file_id": "file-1", "attributes": {"file_id": "x", "id": "y"}}]}, ["file-1"]),
    Case("evaluation of a file", {"data_source": {"type": "jsonl", "source": {"type": "file_id", "id": "file-1"}}}, ["file-1"]),
    Case("evaluation of rows", {"data_source": {"type": "jsonl", "source": {"type": "file_content", "content": [{"item": {"id": "x"}, "sample": {"id": "y"}}]}}}, []),
    Case("evaluation's schema", {"data_source_config": {"type": "custom", "item_schema": {"properties": {"id": {"id": "x"}}}}}, []),
    Case("grader's row", {"grader": {"type": "string_check"}, "item": {"id": "x", "file_id": "y"}}, []),
    Case("video", {"video": {"id": "video_1"}, "prompt": "more"}, ["video_1"]),
    Case("video's reference", {"input_reference": {"file_id": "file-1"}}, ["file-1"]),
    Case("images", {"images": [{"file_id": "file-1"}, {"image_url": "u"}], "mask": {"file_id": "file-2"}}, ["file-1", "file-2"]),
    Case("conversation's items", {"items": [{"type": "message", "id": "msg_1"}]}, ["msg_1"]),
    Case("session of realtime", {"session": {"type": "realtime", "id": "sess_1", "tools": [{"id": "x"}]}}, []),
    Case("voice", {"audio": {"voice": {"id": "voice_1"}, "format": "wav"}}, []),
    Case("schemas", {"tools": [{"type": "function", "parameters": {"id": "x", "file_id": "y"}}], "text": {"format": {"schema": {"id": "x"}}},
                     "response_format": {"json_schema": {"id": "x"}}}, []),
    Case("remote tools", {"tools": [{"type": "mcp", "headers": {"id": "x", "file_id": "y"}, "connector_id": "connector_dropbox"}]}, []),
    Case("people", {"user": "u", "safety_identifier": "s", "prompt_cache_key": "id", "metadata": {"file_id": "x"}}, []),
    Case("nothing", {"previous_response_id": None, "input_file_id": "", "file_ids": [], "conversation": None, "id": 7}, []),
    Case("a name where a list belongs", {"file_ids": "file-1", "file_id": ["file-2"]}, ["file-1", "file-2"]),
    Case("what a request says of its type opens no door", {"conversation": {"type": "tool_use", "id": "conv_1"}, "type": "tool_use",
         "input": {"type": "mcp_tool_use", "id": "rs_1"}, "container": {"type": "tool_use", "input": {"file_id": "file-1"}}}, ["conv_1", "file-1", "rs_1"]),
    Case("lists where names belong", {"input": [{"type": "item_reference", "id": ["rs_1", ["rs_2"]]}], "file_ids": [["file-1"]]}, ["file-1", "rs_1", "rs_2"]),
    Case("odd types", {"type": ["tool_use"], "id": "x_1", "input": [[{"id": "rs_1"}]]}, ["rs_1", "x_1"]),
]  # fmt: skip


@pytest.mark.parametrize("case", EVERYWHERE, ids=lambda case: case.id)
def test_request_has_its_ids_opened(case: Case) -> None:
    before = copy.deepcopy(case.body)
    same, asked = unmarked(case.body)
    assert asked == case.expect
    assert same == before
    opened = open_ids(case.body, lambda public_id: f"<{public_id}>")
    assert case.body == before  # the client's body is not touched
    assert sorted(re.findall(r'"<(.*?)>"', orjson.dumps(opened).decode())) == case.expect
    assert (opened is case.body) == (not case.expect)


@pytest.mark.parametrize("case", EVERYWHERE, ids=lambda case: case.id)
def test_answer_that_repeats_a_request_has_them_sealed(case: Case) -> None:
    assert sorted(re.findall(r'"<(.*?)>"', orjson.dumps(marked(case.body)).decode())) == case.expect


def test_opening_copies_only_what_it_changes() -> None:
    body: Json = {"input": [{"role": "user", "content": [{"type": "input_text"}]}, {"id": "rs_1"}], "tools": [{"x": 1}]}
    opened = open_ids(body, str.upper)
    assert opened["input"][1] == {"id": "RS_1"}
    assert opened["tools"] is body["tools"]
    assert opened["input"][0] is body["input"][0]


ANSWERS = [
    Case("chat", {"id": "chatcmpl-1", "object": "chat.completion", "choices": [
        {"message": {"tool_calls": [{"id": "call_1"}], "audio": {"id": "audio_1"}, "annotations": []},
         "content_filter_results": {"custom_blocklists": {"details": [{"id": "list_1"}]}}, "logprobs": {"content": [{"id": "x"}]}}]}, ["audio_1"]),
    Case("chat's first event on Azure", {"id": "", "object": "", "choices": [], "prompt_filter_results": [{"id": "x"}]}, []),
    Case("chat's event", {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [{"delta": {"audio": {"id": "audio_1"}}}]}, ["audio_1"]),
    Case("models", {"object": "list", "data": [{"id": "gpt-5", "object": "model"}]}, []),
    Case("Anthropic's event", {"type": "message_start", "message": {"id": "msg_1", "type": "message", "stop_reason": None, "content": []}}, []),
    Case("Anthropic's block", {"type": "content_block_start", "content_block": {"type": "tool_use", "id": "toolu_1", "input": {}}}, []),
    Case("transcript", {"segments": [{"id": "seg_1"}], "text": "x"}, []),
    Case("transcript's event", {"type": "transcript.text.segment", "id": "seg_1"}, []),
    Case("client secret", {"value": "ek_1", "session": {"id": "sess_1", "object": "realtime.session"}}, []),
    Case("old session", {"id": "sess_1", "object": "realtime.session", "client_secret": {"value": "x"}}, []),
    Case("event of a response", {"type": "response.created", "response": {"id": "resp_1", "output": [], "previous_response_id": "resp_0"}}, ["resp_0", "resp_1"]),
    Case("event of an item", {"type": "response.output_item.added", "item": {"id": "msg_1", "type": "message"}}, ["msg_1"]),
    Case("event of a text", {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "msg_1"}, ["msg_1"]),
    Case("annotation's event", {"type": "response.output_text.annotation.added", "item_id": "msg_1",
                                "annotation": {"type": "container_file_citation", "file_id": "cfile_1", "container_id": "cntr_1"}}, ["cfile_1", "cntr_1", "msg_1"]),
    Case("annotations", {"annotations": [{"type": "file_citation", "file_id": "file-1"}, {"type": "file_path", "file_id": "file-2"}]}, ["file-1", "file-2"]),
    Case("search results", {"type": "file_search_call", "id": "fs_1", "results": [{"file_id": "file-1", "attributes": {"id": "x"}}]}, ["file-1", "fs_1"]),
    Case("remote tools", {"type": "mcp_list_tools", "id": "mcpl_1", "tools": [{"input_schema": {"id": "x"}, "annotations": {"id": "y"}}]}, ["mcpl_1"]),
    Case("what a remote server says", {"output": [
        {"type": "mcp_list_tools", "id": "mcpl_1", "tools": [{"name": "f", "file_id": "x", "id": "y"}]},
        {"type": "mcp_call", "id": "mcp_1", "error": {"type": "mcp_tool_execution_error", "content": [{"id": "x"}]}},
        {"error": {"type": "mcp_tool_execution_error", "content": [{"id": "x", "file_id": "y"}]}}]}, ["mcp_1", "mcpl_1"]),
    Case("computer", {"type": "computer_call", "id": "cu_1", "call_id": "call_1", "pending_safety_checks": [{"id": "sc_1"}]}, ["cu_1"]),
    Case("list", {"object": "list", "data": [{"id": "file-1"}, {"id": "file-2"}], "first_id": "file-1", "last_id": "file-2"}, ["file-1", "file-1", "file-2", "file-2"]),
    Case("batch", {"id": "batch_1", "input_file_id": "file-1", "output_file_id": "file-2", "error_file_id": "", "errors": None}, ["batch_1", "file-1", "file-2"]),
    Case("job", {"object": "fine_tuning.job", "id": "ftjob-1", "result_files": ["file-1"], "training_file": "file-2", "validation_file": None, "organization_id": "org"}, ["file-1", "file-2", "ftjob-1"]),
    Case("checkpoint", {"object": "fine_tuning.job.checkpoint", "id": "ftckpt_1", "fine_tuning_job_id": "ftjob-1", "fine_tuned_model_checkpoint": "ft:m"}, ["ftckpt_1", "ftjob-1"]),
    Case("copy of a checkpoint", {"fineTuningJobId": "ftjob-1", "checkpointedModelName": "m", "copiedAccountDetails": [{"destinationResourceId": "/s"}]}, ["ftjob-1"]),
    Case("upload", {"id": "upload_1", "file": {"id": "file-1", "object": "file"}}, ["file-1", "upload_1"]),
    Case("part", {"id": "part_1", "upload_id": "upload_1"}, ["part_1", "upload_1"]),
    Case("output item", {"object": "eval.run.output_item", "id": "oi_1", "run_id": "run_1", "eval_id": "eval_1", "datasource_item_id": 3,
                         "datasource_item": {"id": "x"}, "sample": {"id": "y"}}, ["eval_1", "oi_1", "run_1"]),
    Case("video", {"id": "video_1", "object": "video", "remixed_from_video_id": "video_0", "error": None}, ["video_0", "video_1"]),
    Case("deletion", {"id": "file-1", "object": "file", "deleted": True}, ["file-1"]),
    Case("embeddings", {"object": "list", "data": [{"object": "embedding", "embedding": [0.1, 0.2]}]}, []),
]  # fmt: skip


def test_texts_of_azure_have_the_ids_in_them_hidden() -> None:
    """Not sealed: an error may quote a client's own file, and an envelope for any id would open it."""
    file, job = "file-" + "0a" * 16, "ftjob-" + "1b" * 16
    told: Json = {
        "data": [
            {
                "object": "fine_tuning.job.event",
                "id": "ftevent-1",
                "message": f"Completed results file: {file}, {file}.",
            },
            {"object": "fine_tuning.job.event", "id": "ftevent-2", "message": f"New model: gpt-4o.ft-{'0a' * 16}"},
        ],
        "error": {"code": "x", "message": f"{job} failed (no file-name here): {file}"},
        "last_error": None,
        "report_url": "https://ai.azure.com/evaluation/eval_1/run/evalrun_1",
        "output": [{"type": "message", "id": "msg_1", "message": file, "content": [{"text": file}]}],
    }
    shown = marked(told)
    assert [row["message"] for row in shown["data"]] == [
        "Completed results file: file-[hidden], file-[hidden].",
        f"New model: gpt-4o.ft-{'0a' * 16}",  # the name of a model, which a client needs
    ]
    assert shown["error"]["message"] == "ftjob-[hidden] failed (no file-name here): file-[hidden]"
    assert shown["report_url"] == ""
    assert shown["output"] == [{"type": "message", "id": "<msg_1>", "message": file, "content": [{"text": file}]}]
    assert unmarked(told["error"])[1] == []


TALK = [
    Case("audio and files", {case.id: case.body for case in EVERYWHERE}["chat's file and audio"], ["audio_1", "file-1"]),
    Case("what clients echo", {"messages": [{"role": "assistant", "id": "m", "content": [{"type": "text", "id": "x"}],
                                             "reasoning_details": [{"id": "rs_1"}]}]}, []),
    Case("Anthropic's container", {"container": {"id": "container_1", "skills": [{"id": "x"}]}}, ["container_1"]),
    Case("a built-in tool in disguise", {"tools": [{"type": "custom", "custom": {"type": "file_search", "vector_store_ids": ["vs_1"]}}]}, ["vs_1"]),
]  # fmt: skip


@pytest.mark.parametrize("case", TALK, ids=lambda case: case.id)
def test_chat_has_its_ids_opened(case: Case) -> None:
    opened = open_ids(case.body, lambda public_id: f"<{public_id}>", talk=True)
    assert sorted(re.findall(r'"<(.*?)>"', orjson.dumps(opened).decode())) == case.expect


@pytest.mark.parametrize(
    ("name", "expect"),
    [("file_id", True), ("file_ids[]", True), ("file_ids[0]", True), ("input_reference[file_id]", True),
     ("images[0][file_id]", True), ("video[id]", True), ("video", True), ("id", True), ("purpose", False),
     ("expires_after[seconds]", False), ("[]", False), ("", False), ("prompt", False)],
)  # fmt: skip
def test_field_of_a_form_that_holds_an_id(name: str, expect: bool) -> None:
    assert is_id_field(name) is expect


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.id)
def test_answer_has_its_ids_sealed(case: Case) -> None:
    assert sorted(re.findall(r'"<(.*?)>"', orjson.dumps(marked(case.body)).decode())) == case.expect


def test_list_of_rows_is_sealed() -> None:
    rows = [{"id": "file-1"}, {"id": "file-2"}]
    assert seal_ids(rows, str.upper) == 2
    assert rows == [{"id": "FILE-1"}, {"id": "FILE-2"}]


@pytest.mark.parametrize(
    "extra",
    [
        {"choices": []},
        {"stop_reason": None},
        {"object": "model"},
        {"object": "chat.completion"},
        {"type": "transcript.x"},
    ],
)
def test_request_cannot_talk_an_id_out_of_being_one(extra: Json) -> None:
    with pytest.raises(NotFound):
        open_ids({"input": [{"id": "rs_1", **extra}]}, opener)


@pytest.mark.parametrize("name", ["az-v1-responses-tool.body.json", "az-v1-responses-text.body.json", "az-batch-created.body.json",
                                  "az-batch-list.body.json", "az-finetuning-job.body.json", "az-file-batch-upload.body.json"])  # fmt: skip
def test_recorded_answer_keeps_no_raw_id(name: str) -> None:
    text = sample(name)
    raw = set(re.findall(rb'"((?:resp|rs|msg|fc|batch)_[\w-]+|(?:file|ft)-[\w-]+)"', text))
    value = orjson.loads(text)
    assert seal_ids(value, sealer()) >= len(raw) > 0
    assert [one for one in raw if b'"%b"' % one in orjson.dumps(value)] == []
    assert open_ids(value, opener) == orjson.loads(text)


def test_recorded_chat_is_left_alone() -> None:
    value = orjson.loads(sample("az-chat.body.json"))
    assert seal_ids(value, sealer()) == 0


def test_recorded_stream_keeps_no_raw_id() -> None:
    seal = sealer()
    events = [
        orjson.loads(line[6:])
        for line in sample("az-v1-responses-stream.body.sse").split(b"\n")
        if line.startswith(b"data: {")
    ]
    for event in events:
        seal_ids(event, seal)
    left = re.findall(rb'"(?:resp|rs|msg|fc)_(?!T)[0-9a-f]+"', orjson.dumps(events))
    assert left == []
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1


def test_answer_of_any_depth_is_sealed() -> None:
    value: Any = {"id": "rs_1"}
    for _ in range(50_000):
        value = [value]
    assert seal_ids(value, str.upper) == 1
    while isinstance(value, list):  # taken apart by hand: Python frees deep lists well, but compares them badly
        value = value[0]
    assert value == {"id": "RS_1"}


# ---- whatever the body


class Drawn(NamedTuple):
    value: Any
    ids: list[str]


words = st.sampled_from("role text name status code output items data tools result content index file step".split())
KINDS = ["resp_", "file-", "vs_", "rs_", "msg_", "batch_", "ftjob-", "cntr_", "x"]
raw_ids = st.builds(lambda kind, number: f"{kind}{number.hex}", st.sampled_from(KINDS), st.uuids())
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
).map(lambda v: Drawn(v, []))
id_fields = st.sampled_from(sorted(ID_FIELDS | {"id"}))


def with_ids(children: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn]:
    one = raw_ids.map(lambda i: Drawn(i, [i]))
    several = st.lists(raw_ids, max_size=3).map(lambda ids: Drawn(ids, ids))
    held = st.dictionaries(id_fields, one, max_size=3)
    lists = st.dictionaries(id_fields.filter(lambda name: name != "id"), several | st.just(Drawn("", [])), max_size=2)
    others = st.dictionaries(words, children, max_size=3)
    return st.builds(lambda a, b, c: joined({**a, **b, **c}), others, lists, held)


def joined(fields: dict[str, Drawn]) -> Drawn:
    return Drawn({name: part.value for name, part in fields.items()}, [i for part in fields.values() for i in part.ids])


def listed(children: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn]:
    return st.lists(children, max_size=3).map(
        lambda parts: Drawn([p.value for p in parts], [i for p in parts for i in p.ids])
    )


nested = st.recursive(leaves, lambda children: with_ids(children) | listed(children), max_leaves=12)
bodies = with_ids(nested)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


@given(bodies)
def test_sealed_body_holds_no_raw_id_and_opens_to_itself(drawn: Drawn) -> None:
    sealed = copy.deepcopy(drawn.value)
    assert seal_ids(sealed, sealer()) == len(drawn.ids)
    assert set(drawn.ids).isdisjoint(strings(sealed))
    assert open_ids(sealed, opener) == drawn.value


@given(bodies.filter(lambda drawn: bool(drawn.ids)), st.sampled_from(["owner", "key", "cut", "raw", "prefix", "flip"]))
def test_no_id_of_a_spoilt_body_opens(drawn: Drawn, how: str) -> None:
    body = copy.deepcopy(drawn.value)
    seal = (
        sealer("team:other") if how == "owner" else sealer(ring=Keyring({1: b"o" * 32})) if how == "key" else sealer()
    )
    spoil = {
        "cut": lambda i: seal(i)[:-1],
        "raw": str,
        "prefix": lambda i: "x" + seal(i),
        "flip": lambda i: flipped(seal(i)),
    }
    seal_ids(body, spoil.get(how, seal))
    opened: list[str] = []

    def try_open(public_id: str) -> str:
        if RING.open(public_id, OWNER):
            opened.append(public_id)
        return public_id

    open_ids(body, try_open)
    assert opened == []
    with pytest.raises(NotFound):
        open_ids(body, opener)


def flipped(public_id: str) -> str:
    return public_id[:-9] + ("A" if public_id[-9] != "A" else "B") + public_id[-8:]


@given(st.sampled_from([*sorted(OPAQUE), "content_filters", "content_filter_results"]), bodies)
def test_opaque_subtree_is_never_touched(name: str, drawn: Drawn) -> None:
    value = {name: drawn.value, "data": [{name: [drawn.value]}]}
    assert marked(value) == value
    assert open_ids(value, opener) is value


# ---- the sealer


def test_sealer_seals_as_the_keyring_does() -> None:
    seal = sealer()
    assert seal("file-1") == seal("file-1") == RING.seal("file-1", "contoso-eu", OWNER)


def test_sealer_stays_right_after_many_ids() -> None:
    seal = sealer()
    ids = [f"file-{number}" for number in range(3000)]
    assert [opener(seal(upstream_id)) for upstream_id in [*ids, *ids]] == [*ids, *ids]


# ---- a batch's output, line by line


def lines_sealed(data: bytes, *cuts: int, most: int = 8 * 1024 * 1024) -> bytes:
    seal = JsonLineSealer(sealer(), most)
    edges = [0, *sorted(cuts), len(data)]
    return b"".join(seal.feed(data[a:b]) for a, b in pairwise(edges)) + seal.end()


ROW = (
    b'{"id": "batch_req_1", "custom_id": "file_id", "response": {"status_code": 200, "request_id": "r_1", "body": '
    b'{"id": "resp_1", "object": "response", "output": [{"id": "msg_1", "type": "message"}]}}, "error": null}'
)
CHAT = b'{"custom_id": "id", "response": {"body": {"id": "chatcmpl-1", "choices": []}}, "error": null}  '
FAILED = b'{"id": "batch_req_2", "custom_id": "c", "response": null, "error": {"code": "x"}}'


def test_batch_output_is_sealed() -> None:
    first, second, third, rest = lines_sealed(b"\n".join((ROW, CHAT, FAILED)) + b"\n").split(b"\n")
    row = orjson.loads(first)
    assert opener(row["id"]) == "batch_req_1"
    assert opener(row["response"]["body"]["id"]) == "resp_1"
    assert opener(row["response"]["body"]["output"][0]["id"]) == "msg_1"
    assert (row["custom_id"], row["response"]["request_id"], row["error"]) == ("file_id", "r_1", None)
    assert second == CHAT  # without an id of ours, byte for byte
    assert looks_sealed(orjson.loads(third)["id"]) is True
    assert rest == b""


OUTPUT = b"\r\n\n" + ROW + b"\r\n" + CHAT + b"\n\nno JSON\n" + b'{"id": "x"}\n[1]\n' + FAILED


def test_batch_output_is_the_same_cut_at_every_byte() -> None:
    whole = lines_sealed(OUTPUT)
    assert b'"resp_1"' not in whole
    assert b'"batch_req_2"' not in whole
    assert whole.startswith(b"\r\n\n{")
    assert b"}\r\n" + CHAT + b'\n\nno JSON\n{"id": "x"}\n[1]\n{' in whole
    assert [at for at in range(len(OUTPUT) + 1) if lines_sealed(OUTPUT, at) != whole] == []
    assert lines_sealed(OUTPUT, *range(len(OUTPUT))) == whole


def test_recorded_batch_output_is_untouched() -> None:
    data = sample("az-batch-output-jsonl.body.jsonl")
    assert lines_sealed(data) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"plain text\n" + ROW + b"\n",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3,
        b'{"id": "file-1"}\n' + ROW + b"\n",
        b'{"custom_id": "1", "id": "x", "method": "POST", "url": "/v1/responses", "body": {"id": "resp_1"}}\n' + ROW,
        b'{"messages": [{"id": "x"}]}\n',
        b'{"custom_id": "cut short',
        b'[{"custom_id": "1", "response": {"body": {"id": "resp_1"}}}]',
    ],
    ids=["empty", "blank", "text", "binary", "other rows", "batch input", "training data", "cut", "array"],
)
def test_any_other_file_passes_byte_for_byte(data: bytes) -> None:
    assert lines_sealed(data) == data
    assert [at for at in range(len(data)) if lines_sealed(data, at) != data] == []


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4))
def test_any_bytes_pass_whole(data: bytes, cuts: list[int]) -> None:
    assert lines_sealed(data, *(cut % (len(data) + 1) for cut in cuts)) == data


def test_binary_is_not_held_back() -> None:
    seal = JsonLineSealer(sealer())
    assert seal.feed(b"\x89PNG") == b"\x89PNG"
    assert seal.feed(ROW + b"\n") == ROW + b"\n"


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_long_line_passes_and_the_others_are_sealed(at: int, end: bytes) -> None:
    long = b'{"id": "batch_req_3", "custom_id": "' + b"x" * len(ROW) + b'", "response": null}'
    rows = [ROW, ROW]
    rows.insert(at, long)
    data = end.join(rows)
    whole = lines_sealed(data, most=len(ROW))
    assert [line == given for line, given in zip(whole.split(end), rows, strict=True)] == [n == at for n in range(3)]
    assert [cut for cut in range(len(data)) if lines_sealed(data, cut, most=len(ROW)) != whole] == []
    assert lines_sealed(data, *range(len(data)), most=len(ROW)) == whole


def test_long_line_is_not_held_in_memory() -> None:
    seal = JsonLineSealer(sealer(), most=100)
    held = 0
    for _ in range(50):
        held = held + 50 - len(seal.feed(b'{"' + b"x" * 48))
        assert held <= 101
    assert held == 0


def test_deep_row_is_sealed_too() -> None:
    row = b'{"custom_id": "1", "response": {"body": {"id": "resp_1", "a": ' + b"[" * 400 + b"]" * 400 + b"}}}\n"
    out = lines_sealed(row)
    assert b'"resp_1"' not in out
    assert orjson.loads(out)["response"]["body"]["a"] == orjson.loads(b"[" * 400 + b"]" * 400)
