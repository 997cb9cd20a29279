"""Owns what a person or a program is told about the stack. Must not start, ask or change anything."""

import json
import sys
from typing import Any

from local.stack.layout import Layout, shown
from local.stack.record import Record, Run

PROGRAM = "py dev.py" if sys.platform == "win32" else "python3 dev.py"


def box(layout: Layout, record: Record, run: Run, detached: bool) -> str:
    """Where the gateway is and how to call it; every line works when pasted."""
    base, key = f"{run.gateway_url}/v1", record.demo_key
    messages = [{"role": "user", "content": "Hello"}]
    body = json.dumps({"model": run.model, "messages": messages})
    call = f'client.chat.completions.create(model="{run.model}", messages={json.dumps(messages)})'
    fake = run.parts.get("fake_azure")
    return f"""
Tollgate runs.

  Base URL    {base}
  Key         {key}
  Admin key   {record.admin_key}
  Upstream    {f"fake Azure, {fake.url}" if fake else f"your own, {run.options.get('config')}"}
  Logs        {shown(layout.logs)}

Try it:

curl -s {base}/chat/completions -H "Authorization: Bearer {key}" -H "Content-Type: application/json" -d '{body}'

With the OpenAI SDK two arguments change:

from openai import OpenAI
client = OpenAI(
    base_url="{base}",
    api_key="{key}",
)
print({call}.choices[0].message.content)

Stop it: {f"{PROGRAM} down" if detached else "Ctrl-C"}
"""


def status_text(layout: Layout, record: Record) -> str:
    run = record.running
    if run is None:
        left = [part for part in run_parts(record) if part.alive]
        lines = ["Not running."]
        lines += [f"The last time it ended by itself: {record.failure}"] if record.failure else []
        lines += [f"{len(left)} of its processes were left behind: `{PROGRAM} down` ends them."] if left else []
        return "\n".join(lines)
    rows = [("part", "pid", "state", "address")]
    rows += [(name, str(part.pid), "alive" if part.alive else "GONE", part.url) for name, part in run.parts.items()]
    table = "\n".join(f"  {name:<12}{pid:<9}{state:<7}{url}".rstrip() for name, pid, state, url in rows)
    state = "Running" if run.ready else "Starting"
    return f"{state}: {run.gateway_url}/v1\n\n{table}\n\n  Logs: {shown(layout.logs)}"


def run_parts(record: Record) -> list[Any]:
    return list(record.run.parts.values()) if record.run else []


def status_json(layout: Layout, record: Record) -> dict[str, Any]:
    run = record.running
    fake = run.parts.get("fake_azure") if run else None
    return {
        "running": bool(run and run.ready),
        "starting": bool(run and not run.ready),
        "failure": record.failure,
        "base_url": run.gateway_url if run else None,
        "openai_base_url": f"{run.gateway_url}/v1" if run else None,
        "key": record.demo_key if run else None,
        "admin_key": record.admin_key if run else None,
        "fake_azure_url": fake.url if fake else None,
        "fake_azure": run.fake_azure or None if run else None,
        "pids": {name: part.pid for name, part in run.parts.items()} if run else {},
        "alive": {name: part.alive for name, part in run.parts.items()} if run else {},
        "storage_connection": run.storage if run else None,
        "settings": run.settings if run else {},
        "options": run.options if run else {},
        "logs": str(layout.logs),
    }
