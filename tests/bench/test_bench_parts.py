"""The benchmark's own parts: a measurement is only worth what its tools are."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator, Callable

import openai
import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from bench import micro, report
from bench.load import Result, Spec, load, quantile
from bench.measure import Figures, body, medians
from bench.upstream import Upstream


@contextlib.asynccontextmanager
async def serving(protocol: Callable[[], asyncio.Protocol]) -> AsyncGenerator[int]:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


class Canned(asyncio.Protocol):
    """A server that answers whatever it gets with the same bytes."""

    answer = b""
    hang_up = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        del data
        self.transport.write(self.answer)
        if self.hang_up:
            self.transport.close()


def canned(answer: bytes, hang_up: bool = False) -> type[Canned]:
    return type("CannedAnswer", (Canned,), {"answer": answer, "hang_up": hang_up})


def ok(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content)


def spec(port: int, **changes: object) -> Spec:
    given: dict[str, object] = {"port": port, "path": "/v1/chat/completions", "body": body(False), "connections": 4}
    return Spec(**{**given, "seconds": 5.0, "calls": 200, **changes})  # type: ignore[arg-type]


def client(kind: str, port: int) -> openai.AsyncOpenAI:
    base = f"http://127.0.0.1:{port}"
    if kind == "azure":
        return openai.AsyncAzureOpenAI(azure_endpoint=base, api_key="k", api_version="2024-10-21", max_retries=0)
    return openai.AsyncOpenAI(base_url=f"{base}/openai/v1", api_key="k", max_retries=0)


ASK: ChatCompletionUserMessageParam = {"role": "user", "content": "[chunks=7 delay=1]"}


@pytest.mark.parametrize("kind", ["azure", "v1"])
def test_upstream_answers_the_sdk(kind: str) -> None:
    async def scenario() -> None:
        async with serving(Upstream) as port, client(kind, port) as sdk:
            answer = await sdk.chat.completions.create(model="gpt-4o", messages=[ASK])
            assert (answer.choices[0].message.content or "").startswith("A gateway")
            assert answer.usage is not None
            assert answer.usage.total_tokens == 160
            stream = await sdk.chat.completions.create(
                model="gpt-4o", messages=[ASK], stream=True, stream_options={"include_usage": True}
            )
            events = [event async for event in stream]
            assert [e.choices[0].delta.content for e in events[:-2]] == ["A", *[" gateway"] * 6]
            assert events[-2].choices[0].finish_reason == "stop"
            assert (usage := events[-1].usage) is not None
            assert usage.completion_tokens == 64

    asyncio.run(scenario())


def test_upstream_paces_its_chunks() -> None:
    async def scenario() -> Result:
        async with serving(Upstream) as port:
            text = body(True).replace("chunks=50 delay=20", "chunks=10 delay=10")
            return await load(spec(port, body=text, connections=2, calls=4, chunks=10))

    result = asyncio.run(scenario())
    assert (result.calls, result.errors) == (4, 0)
    assert result.p50 >= 90
    assert 0 < result.first_p50 < 60


@pytest.mark.parametrize("connections", [1, 8])
def test_load_counts_every_call(connections: int) -> None:
    async def scenario() -> Result:
        async with serving(Upstream) as port:
            return await load(spec(port, connections=connections))

    result = asyncio.run(scenario())
    assert (result.calls, result.errors) == (200, 0)
    assert result.rate > 100
    assert 0 < result.p50 <= result.p99


def test_load_ends_when_the_time_is_up() -> None:
    async def scenario() -> Result:
        async with serving(Upstream) as port:
            return await load(spec(port, seconds=0.3, calls=10**9))

    result = asyncio.run(scenario())
    assert result.errors == 0
    assert result.rate == pytest.approx(result.calls / 0.3, rel=0.1)


WHOLE = json.dumps({"choices": [{}], "usage": {"total_tokens": 1}}).encode()
CUT = b"data: {}\n\ndata: {}\n\n"
CLOSED = ok(WHOLE).replace(b"OK\r\n", b"OK\r\nconnection: close\r\n")
REFUSED = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 4\r\n\r\nslow"


@pytest.mark.parametrize(
    ("answer", "hang_up", "chunks", "why"),
    [
        pytest.param(ok(WHOLE), False, 0, "", id="good"),
        pytest.param(CLOSED, True, 0, "", id="good-and-closed"),
        pytest.param(REFUSED, False, 0, "status 429: slow", id="status"),
        pytest.param(ok(b"{}"), False, 0, "does not parse", id="no-choices"),
        pytest.param(ok(b"<html>"), False, 0, "does not parse", id="not-json"),
        pytest.param(ok(WHOLE)[:-5], True, 0, "connection lost", id="half"),
        pytest.param(b"SSH-2.0\r\n", False, 0, "not HTTP", id="not-http"),
        pytest.param(ok(CUT), False, 2, "not whole", id="cut-stream"),
        pytest.param(ok(b"data: {}\n\ndata: [DONE]\n\n"), False, 5, "not whole", id="short-stream"),
        pytest.param(ok(CUT + b"data: [DONE]\n\n"), False, 2, "", id="whole-stream"),
    ],
)
def test_load_notices_what_is_wrong(answer: bytes, hang_up: bool, chunks: int, why: str) -> None:
    async def scenario() -> Result:
        async with serving(canned(answer, hang_up)) as port:
            return await load(spec(port, connections=1, calls=3, chunks=chunks))

    result = asyncio.run(scenario())
    assert why in result.example
    assert bool(result.errors) == bool(why)
    assert result.calls + result.errors >= 3


def test_load_notices_that_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        result = asyncio.run(load(spec(taken.getsockname()[1], connections=1, seconds=0.2)))
    assert result.calls == 0
    assert "cannot connect" in result.example


def test_quantile_takes_the_last_of_few() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert quantile([], 0.5) == 0.0


OURS = Figures(rate16=3000, cpu_call=200, cpu_chunk=70, first5_p50=1.0, first_p50=1.0, cold=0.5, idle=60, loaded=80)
PEER = Figures(
    rate16=150,
    cpu_call=6000,
    cpu_chunk=1000,
    first5_p50=14.0,
    first_p50=800,
    cold=5.5,
    idle=344,
    loaded=552,
    stretch=2.0,
)
DIRECT = Figures(rate16=50000, first5_p50=0.5, first_p50=0.5)
RESULTS = {"direct": DIRECT, "tollgate": OURS, "litellm": PEER}


def test_report_shows_figures_and_ratios() -> None:
    text = report.figures_table(RESULTS)
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "800.0 / – (overload)" in lines[4]  # noqa: RUF001
    ratios = report.ratios(RESULTS, "tollgate").splitlines()
    assert [cell.strip() for cell in ratios[2].split("|")[1:4]] == ["litellm", "20.00×", "30.00×"]  # noqa: RUF001
    assert "27.00×" in ratios[2]  # noqa: RUF001


def test_report_judges_the_goals() -> None:
    lines = report.verdicts({**RESULTS, "tollgate": Figures(rate16=1000, cold=0.9)}, "tollgate")
    assert lines[0].startswith("- **missed**: calls a core at 16 against LiteLLM 6.67")
    assert lines[2].startswith("- not measured: calls a core at 16 against Portkey")
    assert lines[4].startswith("- **missed**: cold start 0.90 s")
    assert "not yet" in report.verdicts(RESULTS, "tollgate")[0]


def test_report_page_has_no_gaps() -> None:
    page = report.page(RESULTS, {"portkey": "no Node"}, "tollgate", "python3 dev.py bench", 2, [40.0, 60.0])
    assert "$" not in page
    assert "40 to 60 ms" in page
    assert "not measured in full: `portkey`: no Node" in page


def test_medians_leave_out_what_is_unknown_and_add_up_errors() -> None:
    merged = medians([Figures(rate1=1, errors=2), Figures(rate1=3, errors=1), Figures(rate1=None)])
    assert (merged.rate1, merged.rate16, merged.errors) == (2, None, 3)


def test_micro_times_a_call_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Callable[[], object]:
        raise ImportError("no such piece")

    said: list[str] = []
    monkeypatch.setattr(micro, "BATCH", 0.001)
    monkeypatch.setattr(micro, "PIECES", {"here": lambda: int, "gone": missing})
    assert micro.main(said.append) == 0
    assert said[0].endswith("µs")
    assert "not here: no such piece" in said[1]
