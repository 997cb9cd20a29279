"""What is asked and told of batches: the fields, and how a batch fills them. How it got there is batches.py's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from shared.batches.batch import ENDED, Batch, Chunk, Engine, Source, Status
from shared.batches.looking import LATE_SECONDS
from shared.books.days import iso
from shared.ids import Keyring
from shared.money import in_usd
from shared.objects import HERE
from shared.operations.operation import Asked, Progress, Told

Callback = Literal["", "waiting", "sent", "given_up"]
_MOST_PROBLEMS = 20


class BatchesAsked(Asked):
    open: bool = Field(
        default=False, description="Only those that still have something to do: lines to run, or somebody to tell."
    )
    status: Status | None = Field(default=None, description="Only those in this state.")
    model: str = Field(default="", description="Only of this model.", max_length=256)
    key: str = Field(default="", description="Only this key's: its name, or its id.", max_length=256)
    engine: Engine | None = Field(default=None, description="Only those that Azure runs, or the gateway itself.")
    source: Source | None = Field(default=None, description="Only those that came this way.")
    limit: int = Field(default=100, ge=1, le=1000, description="Rows of a page.")
    cursor: str = Field(default="", description="`next` of the page before.", max_length=512)


class BatchAsked(Asked):
    batch: str = Field(description="The batch: its id here, or the id that its client has.", max_length=512)


class BatchRow(Told):
    id: str = Field(description="Its id here, as logs and events have it.")
    created: str
    status: Status
    engine: Engine = Field(description="azure: Azure's batch service runs it; own: the gateway's own calls do.")
    source: Source = Field(description="api, drop (a dropped file), defer (calls that were put off), or retry.")
    model: str
    endpoint: str
    key: str = Field(description="Who pays: the key's name.")
    key_id: str
    team: str
    lines: int
    completed: int
    failed: int
    cost_usd: str = Field(description="As far as it is settled.")
    unpriced: bool = Field(description="Something in it has no price.")
    open: bool = Field(description="Whether something is still to be done.")
    deployment: str = Field(description="Where Azure's engine has placed it: resource and deployment.")
    next_look: str = Field(description="When it is looked at next; empty: it is done with.")


class BatchesTold(Told):
    rows: list[BatchRow] = Field(description="The newest first.")
    next: str = Field(description="The cursor of the next page; empty: there is none.")


class TryTold(Told):
    deployment: str
    why: str = Field(description="Why it did not run there.")
    left_there: str = Field(description="A batch that is still to be cancelled there, by its id there.")


class ProblemTold(Told):
    line: int | None
    code: str
    message: str


class BatchTold(BatchRow):
    client_id: str = Field(description="Its id as its client has it.")
    origin: str = Field(description="What it was made of: a dropped blob, a group of calls, or the batch retried.")
    user: str
    tags: list[str]
    metadata: dict[str, str]
    expires: str = Field(description="What has no answer then gets none.")
    began: str = Field(description="When the first line was run, or could have been.")
    ended: str
    upstream_batch: str = Field(description="Its id at the resource.")
    upstream_status: str = Field(description="What the resource said last.")
    upstream_seen: str = Field(description="When the resource last answered.")
    tries: list[TryTold] = Field(description="Placements that came to nothing, the oldest first.")
    chunks: int = Field(description="Stretches that the own engine runs in one go.")
    chunks_done: int
    input_bytes: int
    expected_tokens: int = Field(description="Input tokens by the gateway's own rule, before it was run.")
    input_tokens: int = Field(description="As far as it is settled; so are the other figures.")
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    input_file: str
    output_file: str
    error_file: str
    errors: list[ProblemTold] = Field(description=f"Why it failed as a whole; {_MOST_PROBLEMS} at the most.")
    callback: Callback = Field(description="Whether its client was called: waiting, sent, given_up; empty: nobody is.")
    callback_url: str = Field(description="Without its query.")
    warnings: list[str] = Field(default_factory=list, description="What is not as it should be.")


class RetryTold(Told):
    id: str = Field(description="The new batch, by its id here.")
    client_id: str = Field(description="The same as its client has it.")
    of: str = Field(description="The batch that it runs again.")
    lines: int = Field(description="Lines without a good answer.")


class SecretAsked(Asked):
    key: str = Field(default="", description="Of the batches of this key: its name, or its id.", max_length=256)
    team: str = Field(default="", description="Of the batches of this team's keys.", max_length=256)
    batch: str = Field(default="", description="Of this batch: its id here, or as its client has it.", max_length=512)


class SecretTold(Told):
    owner: str = Field(description="Whose it is: a team's keys have one together.")
    secret: str = Field(description="What verifies the signature of callbacks: `whsec_` and base64.")


def progress_of(row: Mapping[str, Any]) -> Progress:
    """Of a BatchRow, as JSON has it."""
    completed, failed = int(row["completed"]), int(row["failed"])
    return Progress(row["id"], completed + failed, failed, int(row["lines"]), row["status"], row["status"] in ENDED)


def row_of(batch: Batch) -> BatchRow:
    return BatchRow(**_row(batch))


def _row(batch: Batch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "created": iso(batch.created_at),
        "status": batch.status,
        "engine": batch.engine,
        "source": batch.source,
        "model": batch.alias,
        "endpoint": batch.endpoint,
        "key": batch.payer.key_name,
        "key_id": batch.payer.key_id[:12],
        "team": batch.payer.team,
        "lines": batch.lines,
        "completed": batch.completed,
        "failed": batch.failed,
        "cost_usd": in_usd(batch.figures.cost_nanos),
        "unpriced": batch.figures.unpriced,
        "open": not batch.told,
        "deployment": batch.placement.deployment if batch.placement else "",
        "next_look": "" if batch.told else _at(batch.next_look),
    }


def told_of(batch: Batch, chunks: Sequence[Chunk], keyring: Keyring, now: float) -> BatchTold:
    placement, used = batch.placement, batch.figures
    return BatchTold(
        **_row(batch),
        client_id=client_id(batch, keyring),
        origin=batch.origin,
        user=batch.payer.user,
        tags=list(batch.payer.tags),
        metadata=dict(batch.metadata or {}),
        expires=iso(batch.expires_at),
        began=_at(batch.in_progress_at),
        ended=_at(batch.ended_at),
        upstream_batch=placement.upstream_batch if placement else "",
        upstream_status=placement.status if placement else "",
        upstream_seen=_at(placement.seen_at) if placement else "",
        tries=[TryTold(deployment=t.deployment, why=t.why, left_there=t.upstream_batch) for t in batch.tries],
        chunks=batch.chunks,
        chunks_done=sum(chunk.done for chunk in chunks),
        input_bytes=batch.input_bytes,
        expected_tokens=batch.tokens,
        input_tokens=used.input_tokens,
        cached_input_tokens=used.cached_input_tokens,
        output_tokens=used.output_tokens,
        reasoning_tokens=used.reasoning_tokens,
        input_file=batch.input_file,
        output_file=batch.output_file,
        error_file=batch.error_file,
        errors=[_problem(error) for error in batch.errors[:_MOST_PROBLEMS]],
        callback=batch.callback or ("waiting" if batch.callback_url else ""),
        callback_url=batch.callback_url.partition("?")[0],
        warnings=list(_warnings(batch, now)),
    )


def client_id(batch: Batch, keyring: Keyring) -> str:
    return keyring.seal(batch.id, HERE, batch.payer.owner)


def _problem(error: Mapping[str, Any]) -> ProblemTold:
    return ProblemTold(line=error.get("line"), code=str(error.get("code") or ""), message=str(error.get("message")))


def _warnings(batch: Batch, now: float) -> list[str]:
    found: list[str] = []
    if not batch.told and batch.next_look and batch.next_look + LATE_SECONDS < now:
        found.append(
            f"its look is {now - batch.next_look:,.0f} s late: is queue_batch_looks running? The timer timer_minutes "
            "sends it again (jobs run sweep_batches does so now)."
        )
    if batch.callback == "given_up":
        found.append("its callback was given up: its address has not answered for a day.")
    if left := [t for t in batch.tries if t.upstream_batch]:
        found.append(f"{len(left)} batch(es) are still to be cancelled at resources that did not answer.")
    if batch.figures.unpriced:
        found.append("something in it has no price (prices list): its cost is not all of it.")
    return found


def _at(time: float) -> str:
    return iso(time) if time else ""
