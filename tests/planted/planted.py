#!/usr/bin/env python3
"""Plants mistakes (mistakes/) in the store, one at a time, and says which rig catches each.

A copy of the tree with all patches is built once; the variable TURNLEAF_BUG then chooses the
mistake. Without one every rig must pass; with one, a rig that fails has caught it. By default every
mistake runs against every rig; `--quick` runs each against the test that README.md names alone, and
all must be caught. Needs no packages.
"""

import argparse
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
import patches  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TABLE = os.path.join(HERE, "README.md")
# What stands behind this line of the page is written by a matrix.
MARK = "<!-- written by planted.py -->\n"
# Name, package, target, and what of it belongs to the rig.
RIGS = [
    ("format", "turnleaf-format", "lib", []),
    ("vectors", "turnleaf-format", "it", []),
    ("engine", "turnleaf-engine", "lib", []),
    ("projector", "turnleaf-projector", "lib", []),
    ("store", "turnleaf", "lib", []),
    ("cli", "turnleaf-cli", "cli", []),
    ("laws", "turnleaf-tests", "it", ["projection::", "texts::"]),
    ("repair", "turnleaf-tests", "it", ["repair::"]),
    ("rot", "turnleaf-tests", "it", ["rot::"]),
    ("model", "turnleaf-tests", "it", ["model::"]),
    ("crash log", "turnleaf-tests", "it",
     ["crash::failing", "crash::full", "crash::random", "crash::stopped"]),
    ("rotation", "turnleaf-tests", "it", ["rotation::"]),
    ("crash store", "turnleaf-tests", "it", ["crash::store", "full_disk::"]),
    ("black box", "turnleaf-cli", "turnleaf", []),
]
NAMES = [rig[0] for rig in RIGS]
# What a rig is made of, where that is not all: it cannot meet mistakes of the rest.
LOG = ["format-spec", "engine"]
FOLD = ["format-spec", "projector"]
STORE = ["format-spec", "engine", "projector", "store"]
PARTS = {"format": ["format-spec"], "vectors": ["format-spec"], "engine": LOG, "crash log": LOG,
         "rotation": STORE,
         "rot": LOG, "repair": LOG, "projector": FOLD, "laws": FOLD, "store": STORE,
         "crash store": STORE, "model": STORE}
ALL_PARTS = [*STORE, "cli"]
# These do something else at every run, so a table names them only where nothing else catches.
UNSTEADY = ["model", "black box"]
BLACK_BOX = ["stop", "writers", "short", "full", "filled", "errors", "delete", "kill"]


def bugs():
    """Names of the mistakes with what they are."""
    return {name: mistake.what for name, mistake in patches.mistakes().items()}


def homes():
    """The crate where each mistake is planted."""
    return {name: min(mistake.hunks).split("/")[0] for name, mistake in patches.mistakes().items()}


def build():
    """Builds everything once; says where each target of a package is, and the package's folder."""
    target = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
    planted = os.path.join(target, "planted")
    tree = os.path.join(planted, "tree", "turnleaf")
    patches.copy(tree)
    # The rigs look for shared cases beside the tree.
    shared, beside = os.path.join(ROOT, "..", "shared"), os.path.join(planted, "tree", "shared")
    if os.path.exists(shared) and not os.path.exists(beside):
        os.symlink(os.path.realpath(shared), beside)
    # The crates that the tree takes from elsewhere are built once for both: the copy's own have
    # another version, so that cargo keeps them apart from those of the tree.
    env = dict(os.environ, CARGO_TARGET_DIR=planted)
    env.setdefault("CARGO_BUILD_BUILD_DIR", target)
    env.pop("TURNLEAF_BUG", None)
    command = ["cargo", "test", "--locked", "--no-run", "--quiet",
               "--message-format=json-render-diagnostics",
               "--lib", "--test", "*"]
    for package in sorted({rig[1] for rig in RIGS}):
        command += ["-p", package]
    made = subprocess.run(command, cwd=tree, env=env, stdout=subprocess.PIPE, check=True)
    built = {}
    for line in made.stdout.splitlines():
        message = json.loads(line)
        path = message.get("executable")
        if message["reason"] != "compiler-artifact" or not path:
            continue
        folder = os.path.dirname(message["manifest_path"])
        package = re.search(r'^name = "(.*)"', open(message["manifest_path"]).read(), re.M)[1]
        kind, name = message["target"]["kind"][0], message["target"]["name"]
        if kind == "bin" and message["profile"]["test"]:
            continue
        built[package, "lib" if kind == "lib" else name] = (path, folder)
    return built


