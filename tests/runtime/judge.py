#!/usr/bin/env python3
"""The released runtime writes homes by seeded scripts; what it then answers of them is compared with
what the built command answers of an import of the same home.

  judge.py --bin TURNLEAF --runtime CODEX [--seed N] [--homes N] [--steps N] [--keep DIR]

Rules of the comparison: null, an empty list and a missing key are the same; the keys of a thread in
OWN are not in its rollout, or are the runtime's own. Needs no packages.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

from runtime import Failed, Model, Runtime

# The live state of the runtime's process, its database alone, or the place of a file.
OWN = {"path", "status", "turns", "canAcceptDirectInput", "environments", "extra", "updatedAt",
       "recencyAt", "gitInfo"}
SOURCES = ["cli", "vscode", "exec", "appServer", "subAgent", "subAgentReview", "subAgentCompact",
           "subAgentThreadSpawn", "subAgentOther", "unknown"]
PIXEL = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwAD"
         "hgGAWjR9awAAAABJRU5ErkJggg==")
# What the runtime's list loses of a subagent, though the head of its rollout has it.
LOST_OF_SUBAGENTS = {"sessionId", "threadSource"}
WORDS = "draw the clock bridge garden river small number letter wall of in a".split()


class Script:
    """Random steps of a user over a few threads."""

    def __init__(self, runtime, home, seed):
        self.runtime, self.home = runtime, home
        self.random = random.Random(seed)
        self.threads = {}  # Live ones: id and whether a turn has run.
        self.archived = []

    def text(self):
        words = [self.random.choice(WORDS) for _ in range(self.random.randrange(2, 30))]
        mark = self.random.choice(
            ["", "", "RUN ", "RUN ", "PATCH ", "PLAN ", "SEARCH ", "TALK ", "FAIL "])
        return mark + " ".join(words) + self.random.choice(["", "\n\nSecond line \u00e9", " \u4e2d"])

    def thread(self):
        if not self.threads or self.random.random() < 0.25:
            return self.start()
        return self.random.choice(sorted(self.threads))

    def start(self):
        folder = os.path.join(self.home, self.random.choice(["work", "garden", "work/deep"]))
        os.makedirs(folder, exist_ok=True)
        mode = self.random.choice(["paginated", "paginated", "legacy"])
        made = self.runtime.ask("thread/start", {"cwd": folder, "historyMode": mode})
        self.threads[made["thread"]["id"]] = False
        return made["thread"]["id"]

    def step(self):
        thread = self.thread()
        if not self.threads[thread]:
            self.runtime.turn(thread, self.text())
            self.threads[thread] = True
            return
        do = self.random.choices(
            [self.turn, self.rich_turn, self.compact, self.name, self.archive, self.unarchive,
             self.interrupt, self.steer, self.review],
            [10, 3, 2, 2, 1, 1, 1, 1, 1])[0]
        do(thread)

    def turn(self, thread):
        self.runtime.turn(thread, self.text())

    def rich_turn(self, thread):
        """A turn with more than a text, or with settings of its own."""
        image = {"type": "image", "url": PIXEL}
        self.runtime.turn(thread, self.text(), *self.random.choice([[], [image], [image, image]]),
                          **self.random.choice([{}, {"clientUserMessageId": "client-%d" %
                                                     self.random.randrange(1000)},
                                                {"effort": "high"}, {"cwd": self.home}]))

    def compact(self, thread):
        self.runtime.ask("thread/compact/start", {"threadId": thread})
        self.runtime.wait_for("turn/completed", lambda told: told["threadId"] == thread)

    def name(self, thread):
        name = " ".join(self.random.choice(WORDS) for _ in range(3)).title()
        self.runtime.ask("thread/name/set", {"threadId": thread, "name": name})

    def archive(self, thread):
        self.runtime.ask("thread/archive", {"threadId": thread})
        del self.threads[thread]
        self.archived.append(thread)

    def unarchive(self, _):
        if self.archived:
            thread = self.archived.pop()
            self.runtime.ask("thread/unarchive", {"threadId": thread})
            self.runtime.ask("thread/resume", {"threadId": thread, "excludeTurns": True})
            self.threads[thread] = True

    def interrupt(self, thread):
        turn = self.runtime.hang(thread, self.text())
        self.runtime.ask("turn/interrupt", {"threadId": thread, "turnId": turn})
        self.runtime.wait_for("turn/completed", lambda told: told["turn"]["id"] == turn)
        self.runtime.model.let_go()

    def steer(self, thread):
        turn = self.runtime.hang(thread, self.text())
        self.runtime.ask("turn/steer", {
            "threadId": thread, "expectedTurnId": turn, "input": [
                {"type": "text", "text": "and " + self.text(), "text_elements": []}]})
        self.runtime.model.let_go()
        self.runtime.wait_for("turn/completed", lambda told: told["turn"]["id"] == turn)

    def review(self, thread):
        self.runtime.ask("review/start", {"threadId": thread, "target": {
            "type": "custom", "instructions": "look at the garden"}})
        self.runtime.wait_for("turn/completed", lambda told: told["threadId"] == thread)

    def die(self):
        """The process is killed in the middle of a turn."""
        thread = self.thread()
        self.runtime.hang(thread, self.text())
        self.runtime.kill()


def answers(runtime):
    """What the runtime says of all it has."""
    said = {"threads": [], "archived": [], "turns": {}, "items": {}}
    for key, archived in (("threads", False), ("archived", True)):
        said[key] = runtime.all("thread/list", {
            "archived": archived, "sortKey": "created_at", "sourceKinds": SOURCES})
    for thread in said["threads"] + said["archived"]:
        key = thread["id"]
        said["turns"][key] = {
            view: runtime.all("thread/turns/list", {
                "threadId": key, "itemsView": view, "sortDirection": "asc"})
            for view in ("notLoaded", "summary", "full")}
        try:
            said["items"][key] = runtime.all("thread/items/list", {
                "threadId": key, "sortDirection": "asc"})
        except Failed as error:
            said["items"][key] = {"error": str(error)}
    return said


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


def entry(row):
    """An item with its times, wherever they stand."""
    item = dict(row["item"])
    for key in ("startedAtMs", "completedAtMs"):
        item.setdefault(key, row.get(key))
    return {"turnId": row["turnId"], "item": item}


def compare(said, ours):
    """All differences between the runtime's answers and ours, and how many answers were compared."""
    found, count = [], 0

    def same(theirs, mine, where):
        nonlocal count
        count += 1
        found.extend(differences(plain(theirs), plain(mine), where))

    for key, more in (("threads", []), ("archived", ["--archived"])):
        mine = {thread["id"]: thread for thread in ours.all("threads", *more)}
        same(sorted(thread["id"] for thread in said[key]), sorted(mine), key)
        for thread in said[key]:
            rest = mine.get(thread["id"], {})
            left = OWN | LOST_OF_SUBAGENTS if isinstance(thread["source"], dict) else OWN
            parts = [part for part in thread if part not in left]
            same({part: thread[part] for part in parts}, {part: rest.get(part) for part in parts},
                 "thread %s" % thread["id"])
    for thread, views in said["turns"].items():
        for view, turns in views.items():
            mine = ours.all("turns", thread, "--order", "asc", "--items",
                            "none" if view == "notLoaded" else view)
            same(turns, mine, "turns %s %s" % (thread, view))
    for thread, items in said["items"].items():
        if isinstance(items, list):
            mine = ours.all("items", thread, "--order", "asc")
            same([entry(row) for row in items], [entry(row) for row in mine], "items " + thread)
    return found, count


