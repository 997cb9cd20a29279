"""The extras of a message: speech that plays, citations that point at the data sources which were asked.

Owns made-up content only; where it goes in an answer is `reply.py`.
"""

import base64
import io
import time
import uuid
import wave
from functools import cache
from typing import Any

from .request import ChatRequest

_KEPT_SECONDS = 3600


def audio(transcript: str) -> dict[str, Any]:
    return {
        "id": f"audio_{uuid.uuid4().hex[:24]}",
        "data": _silence(),
        "expires_at": int(time.time()) + _KEPT_SECONDS,
        "transcript": transcript,
    }


@cache
def _silence() -> str:
    """A hundredth of a second, as a valid WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8_000)
        sound.writeframes(bytes(160))
    return base64.b64encode(file.getvalue()).decode()


def citations(chat: ChatRequest) -> dict[str, Any]:
    """`message.context` of Azure's "on your data": one citation for each data source."""
    cited: list[dict[str, Any]] = []
    for place, source in enumerate(chat.data_sources):
        parameters = source.get("parameters") or {}
        index = parameters.get("index_name") or parameters.get("indexName") or source.get("type")
        title = f"Document {place + 1} of {index}"
        cited.append({"content": title, "title": title, "url": None, "filepath": f"doc{place + 1}.md", "chunk_id": "0"})
    return {"citations": cited, "intent": f'["{chat.prompt.text}"]'}
