#!/usr/bin/env python3
"""Faults that users met, as small inputs: what is right of each is asked of the built command.

  field.py --bin PATH [--cases DIR] [CASE ...]

DIR holds the inputs, by default ../shared/field beside the repository; where it is not there, as in a
lone clone, nothing is run and that is said. A case that is known to be wrong (KNOWN) is run, too: it
fails the run when it has become right, so that it is taken off the list.
"""

import argparse
import glob
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT = 120  # seconds that any command may take
PAGINATED = "019c0000-0000-7000-8000-000000000001"
LEGACY = "019c0000-0000-7000-8000-000000000002"
LARGE = "019d0000-0000-7000-8000-0000000003e8"
# Cases that are wrong as yet.
KNOWN = []


class Wrong(Exception):
    pass


class Skipped(Exception):
    pass


def right(condition, what, *more):
    if not condition:
        raise Wrong(what + "".join(" | %s" % (part,) for part in more))


class Field:
    def __init__(self, binary, cases, dir):
        self.binary, self.cases, self.dir = binary, cases, dir
        self.store = os.path.join(dir, "s")

    def path(self, name):
        return os.path.join(self.dir, name)

    def run(self, *args, data=None, wrap=(), store=None):
        """Exit code, standard output, and both as text."""
        command = [*wrap, self.binary, "--store", store or self.store, *args]
        try:
            done = subprocess.run(command, input=data, capture_output=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise Wrong("%s hangs" % (args,))
        text = (done.stderr[-2000:] + done.stdout[:2000]).decode(errors="replace").strip()
        right("panicked" not in text and done.returncode >= 0, "%s panics" % (args,), text)
        return done.returncode, done.stdout, text

    def done(self, *args, **options):
        code, out, text = self.run(*args, **options)
        right(code == 0, "%s: exit %d" % (args, code), text)
        return out

    def sample(self, name):
        return os.path.join(ROOT, "samples", name + ".jsonl")

    def rollout(self, turns):
        """A paginated rollout of so many turns, seven lines each, as bytes."""
        sys.path.insert(0, self.cases)
        import rollouts
        made = rollouts.P(LARGE)
        for turn in range(turns):
            made.turn("t%d" % turn, "Question %d" % turn, "Answer %d " % turn + "y" * 200)
        return made.text().encode()

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def bytes_of(self, folder):
        files = glob.glob(os.path.join(self.store, folder, "*"))
        return sum(os.path.getsize(path) for path in files)

    def made(self, case):
        """The inputs of a case, made anew."""
        out = self.path("in")
        make = os.path.join(self.cases, case, "make.py")
        subprocess.run([sys.executable, make, out], check=True, stdout=subprocess.DEVNULL)
        return out

    def json(self, *args, code=0, **options):
        found, out, text = self.run("--json", *args, **options)
        right(found == code or code is None, "%s: exit %d" % (args, found), text)
        return json.loads(out)

    def listed(self, *args):
        """The last digits of the threads that are listed, oldest first."""
        said = self.json("threads", "--limit", "1000", "--sort", "created", "--order", "asc", *args)
        return [int(thread["id"][-12:], 16) for thread in said["threads"]]

    def segment(self):
        found = glob.glob(os.path.join(self.store, "segments", "*"))
        right(len(found) == 1, "one segment", found)
        return found[0]


def flip(path):
    with open(path, "r+b") as file:
        middle = os.path.getsize(path) // 2
        file.seek(middle)
        byte = file.read(1)[0]
        file.seek(middle)
        file.write(bytes([byte ^ 1]))


def big_compaction(field):
    """A large checkpoint is the resume point like a small one, and has no anomaly."""
    found = {}
    for size in (17, 70):
        plain = field.path("%d.jsonl" % size)
        make = os.path.join(field.cases, "04-big-compaction", "make.py")
        subprocess.run([sys.executable, make, str(size), plain], check=True)
        thread = "019d0000-0000-7000-8000-%012x" % (30 + size)
        field.done("import", plain)
        ordinals = field.done("context", thread, "--ordinals")
        anomalies = json.loads(field.done("--json", "show", thread)).get("anomalies")
        found[size] = (ordinals, anomalies)
    right(found[17] == found[70], "70 MB are read like 17", found)
    right(b"\n1\n" not in found[70][0], "resuming does not begin with the thread", found[70])


def journal_growth(field):
    """Short runs leave a small journal."""
    field.done("import", field.sample("paginated"))
    for number in range(50):
        field.done("import", field.sample("paginated"))
        field.done("name", PAGINATED, "n%d" % number)
    size = field.bytes_of("journal")
    right(size <= 2 << 20, "the journal holds at most 2 MiB", "%d bytes" % size)


def full_disk(field):
    """Once there is room for a batch it is taken; one that is refused leaves nothing behind."""
    disk = field.path("disk")
    os.mkdir(disk)
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk]
    try:
        if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
            raise Skipped("nothing can be mounted here")
    except FileNotFoundError:
        raise Skipped("there is no mount")
    try:
        field.store = os.path.join(disk, "s")
        field.done("import", field.sample("paginated"))
        for number in range(4):
            field.done("name", PAGINATED, "n%d" % number)
        filler = os.path.join(disk, "fill")
        with open(filler, "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 65536) == 65536:
                    pass
            except OSError:
                pass
        line = b'{"timestamp":"2026-03-02T09:01:00.000Z","type":"event_msg",' \
            b'"payload":{"type":"token_count","info":null}}\n'
        acknowledged = 0
        code, _, _ = field.run("append", PAGINATED, data=line)
        acknowledged += code == 0
        os.truncate(filler, max(0, os.path.getsize(filler) - (3600 << 10)))
        for _ in range(3):
            code, _, text = field.run("append", PAGINATED, data=line)
            right(code == 0, "3.6 MB are free: an append is taken", text)
            acknowledged += 1
        found = field.done("export", PAGINATED)
        with open(field.sample("paginated"), "rb") as file:
            right(found == file.read() + line * acknowledged, "what was acknowledged is there")
    finally:
        subprocess.run(["umount", disk], check=True)


def damaged_segment(field):
    """A thread with damage takes no appends until a repair, and doctor knows of it: of a missing,
    empty or short segment at once, of a changed byte once it was read."""
    plain = field.rollout(1001).splitlines(keepends=True)
    next_line = plain[7001]
    field.done("import", field.write("l.jsonl", b"".join(plain[:7001])))
    whole = field.path("whole")
    shutil.copytree(field.store, whole)
    for how in ("removed", "empty", "cut", "flipped"):
        shutil.rmtree(field.store)
        shutil.copytree(whole, field.store)
        segment = field.segment()
        if how == "removed":
            os.remove(segment)
        elif how == "empty":
            os.truncate(segment, 0)
        elif how == "cut":
            os.truncate(segment, os.path.getsize(segment) - 1)
        else:
            flip(segment)
            code, _, text = field.run("context", LARGE)
            right(code == 4, "flipped: context meets the damage", "exit %d" % code, text)
        _, _, text = field.run("doctor")
        right("nothing to report" not in text, "%s: doctor knows" % how, text)
        code, _, text = field.run("append", LARGE, data=next_line)
        right(code == 4, "%s: an append is refused" % how, "exit %d" % code, text)
        field.done("repair")
        field.done("append", LARGE, data=next_line)
        field.done("verify")
        field.done("context", LARGE)


def accepted_loss(field):
    """After a repair that gave records up all that is left is there for resuming, and an import of
    the original says that it has the others."""
    original = field.write("l.jsonl", field.rollout(1000))
    field.done("import", original)
    flip(field.segment())
    field.done("repair")
    field.done("verify")
    left = field.done("export", LARGE)
    code, out, text = field.run("context", LARGE)
    right(code == 0 and out == left, "context gives what is left", "exit %d" % code, text)
    right("missing" in text or "gave" in text, "and says what is missing", text)
    code, ordinals, _ = field.run("context", LARGE, "--ordinals")
    lines = left.count(b"\n")
    right(ordinals.count(b"\n") == lines, "--ordinals are those", ordinals.count(b"\n"), lines)
    code, _, text = field.run("import", original)
    right(code == 6 and "gave up" in text, "the original is recognised", "exit %d" % code, text)
    right(field.done("export", LARGE) == left, "what is left is left alone")


def unreadable_at_open(field):
    """While its newest journal file cannot be read, nothing of a store is changed."""
    if not shutil.which("strace"):
        raise Skipped("strace is not here")
    head = b'{"timestamp":"2026-01-01T00:00:00.000Z","type":"session_meta",' \
        b'"payload":{"id":"aa","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w"}}\n'
    lines = [head] + [b'{"n":%d}\n' % number for number in range(1, 5)]
    field.done("append", "aa", "--create", data=b"".join(lines[:3]))
    field.done("append", "aa", data=b"".join(lines[3:]))
    source = field.write("b.jsonl", head.replace(b'"aa"', b'"bb"') + lines[1])
    openers = [(["append", "aa"], b'{"n":5}\n'), (["import", source], None),
               (["archive", "aa"], None), (["delete", "aa"], None)]
    for args, data in openers:
        names = sorted(glob.glob(os.path.join(field.store, "journal", "*")))
        before = [open(name, "rb").read() for name in names]
        wrap = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", names[-1], "-e", "trace=pread64",
                "-e", "inject=pread64:error=EIO:when=1+"]
        code, _, text = field.run(*args, data=data, wrap=wrap)
        right(code in (1, 4), "%s is refused" % args[0], "exit %d" % code, text)
        right(os.path.basename(names[-1]) in text, "%s: the file is named" % args[0], text)
        after = sorted(glob.glob(os.path.join(field.store, "journal", "*")))
        right(after == names, "%s: nothing is removed" % args[0], names, after)
        same = [open(name, "rb").read() for name in names] == before
        right(same, "%s: nothing is written" % args[0])
        right(field.done("export", "aa") == b"".join(lines), "%s: all is there" % args[0])
    field.done("verify")
    field.done("append", "aa", data=b'{"n":5}\n')


