#!/usr/bin/env python3
"""Changes the code where a mistake costs history, one small change at a time, and says which of them
no test notices.

  run.py [--seed N] [--count N] [--rooms ROOM ...] [--out DIR] [--list]

`cargo mutants` makes the changes (needs it installed); each is run against the fast tests of its crate
alone. Of all changes that are possible in the rooms, COUNT are chosen by SEED, in equal parts of each
room as far as it has so many. The result is a table, DIR/table.md; a change that survives is killed by
a test at the border, or stands in README.md with the reason why nobody could tell.
"""

import argparse
import collections
import json
import os
import random
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# Name, package, files, and the arguments of its fast tests.
ROOMS = [
    ("commit", "turnleaf-engine", ["engine/src/log/*.rs", "engine/src/journal/**/*.rs"], ["--lib"]),
    ("sealing", "turnleaf-engine", ["engine/src/seal.rs", "engine/src/segment/*.rs"], ["--lib"]),
    ("recovery", "turnleaf-engine", ["engine/src/recovery/**/*.rs"], ["--lib"]),
    ("catalogue", "turnleaf-engine", ["engine/src/catalogue.rs", "engine/src/state.rs",
                                      "engine/src/view.rs"], ["--lib"]),
    ("paging", "turnleaf-projector", ["projector/src/index/*.rs"], ["--lib"]),
    ("catch-up", "turnleaf", ["store/src/leaves/catch_up.rs", "store/src/leaves/pages.rs",
                              "store/src/leaves/threads.rs"], ["--lib"]),
    ("import", "turnleaf", ["store/src/import/*.rs", "store/src/commit.rs", "store/src/append.rs"],
     ["--lib"]),
]
NAMES = [room[0] for room in ROOMS]
OUTCOMES = {"CaughtMutant": "caught", "MissedMutant": "survived", "Timeout": "hung",
            "Unviable": "did not compile"}


def cargo_mutants(*args, **options):
    return subprocess.run(["cargo", "mutants", *args], cwd=ROOT, **options)


def unbuilt(path):
    """Numbers of the lines that only stand in a build with planted mistakes."""
    lines, numbers = open(os.path.join(ROOT, path)).read().split("\n"), set()
    for at, line in enumerate(lines):
        if line.strip() != "#[cfg(turnleaf_bugs)]":
            continue
        depth = 0
        for number in range(at + 1, len(lines)):
            numbers.add(number + 1)
            text = lines[number]
            depth += sum(map(text.count, "([{")) - sum(map(text.count, ")]}"))
            if depth <= 0 and text.rstrip().endswith((";", "}", ",")):
                break
    return numbers


def possible(room):
    """All changes of a room, as the tool names them, in its order."""
    _, package, files, _ = room
    args = ["--list", "--json", "--package", package]
    for file in files:
        args += ["--file", file]
    listed = cargo_mutants(*args, stdout=subprocess.PIPE, check=True)
    mutants = [mutant for mutant in json.loads(listed.stdout) if "/tests" not in mutant["file"]]
    planted = {path: unbuilt(path) for path in {mutant["file"] for mutant in mutants}}
    return [mutant["name"] for mutant in mutants
            if mutant["span"]["start"]["line"] not in planted[mutant["file"]]]


def chosen(rooms, count, seed):
    """The changes that are made, by room."""
    rng = random.Random(seed)
    left = {}
    for room in rooms:
        left[room[0]] = possible(room)
        rng.shuffle(left[room[0]])
    picked = {name: [] for name in left}
    while count > 0 and any(left.values()):
        for name in left:
            if left[name] and count > 0:
                picked[name].append(left[name].pop())
                count -= 1
    return picked


def run(room, names, out, limit):
    """Makes the changes, one at a time; gives the outcome of each."""
    name, package, files, tests = room
    folder = os.path.join(out, name)
    args = ["--package", package, "--test-package", package, "--output", folder,
            "--timeout", str(limit), "--build-timeout", "900", "--cap-lints", "true",
            "--no-shuffle", "--colors", "never", "--cargo-arg=--locked",
            "--profile", "test", "--baseline", "run"]
    for file in files:
        args += ["--file", file]
    for mutant in names:
        args += ["--re", "^" + re.escape(mutant) + "$"]
    # Survivors make the tool end with a failure of its own; what they are stands in its report.
    done = cargo_mutants(*args, "--", *tests)
    with open(os.path.join(folder, "mutants.out", "outcomes.json")) as file:
        outcomes = json.load(file)["outcomes"]
    found = {}
    for outcome in outcomes:
        if outcome["scenario"] == "Baseline":
            if outcome["summary"] != "Success":
                sys.exit("%s: the tests fail without a change" % name)
        else:
            found[outcome["scenario"]["Mutant"]["name"]] = OUTCOMES.get(
                outcome["summary"], outcome["summary"])
    missing = set(names) - set(found)
    if missing:
        sys.exit("%s: %d changes were not made (exit %d)" % (name, len(missing), done.returncode))
    return found


def table(results):
    kinds = ["caught", "hung", "survived", "did not compile"]
    lines = ["| room | changes | " + " | ".join(kinds) + " |", "|---|---|" + "---|" * len(kinds)]
    for name, found in results.items():
        counts = collections.Counter(found.values())
        numbers = [str(counts[kind]) for kind in kinds]
        lines.append("| %s | %d | %s |" % (name, len(found), " | ".join(numbers)))
    for kind in ("survived", "hung"):
        names = [mutant for found in results.values() for mutant in sorted(found)
                 if found[mutant] == kind]
        lines += ["", "%s: %d" % (kind, len(names)), ""] + ["- `%s`" % mutant for mutant in names]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=560)
    parser.add_argument("--rooms", nargs="*", default=NAMES, choices=NAMES, metavar="ROOM")
    parser.add_argument("--limit", type=int, default=180, help="seconds for the tests of one change")
    parser.add_argument("--out", default=os.path.join(ROOT, "target", "mutants"))
    parser.add_argument("--list", action="store_true", help="only say which changes are chosen")
    args = parser.parse_args()
    rooms = [room for room in ROOMS if room[0] in args.rooms]
    picked = chosen(rooms, args.count, args.seed)
    if args.list:
        for name, names in picked.items():
            print("%s: %d" % (name, len(names)))
            for mutant in names:
                print("  %s" % mutant)
        return
    results = {}
    for room in rooms:
        if picked[room[0]]:
            results[room[0]] = run(room, picked[room[0]], args.out, args.limit)
            with open(os.path.join(args.out, "table.md"), "w") as file:
                file.write(table(results))
    print(table(results))
    survived = any("survived" in found.values() for found in results.values())
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
