#!/usr/bin/env python3
"""Changes the code where a mistake costs history, one small change at a time, and says which of
them no test notices.

  run.py list                 what may be changed, by room                     -> OUT/list.json
  run.py build                a copy with all changes in it, each behind a switch -> OUT/copy
  run.py reach                runs each test alone, and notes what it reaches    -> OUT/reach.json
  run.py try [--seed N] [--count N] [--all] [--rooms ROOM ...] [--again]
                              runs what reaches a change against it -> OUT/results.jsonl
  run.py table [--seed ...]   the table, and what survived

The results file says what was tried: `try` goes on where it was stopped. README.md has the method.
"""

import argparse
import collections
import concurrent.futures
import glob
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import weave

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# Room, package, files.
ROOMS = [
    ("commit", "turnleaf-engine", ["engine/src/log/*.rs", "engine/src/journal/writer.rs",
                                   "engine/src/journal/writer/*.rs", "engine/src/journal/pieces.rs",
                                   "engine/src/journal/file.rs", "engine/src/journal/frames.rs"]),
    ("commit", "turnleaf", ["store/src/commit.rs", "store/src/append.rs", "store/src/append/*.rs"]),
    ("sealing", "turnleaf-engine", ["engine/src/log/sealing/*.rs",
                                    "engine/src/stretch.rs", "engine/src/segment/write.rs"]),
    ("sealing", "turnleaf", ["store/src/sealer.rs"]),
    ("recovery", "turnleaf-engine", ["engine/src/recovery/*.rs", "engine/src/recovery/verdict/*.rs",
                                     "engine/src/journal/scan.rs"]),
    ("catalogue", "turnleaf-engine", ["engine/src/catalogue.rs", "engine/src/catalogue/*.rs",
                                      "engine/src/state.rs",
                                      "engine/src/view.rs"]),
    ("catch-up", "turnleaf", ["store/src/index/*.rs", "store/src/lines.rs", "store/src/notes.rs"]),
    ("paging", "turnleaf-projector", ["projector/src/index/*.rs"]),
    ("paging", "turnleaf", ["store/src/reads/pages.rs", "store/src/reads/pages/*.rs",
                            "store/src/reads/threads.rs"]),
    ("import", "turnleaf", ["store/src/import/*.rs"]),
]
NAMES = list(dict.fromkeys(room[0] for room in ROOMS))
# The tests: own unit tests of each crate, and the rigs that are quick enough.
SUITES = [("turnleaf-engine", ["--lib"]), ("turnleaf-projector", ["--lib"]),
          ("turnleaf", ["--lib"]), ("turnleaf-tests", ["--test", "it"])]
# The tests ask what the code does, not what the disk does.
MEMORY = {"TMPDIR": "/dev/shm"} if os.path.isdir("/dev/shm") else {}
# Tests that run now.
RUNNING = set()
SWITCH = """
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex};

static CHOSEN: LazyLock<usize> = LazyLock::new(|| {
    let chosen = std::env::var("TURNLEAF_MUTANT");
    chosen.ok().and_then(|text| text.parse().ok()).unwrap_or(0)
});
static TRACE: LazyLock<Option<Mutex<std::fs::File>>> = LazyLock::new(|| {
    let path = std::env::var("TURNLEAF_MUTANT_TRACE").ok()?;
    let file = std::fs::File::options().create(true).append(true).open(path).ok()?;
    Some(Mutex::new(file))
});
static REACHED: [AtomicBool; 1 << 16] = [const { AtomicBool::new(false) }; 1 << 16];

/// Whether this change is the one that was chosen.
pub fn mutant(number: usize) -> bool {
    if let Some(trace) = &*TRACE
        && !REACHED[number].swap(true, Ordering::Relaxed)
        && let Ok(mut trace) = trace.lock()
    {
        let _ = writeln!(trace, "{number}");
    }
    *CHOSEN == number
}
"""


def load(path, empty=None):
    if not os.path.exists(path):
        return empty
    with open(path) as file:
        return json.load(file)


def save(path, value):
    with open(path + ".new", "w") as file:
        json.dump(value, file, indent=0)
    os.replace(path + ".new", path)


