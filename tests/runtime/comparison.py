"""What the built command answers, and how two answers differ: null, an empty list and a missing key
are the same. Needs no packages.
"""

import json
import re
import subprocess

from runtime import Failed


class Ours:
    """The built command on a store of its own."""

    def __init__(self, binary, store):
        self.binary, self.store = binary, store

    def run(self, *args):
        done = subprocess.run([self.binary, "--store", self.store, "--json", *args],
                              capture_output=True, timeout=120)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")

    def all(self, command, *args):
        rows, cursor = [], []
        while True:
            code, out, err = self.run(command, *args, "--limit", "100", *cursor)
            if code:
                raise Failed("%s %s: exit %d: %s" % (command, " ".join(args), code, err))
            page = json.loads(out)
            rows += page[command]
            if not page.get("nextCursor"):
                return rows
            cursor = ["--cursor", page["nextCursor"]]


def plain(value):
    """Without what says nothing: null, empty lists, and keys that hold them."""
    if isinstance(value, dict):
        made = {key: plain(part) for key, part in value.items()}
        return {key: part for key, part in made.items() if part is not None}
    if isinstance(value, list):
        return [plain(part) for part in value] or None
    return value


def differences(theirs, ours, where):
    """Each place where two plain values differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys()):
            yield from differences(theirs.get(key), ours.get(key), "%s.%s" % (where, key))
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for place, (one, other) in enumerate(zip(theirs, ours)):
            yield from differences(one, other, "%s[%d]" % (where, place))
    elif theirs != ours:
        yield "%s: runtime %s, ours %s" % (where, json.dumps(theirs)[:200], json.dumps(ours)[:200])


def alike(found):
    """The first difference of each kind, and how many there are of it."""
    kinds = {}
    for line in found:
        kind = re.sub(r"\[\d+\]|[0-9a-f]{8}-[0-9a-f-]{27}", "", line.split(": runtime ")[0])
        kinds.setdefault(kind, []).append(line)
    return [(lines[0], len(lines)) for lines in kinds.values()]


def in_order(turns):
    """Turns of a fork with the broken off ones of reviews in the order of their ids: where the fork
    cuts them, the runtime shows them behind turns that were over before, ours where they began."""
    return sorted(turns, key=lambda turn: turn["id"])


def entry(row):
    """An item with its times, wherever they stand."""
    item = dict(row["item"])
    for key in ("startedAtMs", "completedAtMs"):
        item.setdefault(key, row.get(key))
    return {"turnId": row["turnId"], "item": item}