def command_of(built, rig, only):
    """What runs a rig, or one test of it, and in which folder."""
    _, package, target, filters = next(known for known in RIGS if known[0] == rig)
    path, folder = built[package, target]
    if rig == "black box":
        script = os.path.join(ROOT, "tests", "blackbox", "blackbox.py")
        names = [only] if only else BLACK_BOX
        seconds = "10" if only else "4"
        return [sys.executable, script, "--bin", path, "--seconds", seconds, *names], ROOT
    wanted = ["--exact", only] if only else filters
    return [path, "--test-threads=1", *wanted], folder


class Caught(Exception):
    pass


def watch(process):
    """Reads what a rig says, until it names the first thing that failed."""
    name = None
    for line in process.stdout:
        begun = re.match(r"test (\S+)(?: - should panic)? \.\.\. ", line)
        name = begun[1] if begun else name
        box = re.match(r"(\w+): (VIOLATION)", line)
        if box:
            raise Caught(box[1])
        if line.rstrip().endswith("FAILED") and not line.startswith("test result"):
            raise Caught(name or "?")
    # It is looked at and not yet reaped: until then its number is no other process's.
    ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    if ended.si_code != os.CLD_EXITED or ended.si_status != 0:
        raise Caught(name or "?")


def run(built, limit, rig, bug, only=None):
    """Runs a rig with a mistake planted, up to its first failure: (verdict, test, seconds)."""
    command, folder = command_of(built, rig, only)
    env = dict(os.environ, RUST_BACKTRACE="0", PROPTEST_CASES="128", PROPTEST_MAX_SHRINK_ITERS="0",
               PROPTEST_RNG_SEED="1", PROPTEST_DISABLE_FAILURE_PERSISTENCE="true")
    env.pop("TURNLEAF_BUG", None)
    if bug:
        env["TURNLEAF_BUG"] = bug
    started = time.time()
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, errors="replace", start_new_session=True)
    late = threading.Event()

    def stop():
        late.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(limit, stop)
    timer.start()
    try:
        watch(process)
        verdict, test = "missed", None
    except Caught as failure:
        verdict, test = "caught", str(failure)
    seconds = time.time() - started
    timer.cancel()
    timer.join()
    if late.is_set():
        verdict, test = "hangs", None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return verdict, test, round(seconds, 2)


def run_all(built, cells, args, tell):
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        waiting = {pool.submit(run, built, args.limit, rig, bug, only): (bug, rig, only)
                   for bug, rig, only in cells}
        for done in concurrent.futures.as_completed(waiting):
            bug, rig, only = waiting[done]
            tell(bug, rig, only, *done.result())


def matrix(built, args, known):
    """Every mistake against every rig. What an earlier run found is kept in `--results`."""
    results = {}
    if args.results and os.path.exists(args.results):
        results = json.load(open(args.results))
    home = dict(homes(), **{"": "format-spec"})
    cells = [(bug, rig, None) for rig in args.rigs for bug in ["", *known]
             if rig not in results.get(bug, {}) and home[bug] in PARTS.get(rig, ALL_PARTS)]

    def tell(bug, rig, _, verdict, test, seconds):
        results.setdefault(bug, {})[rig] = [verdict, test, seconds]
        print("%-22s %-12s %-7s %6.1f s  %s" % (bug or "(none)", rig, verdict, seconds, test or ""),
              flush=True)
        if args.results:
            with open(args.results + ".new", "w") as out:
                json.dump(results, out, indent=1)
            os.replace(args.results + ".new", args.results)

    run_all(built, cells, args, tell)
    return results