def index_and_log_damaged(field):
    """Damage of the log is found and located whatever the index is like."""
    field.done("import", field.sample("paginated"), field.sample("legacy"))
    for thread in (PAGINATED, LEGACY):
        field.done("turns", thread)
    index = os.path.join(field.store, "index.redb")
    with open(index, "rb") as file:
        plain = file.read()
    segment = field.segment()
    flip(segment)
    for place in range(0, len(plain), 509):
        spoilt = bytearray(plain)
        spoilt[place] ^= 1 << place % 8
        field.write("s/index.redb", spoilt)
        code, _, text = field.run("verify")
        right(code == 4, "exit 4 with byte %d of the index flipped" % place, code, text)
        right(os.path.basename(segment) in text, "the segment is named", place, text)


def session_index(field):
    """Names of the index are taken, malformed rows passed by, and a name given here is kept."""
    home = os.path.join(field.made("11-session-index"), "home")
    thread = "019d0000-0000-7000-8000-%012x"
    said = field.json("import", home)
    right((said["threads"], said["records"]) == (6, said["added_records"]), "each once", said)
    names = {80: "Garden", 81: "Garden", 82: "Second name", 83: None, 85: None}
    for number, name in names.items():
        found = field.json("show", thread % number)["thread"]["name"]
        right(found == name, "%d is called %s" % (number, name), found)
    found = field.json("show", thread % 84)["thread"]["name"]
    right((found or "").endswith("second line"), "a name of any letters", found)
    lines = field.done("export", thread % 82).count(b"\n")
    field.done("name", thread % 82, "My own name")
    said = field.json("import", home)
    right(said["records"] == 6 * lines, "the records are those of the files", said)
    shown = field.json("show", thread % 82)
    right(shown["thread"]["name"] == "My own name", "a name given here survives", shown)
    right(shown["records"] == lines, "names are no records of the file", shown)
    right(field.listed() == list(range(80, 86)), "who is named and has no file is not listed")
    verified = field.json("verify")
    right(verified["threads"] == 6, "nor counted", verified)


