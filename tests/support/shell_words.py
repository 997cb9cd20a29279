"""Finds the commands of one program in what people copy: Markdown, workflows, scripts, a line of ours.

Understands of a shell what documents use: continued lines, $(…), pipes, quotes, comments. Runs nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

_ENDS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>", "(", ")", "{", "}"}


def commands_of(program: str, script: str) -> Iterator[list[str]]:
    """Every command of `program` in a script, also those inside $(…)."""
    script = re.sub(r"\$\{\{.*?\}\}", "X", script)  # a workflow's expression
    script = re.sub(r"[\\`]\n\s*", " ", script)  # a shell's continued line, and PowerShell's
    for line in script.splitlines():
        yield from _of_line(program, line)


def _of_line(program: str, line: str) -> Iterator[list[str]]:
    line, inner = _without_substitutions(line)
    for part in inner:
        yield from _of_line(program, part)
    lexer = shlex.shlex(re.sub(r"(^|\s)#.*", "", line), posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError:
        return  # prose with an apostrophe
    command: list[str] = []
    for word in [*words, ";"]:
        if word in _ENDS:
            if command[:1] == [program]:
                yield command
            command = []
        elif command or not re.fullmatch(r"\$|[A-Za-z_]\w*=.*|if|then|else|do|while|until|!|time|run:|-", word):
            command.append(word)


def _without_substitutions(line: str) -> tuple[str, list[str]]:
    """The line with a word in the place of each $(…), and what stood inside them."""
    inner: list[str] = []
    while (start := line.find("$(")) >= 0:
        depth, end = 0, start + 1
        while end < len(line):
            depth += {"(": 1, ")": -1}.get(line[end], 0)
            if depth == 0:
                break
            end += 1
        inner.append(line[start + 2 : end])
        line = f"{line[:start]}SUBSTITUTED{line[end + 1 :]}"
    return line, inner


def in_markdown(program: str, text: str) -> Iterator[list[str]]:
    """Commands in blocks of code and in `code` within a sentence."""
    for block in re.findall(r"^[ ]*```(?:sh|bash|shell|console|powershell|yaml)\n(.*?)^[ ]*```", text, re.S | re.M):
        yield from commands_of(program, block)
    prose = re.sub(r"^[ ]*```.*?^[ ]*```", "", text, flags=re.S | re.M)
    for piece in re.findall(rf"`({program} [^`]+)`", prose):
        for command in commands_of(program, piece.replace("\n", " ")):
            # a sentence may name a command without its options: that it exists is enough
            yield command if any(word.startswith("-") for word in command) else [*command, "--help"]