def table(results, known):
    """The table of README.md, and per rig what it is the first or the only one to catch."""
    lines = ["| mistake | what it is | caught by | in the test | seconds | also caught by |",
             "|---|---|---|---|---|---|"]
    first, alone, hold, missed = {}, {}, {}, []
    for bug, what in known.items():
        cells = results.get(bug, {})
        caught = sorted((rig in UNSTEADY, cell[2], rig) for rig, cell in cells.items()
                        if cell[0] == "caught")
        hangs = [rig for rig, cell in cells.items() if cell[0] == "hangs"]
        others = ["%s %.1f" % (rig, seconds) for _, seconds, rig in caught[1:]]
        others = ", ".join(others + ["%s (hangs)" % rig for rig in hangs]) or "-"
        if caught:
            _, seconds, rig = caught[0]
            first.setdefault(rig, []).append(bug)
            if len(caught) == 1:
                alone.setdefault(rig, []).append(bug)
            for _, _, name in caught:
                hold[name] = hold.get(name, 0) + 1
            row = (bug, what, rig, "`%s`" % cells[rig][1], "%.1f" % seconds, others)
        else:
            missed.append(bug)
            row = (bug, what, "**nothing**", "-", "-", others)
        lines.append("| %s |" % " | ".join(row))
    lines += ["", "| rig | run against | catches | named above | alone | without a mistake, s |",
              "|---|---|---|---|---|---|"]
    for rig in NAMES:
        clean = results.get("", {}).get(rig, ["?", None, 0])
        against = sum(bug in known and rig in cells for bug, cells in results.items())
        lines.append("| %s | %d | %d | %d | %s | %.1f |" % (
            rig, against, hold.get(rig, 0), len(first.get(rig, [])),
            ", ".join(alone.get(rig, [])) or "-", clean[2]))
    return "\n".join(lines) + "\n", missed


def expected():
    """What the committed table says: mistake -> (rig, test)."""
    rows = re.findall(r"^\| (\w+) \| [^|]* \| ([\w ]+) \| `(\S+)` \|", open(TABLE).read(), re.M)
    return {bug: (rig, test) for bug, rig, test in rows}


def quick(built, args, known):
    told = expected()
    every = bugs()
    unknown = [bug for bug in every if bug not in told] + [bug for bug in told if bug not in every]
    if unknown:
        print("README.md and mistakes/ do not name the same mistakes: %s" % ", ".join(unknown))
        return False
    wrong = []

    def tell(bug, rig, only, verdict, _, seconds):
        if verdict != ("caught" if bug else "missed"):
            wrong.append("%s: %s by %s %s" % (bug or "without a mistake", verdict, rig, only))
        if args.verbose:
            print("%-22s %-10s %-7s %5.1f s  %s" % (bug or "(none)", rig, verdict, seconds, only))

    # The same tests pass without a mistake: else they would catch anything.
    cells = [(bug, *told[bug]) for bug in known]
    clean = [("", *place) for place in sorted(set(told.values()))]
    run_all(built, cells + clean, args, tell)
    for line in wrong:
        print(line)
    print("%d mistakes caught, %d not as the table says" % (len(known) - len(wrong), len(wrong)))
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="only what README.md names")
    parser.add_argument("--jobs", type=int, default=2, help="rigs at a time (default 2)")
    parser.add_argument("--limit", type=float, default=60,
                        help="seconds after which a rig is stopped (default 60)")
    parser.add_argument("--results", help="a file that keeps the cells of a matrix")
    parser.add_argument("--rigs", nargs="*", default=NAMES, choices=NAMES, metavar="RIG")
    parser.add_argument("--write", action="store_true", help="write the tables into README.md")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--check", action="store_true",
                        help="only say whether all patches fit the tree")
    parser.add_argument("--renew", action="store_true",
                        help="only write the patches with the lines that stand around them now")
    parser.add_argument("bugs", nargs="*", metavar="MISTAKE")
    args = parser.parse_args()
    wrong = patches.check()
    print("\n".join(wrong), end="\n" if wrong else "")
    if wrong or args.check:
        sys.exit(1 if wrong else 0)
    if args.renew:
        sys.exit(patches.renew())
    known = bugs()
    for bug in args.bugs:
        if bug not in known:
            parser.error("there is no mistakes/%s.patch" % bug)
    if args.write and (args.bugs or args.rigs != NAMES):
        parser.error("the tables of README.md are of all mistakes and all rigs")
    if args.bugs:
        known = {bug: known[bug] for bug in args.bugs}
    started = time.time()
    built = build()
    print("built in %.0f s" % (time.time() - started), flush=True)
    if args.quick:
        sys.exit(0 if quick(built, args, known) else 1)
    results = matrix(built, args, known)
    text, missed = table(results, known)
    print(text)
    if args.write:
        page = open(TABLE).read()
        with open(TABLE, "w") as out:
            out.write(page[:page.index(MARK)] + MARK + "\n" + text)
    red = [rig for rig in args.rigs if results[""][rig][0] != "missed"]
    if red:
        print("fail without a mistake: %s" % ", ".join(red))
    if missed:
        print("caught by nothing: %s" % ", ".join(missed))
    sys.exit(1 if red or missed else 0)


if __name__ == "__main__":
    main()