def codex_home(field):
    """Of a home the threads, the archived ones and the names; nothing else, and no failure."""
    home = os.path.join(field.made("12-codex-home"), "home")
    for args in (["import", home], ["import", "--home", os.path.join(home, "sessions")], ["import"]):
        shutil.rmtree(field.store, ignore_errors=True)
        wrap = ["env", "CODEX_HOME=" + home]
        for _ in range(2):
            said = field.json(*args, wrap=wrap)
        right(not said["skipped"], "nothing is left out", said)
        right((field.listed(), field.listed("--archived")) == ([90], [91]), "what is listed", args)
        shown = field.json("show", "019d0000-0000-7000-8000-%012x" % 90)
        right(shown["thread"]["name"] == "Map work", "the name is taken", shown)


def times(field):
    """Times of any form sort; a file of numeric ones is imported, and told of."""
    said = field.json("import", field.made("13-times"))
    right((said["threads"], said["skipped"]) == (13, []), "no file is left out", said)
    remarks = [row for row in said["remarks"] if row["path"].endswith("r112.jsonl")]
    right(len(remarks) == 1, "the numeric ones are told of", said["remarks"])
    order = [number for number in field.listed() if number not in (107, 112)]
    expect = [105, 100, 101, 103, 106, 108, 102, 110, 104, 111, 109]
    right(sorted(order) == sorted(expect) and order[0] == 105 and order[-1] == 109, "order", order)
    wrap = ["env", "TZ=JST-9"]
    table = field.done("threads", "--limit", "100", wrap=wrap).decode()
    right("2026-05-28 19:00 +09:00" in table, "times are local and say so", table)