def write_home(binary, home, seed, steps):
    """Lets the runtime write a home by a script; what it answers of it afterwards, cold."""
    model = Model(seed)
    try:
        runtime = Runtime(binary, home, model)
        script = Script(runtime, home, seed)
        for _ in range(steps):
            script.step()
        if seed % 2:
            script.die()
        else:
            runtime.close()
        runtime = Runtime(binary, home, model)
        said = answers(runtime)
        runtime.close()
        return said
    finally:
        model.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", required=True, help="the built turnleaf")
    parser.add_argument("--runtime", required=True, help="the runtime's binary, codex 0.171.0")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--homes", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--keep", help="where homes and answers are kept that differ")
    args = parser.parse_args()
    wrong = total = 0
    for seed in range(args.seed, args.seed + args.homes):
        with tempfile.TemporaryDirectory(prefix="judge-") as scratch:
            home = os.path.join(scratch, "home")
            os.mkdir(home)
            said = write_home(args.runtime, home, seed, args.steps)
            ours = Ours(args.bin, os.path.join(scratch, "store"))
            code, out, err = ours.run("import", home)
            found, count = compare(said, ours)
            if code:
                found.insert(0, "import: exit %d: %s %s" % (code, out.decode()[:400], err[:400]))
            total += count
            wrong += len(found)
            print("seed %d: %d threads, %d answers compared, %d differences" % (
                seed, len(said["turns"]), count, len(found)))
            for line, times in alike(found):
                print("  %d x like %s" % (times, line))
            if found and args.keep:
                kept = os.path.join(args.keep, "seed-%d" % seed)
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(home, os.path.join(kept, "home"))
                with open(os.path.join(kept, "expected.json"), "w") as out:
                    json.dump(said, out)
    print("%d answers, %d differences" % (total, wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
