"""A program called az that answers from a folder and writes down how it was called: for what cannot be asked here.

Owns the program and its records. Its answers are those that Azure's documentation shows; whether the commands are right
is for the real az's parser to say (tests/deploy/test_az_commands.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_PROGRAM = """#!/bin/sh
# a shell, because it starts ten times as fast as Python
cd "{folder}" || exit 9
{{ printf '%s\\n' "$@"; echo {end}; }} >> calls
for name in "$1 $2 $3 $4" "$1 $2 $3" "$1 $2" "$1"; do
  if [ -d "answers/$name" ]; then
    cd "answers/$name" || exit 9
    turn=$(cat turn); last=$(cat last)
    [ "$turn" -lt "$last" ] && echo $((turn + 1)) > turn
    cat "$turn.out"; cat "$turn.err" >&2; exit "$(cat "$turn.code")"
  fi
done
"""
_END = "---"


class FakeAz:
    """`folder` is to come first on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        program = folder / "az"
        program.write_text(_PROGRAM.format(folder=folder, end=_END), "utf-8")
        program.chmod(0o755)

    def answers(self, command: str, *said: Any) -> None:
        """What a command answers, each time in its turn and the last for ever: text, a failure, or what is JSON.

        The longest beginning of a call that has an answer counts; a call without one answers nothing, and well.
        """
        place = self.folder / "answers" / command
        place.mkdir(parents=True, exist_ok=True)
        for turn, one in enumerate(said):
            failed = isinstance(one, Exception)
            text = "" if failed else one if isinstance(one, str) else json.dumps(one)
            for name, value in (
                ("out", text),
                ("err", f"ERROR: {one}\n" if failed else ""),
                ("code", str(int(failed))),
            ):
                (place / f"{turn}.{name}").write_text(value, "utf-8")
        (place / "turn").write_text("0")
        (place / "last").write_text(str(len(said) - 1))

    @property
    def calls(self) -> list[list[str]]:
        """Each call's arguments."""
        file = self.folder / "calls"
        parts = file.read_text("utf-8").split(f"\n{_END}\n")[:-1] if file.exists() else []
        return [part.split("\n") for part in parts]

    def called(self, command: str) -> list[list[str]]:
        words = command.split()
        return [call for call in self.calls if call[: len(words)] == words]