def incomplete_heads(field):
    """A head that lacks a field is imported; which field that is, is said."""
    inputs = os.path.join(field.made("15-meta-of-another-shape"), "in-dir")
    said = field.json("import", inputs, code=6)
    left = [row for row in said["skipped"]]
    right(len(left) == 1 and left[0]["path"].endswith("h-unknown-mode.jsonl"), "one is left", left)
    right(said["threads"] == 8, "the others are imported", said)
    remarks = {os.path.basename(row["path"])[0]: row["reason"] for row in said["remarks"]}
    for name, lacks in zip("abcer", ("timestamp", "cli_version", "originator", "cwd", "timestamp")):
        right(lacks in remarks.get(name, ""), "%s lacks %s" % (name, lacks), remarks)


def directories(field):
    """A directory is found by any of its names."""
    script = os.path.join(field.cases, "18-cwd-filter", "run.sh")
    environment = dict(os.environ, TURNLEAF=field.binary)
    done = subprocess.run(["bash", script], env=environment, capture_output=True, timeout=LIMIT)
    found = re.findall(r": (\d+) threads, (\d+) wanted", done.stdout.decode())
    right(len(found) == 7 and all(is_ == want for is_, want in found), "--cwd", done.stdout)


def sources(field):
    """A parent that stands in the source alone is one; kinds of sources select."""
    field.done("import", field.made("22-guardian"))
    parent = "019d0000-0000-7000-8000-%012x" % 610
    shown = field.json("show", "019d0000-0000-7000-8000-%012x" % 613)
    right(shown["thread"]["parentThreadId"] == parent, "the spawned one has a parent", shown)
    for args, expect in (
        (["--parent", parent], [611, 612, 613]),
        (["--ancestor", parent], [611, 612, 613]),
        (["--source", "subAgent"], [611, 612, 613]),
        (["--source", "subAgentThreadSpawn"], [613]),
        (["--source", "exec,custom"], [614, 615]),
        (["--no-subagents"], [610, 614, 615, 616]),
    ):
        right(sorted(field.listed(*args)) == expect, "%s" % args, field.listed(*args))


