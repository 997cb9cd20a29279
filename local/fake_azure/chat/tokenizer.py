"""The fake's tokenizer: a token is up to 16 word characters, or one other character, with the white space before it.

Joining the tokens of a text gives the text back, so a stream of one token a chunk loses nothing. A long run of word
characters (base64, a language without spaces) is many tokens, as with a real one.
"""

import re
from collections.abc import Iterator

_TOKEN = re.compile(r"\s*(?:\w{1,16}|[^\w\s])|\s+")


def tokens(text: str) -> Iterator[str]:
    return (found.group() for found in _TOKEN.finditer(text))


def split(text: str) -> list[str]:
    return _TOKEN.findall(text)