def list_changes(out):
    """Everything that `cargo mutants` would change in the rooms, numbered from 1."""
    found = []
    for room, package, patterns in ROOMS:
        args = ["cargo", "mutants", "--list", "--json", "--package", package]
        for pattern in patterns:
            for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
                args += ["--file", os.path.relpath(path, ROOT)]
        listed = subprocess.run(args, cwd=ROOT, stdout=subprocess.PIPE, check=True)
        for change in json.loads(listed.stdout):
            if "tests" in change["file"]:
                continue
            found.append(dict(change, room=room, number=len(found) + 1))
    save(os.path.join(out, "list.json"), found)
    for stale in ("reach.json", "results.jsonl"):
        if os.path.exists(os.path.join(out, stale)):
            os.remove(os.path.join(out, stale))
    for room in NAMES:
        print("%-10s %d" % (room, sum(change["room"] == room for change in found)))


def copy_sources(out):
    copy = os.path.join(out, "copy")
    args = ["git", "ls-files", "-z", "-co", "--exclude-standard"]
    names = subprocess.run(args, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    for name in names.stdout.decode().split("\0")[:-1]:
        target = os.path.join(copy, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        write(target, open(os.path.join(ROOT, name), "rb").read())
    lib = os.path.join(copy, "format-spec/src/lib.rs")
    text = open(lib).read() + "\nmod mutants;\npub use mutants::mutant;\n"
    write(lib, text.encode())
    write(os.path.join(copy, "format-spec/src/mutants.rs"), SWITCH.encode())
    return copy


def write(path, data):
    """Leaves a file that is right already alone, so that it is not built again."""
    if not os.path.exists(path) or open(path, "rb").read() != data:
        with open(path, "wb") as file:
            file.write(data)


def weave_all(copy, changes, dropped):
    files = collections.defaultdict(list)
    for change in changes:
        if change["number"] not in dropped:
            files[change["file"]].append(change)
    for path, of_file in files.items():
        file = weave.File(open(os.path.join(ROOT, path)).read())
        for change in of_file:
            if not file.add(change["number"], change):
                dropped[change["number"]] = "not woven"
        write(os.path.join(copy, path), file.woven().encode())


def blamed(copy, message):
    """Numbers of the changes in which the compiler found an error."""
    spans = list(message["spans"])
    for child in message["children"]:
        spans += child["spans"]
    spans.sort(key=lambda span: not span["is_primary"])
    for span in spans:
        path = os.path.join(copy, span["file_name"])
        text = open(path, "rb").read() if os.path.exists(path) else b""
        open_ones = []
        for mark in re.finditer(rb"/\*(?:<(\d+)|(\d+)>)\*/", text[:span["byte_start"]]):
            open_ones.append(int(mark[1])) if mark[1] else open_ones.pop()
        if open_ones:
            return open_ones[-1]
    return None


def cargo(copy, *args):
    """What cargo says, line by line."""
    done = subprocess.run(["cargo", *args], cwd=copy, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def errors_of(said):
    return [line["message"] for line in said if line["reason"] == "compiler-message"
            and line["message"]["level"] == "error" and line["message"]["spans"]]


def build(out, suites):
    """Builds the copy, leaving out what does not compile; notes the binaries of the tests."""
    changes = load(os.path.join(out, "list.json"))
    copy, dropped, binaries = copy_sources(out), {}, {}
    steps = [("check", "--lib", "-p", package) for package, _ in SUITES[:3]]
    steps += [("test", "--no-run", "-p", package, *args) for package, args in suites]
    while steps:
        weave_all(copy, changes, dropped)
        said = cargo(copy, *steps[0], "--locked", "--message-format=json")
        found = {blamed(copy, error) for error in errors_of(said)} - {None}
        for number in found:
            dropped[number] = "does not compile"
        print(steps[0], "%d changes left out" % len(found), flush=True)
        if not found:
            if not said or not said[-1].get("success"):
                sys.exit("".join(error["rendered"] for error in errors_of(said)))
            built = [line["executable"] for line in said if line.get("executable")]
            for binary in built:
                binaries[steps[0][3]] = os.path.join(out, steps[0][3])
                # The one before may be running.
                shutil.copy(binary, binaries[steps[0][3]] + ".new")
                os.replace(binaries[steps[0][3]] + ".new", binaries[steps[0][3]])
            steps.pop(0)
    save(os.path.join(out, "built.json"), {"binaries": binaries, "dropped": dropped})
    print("%d changes, %s" % (len(changes) - len(dropped),
                              collections.Counter(dropped.values())))


def run_tests(copy, package, binary, names, limit, **env):
    """Runs these tests until one fails: None if all passed, else the test, or "clock"."""
    folder = {"turnleaf-engine": "engine", "turnleaf-projector": "projector", "turnleaf": "store",
              "turnleaf-tests": "tests"}[package]
    args = [binary, "--exact", "--test-threads=1", *names]
    process = subprocess.Popen(args, cwd=os.path.join(copy, folder), text=True, errors="replace",
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True,
                               env=dict(os.environ, **MEMORY, **env))
    RUNNING.add(process.pid)
    watchdog = concurrent.futures.ThreadPoolExecutor(1)
    reading = watchdog.submit(read_until_failed, process)
    try:
        verdict = reading.result(timeout=limit)
    except concurrent.futures.TimeoutError:
        verdict = "clock"
    end(process.pid)
    process.wait()
    watchdog.shutdown()
    return verdict


def end(pid):
    """Ends a test and all that it began."""
    RUNNING.discard(pid)
    try:
        os.killpg(pid, 9)
    except ProcessLookupError:
        pass


def end_all(*_):
    """A change may make a test spin for ever: none outlives this script."""
    for pid in list(RUNNING):
        end(pid)
    os._exit(1)


def read_until_failed(process):
    seen = ""
    for line in process.stdout:
        name = re.match(r"test (\S+) (?:- should panic )?\.\.\. ", line)
        seen = name[1] if name else seen
        if line.rstrip().endswith("... FAILED") or line.rstrip() == "FAILED":
            return seen
    return None if process.wait() == 0 else "%s (exit %d)" % (seen, process.returncode)


def reach(out):
    """Runs every test alone without a change: how long it takes and which changes it reaches. What
    is known stays; `list` begins anew."""
    built, copy = load(os.path.join(out, "built.json")), os.path.join(out, "copy")
    path = os.path.join(out, "reach.json")
    known, tests = load(path, []), []
    names_known = {(test["package"], test["name"]) for test in known}
    for package, binary in built["binaries"].items():
        listed = subprocess.run([binary, "--list", "--format", "terse"], stdout=subprocess.PIPE,
                                check=True, text=True, cwd=copy)
        names = re.findall(r"^(\S+): test$", listed.stdout, re.M)
        tests += [(package, name) for name in names
                  if (package, name) not in names_known and not name.startswith("house::")]

    def one(test):
        package, name = test
        trace = os.path.join(out, "trace-%s-%s" % (package, name.replace("::", "-")))
        begun = time.monotonic()
        verdict = run_tests(copy, package, built["binaries"][package], [name],
                            60, TURNLEAF_MUTANT_TRACE=trace)
        took = time.monotonic() - begun
        reached = set()
        if os.path.exists(trace):
            reached = {int(line) for line in open(trace).read().split()}
            os.remove(trace)
        if verdict:
            print("left out: %s %s: %s after %.0f s" % (package, name, verdict, took), flush=True)
            took, reached = 1e9, set()
        return {"package": package, "name": name, "seconds": took, "reached": sorted(reached)}

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = known + list(pool.map(one, tests))
    save(path, found)
    print("%d tests" % len(found))


def chosen(out, args):
    """The changes that are made: equal parts of each room, as far as it has so many."""
    built = load(os.path.join(out, "built.json"))
    left = {room: [] for room in NAMES}
    for change in load(os.path.join(out, "list.json")):
        if str(change["number"]) not in built["dropped"]:
            left[change["room"]].append(change)
    rng, picked = random.Random(args.seed), []
    count = sum(map(len, left.values())) if args.all else args.count
    for of_room in left.values():
        rng.shuffle(of_room)
    while len(picked) < count and any(left.values()):
        for of_room in left.values():
            if of_room and len(picked) < count:
                picked.append(of_room.pop())
    return [change for change in picked if change["room"] in args.rooms]


def results(out):
    path, found = os.path.join(out, "results.jsonl"), {}
    if os.path.exists(path):
        for line in open(path):
            result = json.loads(line)
            found[result["name"]] = result
    return found


def try_all(out, args):
    built, copy = load(os.path.join(out, "built.json")), os.path.join(out, "copy")
    tests = [test for test in load(os.path.join(out, "reach.json"))
             if test["seconds"] <= args.seconds and re.search(args.tests, test["name"])]
    tests.sort(key=lambda test: test["seconds"])
    known = results(out)
    todo = [change for change in chosen(out, args)
            if change["name"] not in known
            or args.again and not known[change["name"]]["by"]]

    def one(change):
        number = change["number"]
        own = {"engine": "turnleaf-engine", "projector": "turnleaf-projector", "store": "turnleaf"}
        own = own[change["file"].split("/")[0]]
        packages = [own] if args.own else sorted(built["binaries"], key=lambda one: one != own)
        reaching = [test for test in tests if number in test["reached"]]
        for package in packages:
            of_package = [test for test in reaching if test["package"] == package]
            for part in (of_package[:6], of_package[6:30], of_package[30:]):
                if part:
                    limit = 10 + 5 * sum(test["seconds"] for test in part)
                    by = run_tests(copy, package, built["binaries"][package],
                                   [test["name"] for test in part], limit,
                                   TURNLEAF_MUTANT=str(number))
                    if by:
                        return {"name": change["name"], "by": by, "package": package}
        return {"name": change["name"], "by": None, "reached": len(reaching)}

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        trials = [pool.submit(one, change) for change in todo]
        for at, trial in enumerate(concurrent.futures.as_completed(trials)):
            result = trial.result()
            with open(os.path.join(out, "results.jsonl"), "a") as file:
                file.write(json.dumps(result) + "\n")
            if not result["by"] or result["by"] == "clock":
                print("%d/%d %s" % (at + 1, len(todo), json.dumps(result)), flush=True)
    table(out, args)


def table(out, args):
    known, picked = results(out), chosen(out, args)
    picked = [change for change in picked if change["name"] in known]
    lines = ["| room | changes | caught | by the clock | survived |", "|---|---|---|---|---|"]
    survived = []
    for room in args.rooms:
        counts = collections.Counter()
        for change in picked:
            if change["room"] == room:
                by = known[change["name"]]["by"]
                counts["clock" if by == "clock" else "caught" if by else "survived"] += 1
                if not by:
                    survived.append(known[change["name"]])
        lines.append("| %s | %d | %d | %d | %d |" % (room, sum(counts.values()), counts["caught"],
                                                     counts["clock"], counts["survived"]))
    print("\n".join(lines))
    for result in survived:
        print("%s (%d tests reach it)" % (result["name"], result["reached"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["list", "build", "reach", "try", "table"])
    parser.add_argument("--out", default=os.path.join(ROOT, "target", "mutants"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=560)
    parser.add_argument("--all", action="store_true", help="every change, not so many by a seed")
    parser.add_argument("--rooms", nargs="*", default=NAMES, choices=NAMES, metavar="ROOM")
    parser.add_argument("--rigs", action="store_true", help="build the rigs of tests/it, too")
    parser.add_argument("--again", action="store_true", help="try what survived once more")
    parser.add_argument("--own", action="store_true", help="with the tests of its crate alone")
    parser.add_argument("--seconds", type=float, default=5, help="with tests that take no longer")
    parser.add_argument("--tests", default="", metavar="REGEX", help="with these tests alone")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    signal.signal(signal.SIGTERM, end_all)
    signal.signal(signal.SIGINT, end_all)
    if args.what == "list":
        list_changes(args.out)
    elif args.what == "build":
        build(args.out, SUITES if args.rigs else SUITES[:3])
    elif args.what == "reach":
        reach(args.out)
    elif args.what == "try":
        try_all(args.out, args)
    else:
        table(args.out, args)


if __name__ == "__main__":
    main()