def no_locks(field):
    """A file system without locks is told from an owner, and does not keep from reading."""
    if not shutil.which("strace"):
        raise Skipped("strace is not here")
    field.done("import", field.sample("paginated"))
    for error in ("ENOLCK", "EOPNOTSUPP"):
        wrap = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=flock:error=" + error]
        code, _, text = field.run("name", PAGINATED, "x", wrap=wrap)
        right(code == 1 and "locks no files" in text, "%s is told" % error, code, text)
        right("owned" not in text, "nobody owns it", text)
        field.done("turns", PAGINATED, wrap=wrap)
    holder = subprocess.Popen([field.binary, "--store", field.store, "append", PAGINATED],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        holder.stdin.write(b"{}\n")
        holder.stdin.flush()
        right(holder.stdout.readline().startswith(b"ACK"), "the owner appends")
        code, _, text = field.run("name", PAGINATED, "x")
        right(code == 5 and str(holder.pid) in text, "an owner is told", code, text)
    finally:
        holder.stdin.close()
        holder.wait(LIMIT)


def healthy_homes(field):
    """What the released runtime wrote raises no alarm; files of lineage may be left out."""
    recorded = os.path.join(os.path.dirname(field.cases), "conformance", "runtime-0.171")
    homes = sorted(glob.glob(os.path.join(recorded, "home-*", "home")))
    if not homes:
        raise Skipped("no recorded homes are here")
    for home in homes:
        shutil.rmtree(field.store, ignore_errors=True)
        said = field.json("import", home, code=None)
        lineage = [row for row in said["skipped"] if "_" in os.path.basename(row["path"])]
        right(lineage == said["skipped"], "only lineage is left out", said["skipped"])
        # A fork by reference begins where its base was cut; that is told as a gap as yet.
        forks = subprocess.run(["grep", "-rl", '"history_base":{', home], capture_output=True)
        forks = [path for path in forks.stdout.split() if b"_" not in os.path.basename(path)]
        right(said["unknown"] == 0, "every kind is known", home, said)
        right(said["anomalies"] <= len(forks), "only forks have anomalies", home, said)
        text = field.done("doctor").decode()
        right("damage" not in text, "doctor raises no alarm", text)


def reverted_thread(field):
    """A thread in three files is one thread, in whatever order they come."""
    thread = "019d0000-0000-7000-8000-%012x" % 1
    made = os.path.join(field.made("01-reverted-thread"), "home", "sessions")
    files = sorted(glob.glob(os.path.join(made, "**", "*.jsonl"), recursive=True))
    for order in itertools.permutations(files):
        shutil.rmtree(field.store, ignore_errors=True)
        for path in order:
            field.json("import", path)
        turns = field.json("turns", thread, "--order", "asc")["turns"]
        turns = [turn["id"] for turn in turns]
        right(turns == ["turn-1", "turn-3", "turn-4"], "what was reverted is gone", order, turns)
        said = field.json("import", made)
        right((said["added_records"], said["remarks"]) == (0, []), "and again is nothing", said)


def fork_by_reference(field):
    """A fork shows what it inherits as soon as that is there, and says so until then."""
    child = "019d0000-0000-7000-8000-%012x" % 3
    files = sorted(glob.glob(os.path.join(field.made("02-fork-by-reference"), "in", "*")))
    said = field.json("import", files[1])
    right("not in the store" in said["remarks"][0]["reason"], "the parent is missed", said)
    field.json("import", files[0])
    turns = field.json("turns", child, "--order", "asc")["turns"]
    turns = [turn["id"] for turn in turns]
    right(turns == ["turn-1", "turn-3"], "it shows what it inherits", turns)


def rewritten_file(field):
    """A file that was written anew is taken as it stands, and what was before is kept."""
    made, path = field.made("07-rewritten-file"), field.path("x.jsonl")
    for name in ["1-first", "3-rewound-and-regrown", "4-middle-changed-same-size", "1-first"]:
        shutil.copyfile(os.path.join(made, name + ".jsonl"), path)
        thread = field.json("import", path) and field.json("threads")["threads"][0]["id"]
        with open(path, "rb") as file:
            right(field.done("export", thread) == file.read(), "%s is shown" % name)


def migrated_in_place(field):
    """A thread goes on growing behind the migration of its file."""
    made, path = field.made("21-migrated-in-place"), field.path("x.jsonl")
    for name in ["1-legacy", "2-migrated", "3-migrated-and-continued"]:
        shutil.copyfile(os.path.join(made, name + ".jsonl"), path)
        field.json("import", path)
    thread = field.json("threads")["threads"][0]["id"]
    turns = field.json("turns", thread, "--order", "asc")["turns"]
    turns = [turn["id"] for turn in turns]
    right(turns == ["t-1", "t-2", "t-3"], "the third turn is there", turns)


CASES = {
    "00-healthy-homes": healthy_homes,
    "01-reverted-thread": reverted_thread,
    "02-fork-by-reference": fork_by_reference,
    "05-no-locks": no_locks,
    "04-big-compaction": big_compaction,
    "07-rewritten-file": rewritten_file,
    "08-journal-growth": journal_growth,
    "11-session-index": session_index,
    "12-codex-home": codex_home,
    "13-times": times,
    "15-meta-of-another-shape": incomplete_heads,
    "16-full-disk": full_disk,
    "18-cwd-filter": directories,
    "21-migrated-in-place": migrated_in_place,
    "22-guardian": sources,
    "25-damaged-segment": damaged_segment,
    "27-context-after-accepted-loss": accepted_loss,
    "30-eio-at-open": unreadable_at_open,
    "31-verify-with-index-damage": index_and_log_damaged,
}


def judge(name, arguments):
    """Whether the case is as it should be, and what to say of it."""
    is_known = name in KNOWN
    with tempfile.TemporaryDirectory() as dir:
        try:
            CASES[name](Field(os.path.abspath(arguments.bin), arguments.cases, dir))
        except Skipped as why:
            return True, "skipped: %s" % why
        except Wrong as why:
            text = re.sub(r"\s+", " ", str(why))[:600]
            return is_known, "%s: %s" % ("known to be wrong" if is_known else "WRONG", text)
    if is_known:
        return False, "RIGHT by now: take it off the list of what is known to be wrong"
    return True, "right"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", required=True, help="the built command")
    parser.add_argument("--cases", default=os.path.join(os.path.dirname(ROOT), "shared", "field"))
    parser.add_argument("names", nargs="*", metavar="CASE", help="the beginning of a name")
    arguments = parser.parse_args()
    if not os.path.isdir(arguments.cases):
        print("field: skipped, %s is not there" % arguments.cases)
        return
    arguments.cases = os.path.abspath(arguments.cases)
    wanted = tuple(arguments.names)
    failed = False
    for name in CASES:
        if wanted and not name.startswith(wanted):
            continue
        is_fine, said = judge(name, arguments)
        failed |= not is_fine
        print("%s: %s" % (name, said), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
