"""Operations besides text generation that the fake's resources serve: completions, embeddings, images, audio, videos,
realtime calls, content safety.

Each operation is what is answered (pure, a function of the request) and a `*_part.py`, which puts it on routes behind
the door. Credentials, api-versions and faults are the door's.
"""

from aiohttp import web

from ..door import Door
from . import audio_part, images_part, realtime_part, safety_part, text_part, videos_part

_PARTS = (text_part, images_part, audio_part, videos_part, realtime_part, safety_part)


def routes(door: Door) -> list[web.RouteDef]:
    return [route for part in _PARTS for route in part.routes(door)]
