#!/usr/bin/env python3
"""The released runtime writes homes by seeded scripts; what it then answers of them is compared with
what the built command answers of an import of the same home. Then it opens what the command wrote,
and it migrates the legacy threads in place, which are compared again.

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
import sys
import tempfile

from comparison import Ours, alike, differences, entry, in_order, plain
from migrate import go_on, migrate, without_lost
from reopen import reopen
from runtime import Failed, Model, Runtime

# The live state of the runtime's process, its database alone, or the place of a file.
OWN = {"path", "status", "turns", "canAcceptDirectInput", "environments", "extra", "updatedAt",
       "recencyAt", "gitInfo", "forkedFromId"}
SOURCES = ["cli", "vscode", "exec", "appServer", "subAgent", "subAgentReview", "subAgentCompact",
           "subAgentThreadSpawn", "subAgentOther", "unknown"]
PIXEL = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwAD"
         "hgGAWjR9awAAAABJRU5ErkJggg==")
# What the runtime's list loses of a subagent, though the head of its rollout has it.
LOST_OF_SUBAGENTS = {"sessionId", "threadSource"}
# Where the runtime does not cut: the turn of a review within its outer turn never ends and is shown as
# broken off, and the outer one never begins.
NOT_CUT = "in-progress turn|persisted canonical turn|persisted start boundary"
WORDS = "draw the clock bridge garden river small number letter wall of in a".split()


class Script:
    """Random steps of a user over a few threads."""

    def __init__(self, runtime, home, seed):
        self.runtime, self.home = runtime, home
        self.random = random.Random(seed)
        self.threads = {}  # Live ones: id and whether a turn has run.
        self.modes = {}
        self.forks = {}  # Of which thread each is one.
        self.reverted = set()
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
        self.modes[made["thread"]["id"]] = mode
        return made["thread"]["id"]

    def step(self):
        thread = self.thread()
        if not self.threads[thread]:
            self.runtime.turn(thread, self.text())
            self.threads[thread] = True
            return
        do = self.random.choices(
            [self.turn, self.rich_turn, self.compact, self.name, self.archive, self.unarchive,
             self.interrupt, self.steer, self.review, self.fork, self.revert],
            [10, 3, 2, 2, 1, 1, 1, 1, 1, 4, 4])[0]
        do(thread)

    def some_turn(self, thread):
        """A turn of a thread, if it has one: mostly a late one, sometimes the first."""
        turns = self.runtime.all("thread/turns/list", {
            "threadId": thread, "itemsView": "notLoaded"})
        return turns and self.random.choice([turns[0], turns[-1], *turns])["id"]

    def fork(self, thread):
        """A fork of all, up to a turn or through one; mostly with a turn of its own."""
        turn = self.random.random() < 0.7 and self.some_turn(thread)
        end = {self.random.choice(["lastTurnId", "beforeTurnId"]): turn} if turn else {}
        params = {"threadId": thread, "excludeTurns": True}
        try:
            made = self.runtime.ask("thread/fork", dict(end, **params))
        except Failed as error:
            if not re.search(NOT_CUT, str(error)):
                raise
            made = self.runtime.ask("thread/fork", params)
        fork = made["thread"]["id"]
        self.threads[fork] = True
        self.modes[fork], self.forks[fork] = self.modes[thread], thread
        if self.random.random() < 0.7:
            self.runtime.turn(fork, self.text())

    def revert(self, thread):
        """A revert; of a legacy thread a fork, since those cannot be reverted."""
        turn = self.some_turn(thread)
        if self.modes[thread] == "legacy" or not turn:
            self.fork(thread)
            return
        try:
            self.runtime.ask("thread/revert", {"threadId": thread, "beforeTurnId": turn})
        except Failed as error:
            if not re.search(NOT_CUT, str(error)):
                raise
            return
        self.reverted.add(thread)
        if self.random.random() < 0.7:
            self.runtime.turn(thread, self.text())

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

    def takes_over(self, thread):
        """Whether a fork may be called by what a thread was called before it was reverted: where a
        fork names no turn, the runtime's database copies that, and no rollout says so."""
        while thread in self.forks:
            thread = self.forks[thread]
            if thread in self.reverted:
                return True
        return False

    def die(self):
        """The process is killed in the middle of a turn."""
        thread = self.thread()
        self.runtime.hang(thread, self.text())
        self.runtime.kill()


def answers(runtime):
    """What the runtime says of all it has."""
    said = {"threads": [], "archived": [], "read": {}, "turns": {}, "items": {}}
    for key, archived in (("threads", False), ("archived", True)):
        said[key] = runtime.all("thread/list", {
            "archived": archived, "sortKey": "created_at", "sourceKinds": SOURCES})
    for thread in said["threads"] + said["archived"]:
        key = thread["id"]
        if key in said["read"]:
            continue
        said["read"][key] = runtime.ask("thread/read", {"threadId": key})["thread"]
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


def nearest(rows, mine, left):
    """How a thread differs from what the runtime says of it. Its list has a row for each file of a
    thread that was reverted, and a read gives one more: any of them is right."""
    best = None
    for row in rows:
        lost = LOST_OF_SUBAGENTS if isinstance(row["source"], dict) else set()
        parts = row.keys() - left - lost
        found = list(differences(
            plain({part: row[part] for part in parts}),
            plain({part: mine.get(part) for part in parts}), "thread %s" % row["id"]))
        if best is None or len(found) < len(best):
            best = found
    return best


def compare(said, ours, script, migrated=()):
    """All differences between the runtime's answers and ours, and how many answers were compared.
    Some threads may be migrated."""
    found, count = [], 0

    def same(theirs, mine, where):
        nonlocal count
        count += 1
        found.extend(differences(plain(theirs), plain(mine), where))

    for key, more in (("threads", []), ("archived", ["--archived"])):
        mine = {thread["id"]: thread for thread in ours.all("threads", *more)}
        theirs = {thread["id"] for thread in said[key]}
        # The list of the runtime passes by what nobody has spoken in yet.
        silent = {thread for thread in mine if not mine[thread]["preview"]}
        same(sorted(theirs), sorted(mine.keys() - (silent - theirs)), key)
        for thread in sorted(theirs & mine.keys()):
            rows = [row for row in said[key] + [said["read"][thread]] if row["id"] == thread]
            count += 1
            left = OWN | {"preview"} if script.takes_over(thread) else OWN
            found.extend(nearest(rows, mine[thread], left))
            same(script.forks.get(thread), mine[thread]["forkedFromId"], "thread %s.fork" % thread)
    for thread, views in said["turns"].items():
        for view, turns in views.items():
            mine = ours.all("turns", thread, "--order", "asc", "--items",
                            "none" if view == "notLoaded" else view)
            if thread in script.forks:
                turns, mine = in_order(turns), in_order(mine)
            # What a process has of a turn that it broke off it shows in its own way while it runs.
            running = {turn["id"] for turn in turns if turn["status"] == "inProgress"}
            turns, mine = ([turn for turn in rows if turn["id"] not in running]
                           for rows in (turns, mine))
            if thread in migrated:
                turns, mine = without_lost(turns, mine)
            same(turns, mine, "turns %s %s" % (thread, view))
    for thread, items in said["items"].items():
        if isinstance(items, list):
            mine = ours.all("items", thread, "--order", "asc")
            same([entry(row) for row in items], [entry(row) for row in mine], "items " + thread)
    return found, count


def write_home(binary, home, seed, steps):
    """Lets the runtime write a home by a script. What it answers of it, live unless it was killed,
    and anew; and the script."""
    model = Model(seed)
    try:
        runtime = Runtime(binary, home, model)
        script = Script(runtime, home, seed)
        for _ in range(steps):
            script.step()
        live = None
        if seed % 2:
            script.die()
        else:
            live = answers(runtime)
            runtime.close()
        runtime = Runtime(binary, home, model)
        cold = answers(runtime)
        runtime.close()
        return [said for said in (live, cold) if said], script
    finally:
        model.close()


def imported(ours, home):
    """What is wrong with an import of a home."""
    code, out, err = ours.run("import", home)
    return ["import: exit %d: %s %s" % (code, out.decode()[:400], err[:400])] if code else []


def migrated(args, home, scratch, script, seed):
    """All differences once the runtime has migrated the legacy threads of the home and gone on with
    some, how many answers were compared, and how many threads were migrated. Asked are a store that
    had imported the home before, and one that has it anew."""
    before, anew = (Ours(args.bin, os.path.join(scratch, name)) for name in ("before", "anew"))
    found, count = imported(before, home), 0
    threads = migrate(args.runtime, home)
    model = Model(seed)
    try:
        for stores, goes_on in (([before], []), ([before, anew], sorted(threads)[::2])):
            runtime = Runtime(args.runtime, home, model)
            go_on(runtime, goes_on)
            runtime.close()
            runtime = Runtime(args.runtime, home, model)
            said = answers(runtime)
            runtime.close()
            for ours in stores:
                found += imported(ours, home)
                differs, compared = compare(said, ours, script, threads)
                found, count = found + differs, count + compared
        return ["migrated: " + line for line in found], count, len(threads)
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
            answered, script = write_home(args.runtime, home, seed, args.steps)
            ours = Ours(args.bin, os.path.join(scratch, "store"))
            found, count = imported(ours, home), 0
            for said in answered:
                differs, compared = compare(said, ours, script)
                found, count = found + differs, count + compared
            differs, compared = reopen(args.runtime, ours, scratch)
            found, count = found + differs, count + compared
            differs, compared, threads = migrated(args, home, scratch, script, seed)
            found, count = found + differs, count + compared
            total += count
            wrong += len(found)
            print("seed %d: %d threads, %d migrated, %d answers compared, %d differences" % (
                seed, len(said["turns"]), threads, count, len(found)))
            for line, times in alike(found):
                print("  %d x like %s" % (times, line))
            if found and args.keep:
                kept = os.path.join(args.keep, "seed-%d" % seed)
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(home, os.path.join(kept, "home"))
                with open(os.path.join(kept, "expected.json"), "w") as out:
                    json.dump(said, out)
                with open(os.path.join(kept, "forks.json"), "w") as out:
                    json.dump(script.forks, out)
    print("%d answers, %d differences" % (total, wrong))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
