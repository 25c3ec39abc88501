#!/usr/bin/env python3
"""Drives the built command from outside and injects faults: kills, failing system calls, short
reads and writes, a full disk, many writers, stopped owners.

  blackbox.py --bin PATH [--seconds N] [--seed N] [RIG ...]

RIG is one of kill, errors, unread, delete, lineage, short, full, filled, writers, stop, runs; all of
them by default, each for about N seconds. What every rig checks: each line that was acknowledged is exported
again, behind at most whole unacknowledged batches in the order they were sent; `verify` finds nothing
wrong (but where a rig says otherwise); the store takes the next append without help; nothing panics
or hangs.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

THREAD = "019b0000-0000-7000-8000-0000000000%02x"
LIMIT = 60  # seconds that any command may take
JOURNAL_BYTES = 2 << 20  # that a small store may keep after a run that ended well


class Violation(Exception):
    pass


def head(thread):
    return json.dumps({
        "timestamp": "2026-01-01T00:00:00.000Z", "type": "session_meta",
        "payload": {"id": thread, "timestamp": "2026-01-01T00:00:00.000Z", "cwd": "/w",
                    "originator": "blackbox", "cli_version": "0", "source": "cli",
                    "model_provider": None, "history_mode": "legacy"}}).encode()


class Sent:
    """What was sent to one thread: batches, and how many lines of them were acknowledged."""

    def __init__(self, thread, rng):
        self.thread = thread
        self.rng = rng
        self.lines = []
        self.borders = {0}
        self.acknowledged = 0

    def batch(self, count):
        lines = []
        for _ in range(count):
            number = len(self.lines)
            if number == 0:
                line = head(self.thread)
            else:
                length = self.rng.choice([0, 0, 10, 10, 100, 300, 300, 5000])
                if self.rng.random() < 0.01:
                    length = 1 << self.rng.randrange(15, 22)
                text = "%d %s" % (number, "x" * length)
                line = json.dumps({
                    "timestamp": "2026-01-01T00:00:01.000Z", "type": "event_msg",
                    "payload": {"type": "user_message", "message": text}}).encode()
            self.lines.append(line)
            lines.append(line)
        self.borders.add(len(self.lines))
        return lines


class Lineages:
    """What each thread shows, and what the newest step makes of that."""

    def __init__(self, rng):
        self.rng = rng
        self.shown = {}  # by thread: its lines, each with the thread that got it
        self.bases = {}  # by thread: those that its rollouts go on from
        self.used = 0
        self.turns = 0
        self.maybe, self.based, self.done = None, None, True

    def turn(self):
        self.turns += 1
        turn = "turn-%d" % self.turns
        lines = [{"type": "task_started", "turn_id": turn},
                 {"type": "user_message", "message": "x" * self.rng.choice([1, 100, 9000])},
                 {"type": "task_complete", "turn_id": turn}]
        return [json.dumps({"timestamp": "2026-01-01T00:00:01.000Z", "type": "event_msg",
                            "payload": line}).encode() for line in lines]

    def new(self):
        self.used += 1
        return THREAD % self.used

    def step(self, dir):
        """A command and its input; what threads show after it is in `maybe`, None where it must be
        refused."""
        what = self.rng.choice(["append", "append", "append", "fork", "fork", "revert", "rollback",
                                "delete", "import"])
        self.maybe = {thread: list(lines) for thread, lines in self.shown.items()}
        self.based = None
        if what == "import" or not self.shown:
            return self.import_file(dir)
        thread = self.rng.choice(sorted(self.shown))
        lines = self.maybe[thread]
        starts = [at for at, (line, _) in enumerate(lines) if b"task_started" in line]
        if what == "fork" and lines:
            fork, at = self.new(), self.rng.randrange(1, len(lines) + 1)
            self.cut(fork, lines, at)
            return ["fork", thread, "--id", fork, "--at", str(at)], None
        if what == "revert" and starts:
            at = self.rng.choice(starts)
            turn = json.loads(lines[at][0])["payload"]["turn_id"]
            self.cut(thread, lines, at)
            return ["revert", thread, "--before-turn", turn], None
        if what == "rollback" and starts:
            count = self.rng.randrange(1, len(starts) + 1)
            self.cut(thread, lines, starts[-count])
            return ["rollback", thread, "--turns", str(count)], None
        if what == "delete":
            del self.maybe[thread]
            others = self.shown.keys() - {thread}
            if any(thread in self.bases.get(other, ()) for other in others):
                self.maybe = None
            return ["delete", thread], None
        new = [line for _ in range(self.rng.randrange(1, 4)) for line in self.turn()]
        lines += [(line, thread) for line in new]
        return ["append", thread, "--batch", "100"], b"".join(line + b"\n" for line in new)

    def import_file(self, dir):
        thread = self.new()
        lines = [head(thread)]
        for _ in range(self.rng.choice([1, 3, 500])):
            lines += self.turn()
        self.maybe[thread] = [(line, thread) for line in lines]
        path = os.path.join(dir, "rollout-2026-01-01T00-00-00-%s.jsonl" % thread)
        with open(path, "wb") as file:
            file.writelines(line + b"\n" for line in lines)
        return ["import", path], None

    def cut(self, thread, lines, at):
        self.maybe[thread] = lines[:at]
        if at:
            self.based = thread, lines[at - 1][1]

    def settle(self, found):
        """Takes in what is found after the step: all that it does, nothing, or, where an append or
        import ended within it, a part."""
        before, after = lines_of(self.shown), lines_of(self.maybe or {})
        is_after = self.maybe is not None and found == after
        is_before = not self.done and found == before
        if not (is_after or is_before or not self.done and is_between(before, found, after)):
            raise Violation("threads show %s, before %s, after the step %s" % tuple(
                {thread: len(lines) for thread, lines in threads.items()}
                for threads in (found, before, after)))
        if is_after and self.based:
            self.bases.setdefault(self.based[0], set()).add(self.based[1])
        if not is_before:
            self.shown = {thread: self.maybe[thread][:len(lines)]
                          for thread, lines in found.items()}


def lines_of(threads):
    return {thread: [line for line, _ in lines] for thread, lines in threads.items()}


def is_between(before, found, after):
    """Whether threads have some of the lines that were added."""
    if not before.keys() <= found.keys() <= after.keys():
        return False
    return all(lines == after[thread][:len(lines)] and len(lines) >= len(before.get(thread, []))
               for thread, lines in found.items())


class Rig:
    def __init__(self, binary, seed, shim):
        self.binary = binary
        self.rng = random.Random(seed)
        self.shim = shim
        self.counts = {}

    def count(self, what, by=1):
        self.counts[what] = self.counts.get(what, 0) + by

    def command(self, store, *args, env=None, wrap=(), **options):
        full = dict(os.environ, RUST_BACKTRACE="0", **(env or {}))
        return subprocess.Popen([*wrap, self.binary, "--store", store, *args], env=full, **options)

    def run(self, store, *args, env=None, wrap=(), data=None):
        process = self.command(
            store, *args, env=env, wrap=wrap, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(data, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Violation("%s hangs" % (args,))
        if b"panicked" in err or process.returncode in (101, -signal.SIGABRT, -signal.SIGSEGV):
            raise Violation("%s: %s" % (args, err.decode(errors="replace")[-800:]))
        return process.returncode, out, err

    def note_acks(self, sent, base, out):
        """Takes in the acknowledgements of an append that went on at record `base`."""
        for line in out.split(b"\n")[:-1]:
            word, thread, end = line.decode().split()
            if word != "ACK" or thread != sent.thread:
                raise Violation("not an acknowledgement: %r" % line)
            sent.acknowledged = max(sent.acknowledged, int(end))

    def check(self, store, sent, env=None):
        """What must be there is; what was sent goes on from what is there."""
        code, out, err = self.run(store, "export", sent.thread, env=env)
        if code == 3 and sent.acknowledged == 0:
            found = []
        elif code != 0:
            raise Violation("export ends with %d: %s" % (code, err.decode(errors="replace")))
        else:
            found = out.split(b"\n")
            if found.pop() != b"":
                raise Violation("the export does not end with a line feed")
        if found != sent.lines[:len(found)]:
            raise Violation("the export is not what was sent")
        if len(found) < sent.acknowledged:
            raise Violation("%d lines were acknowledged, %d are there"
                            % (sent.acknowledged, len(found)))
        if len(found) not in sent.borders:
            raise Violation("half a batch is there: %d lines" % len(found))
        sent.lines = sent.lines[:len(found)]
        sent.borders = {border for border in sent.borders if border <= len(found)}
        sent.acknowledged = len(found)

    def verify(self, store):
        code, out, err = self.run(store, "--json", "verify")
        if code != 0:
            raise Violation("verify ends with %d: %s" % (code, (out + err).decode()[-800:]))

    def append(self, store, sent, batches, size, **options):
        """Sends batches and waits for the end; says the exit code."""
        base = len(sent.lines)
        data = b"".join(
            line + b"\n" for _ in range(batches) for line in sent.batch(size))
        code, out, err = self.run(
            store, "append", sent.thread, "--create", "--batch", str(size), data=data, **options)
        self.note_acks(sent, base, out)
        return code, err

    def sane(self, store, sent):
        self.check(store, sent)
        if sent.lines:
            self.verify(store)
        code, err = self.append(store, sent, 1, 2)
        if code != 0:
            raise Violation("the next append ends with %d: %s" % (code, err.decode()))
        self.check(store, sent)

    # Rigs

    def kill(self, until):
        """The owner is killed at random moments, and so is the next one while it recovers."""
        while time.time() < until:
            with tempfile.TemporaryDirectory() as dir:
                store = os.path.join(dir, "s")
                sent = Sent(THREAD % 1, self.rng)
                for _ in range(20):
                    self.kill_once(store, sent, self.rng.uniform(0, 0.03))
                    if self.rng.random() < 0.5:
                        self.kill_once(store, sent, self.rng.uniform(0, 0.006))
                        self.count("kills while the next owner opens")
                    self.check(store, sent)
                self.sane(store, sent)
                self.count("stores")

    def kill_once(self, store, sent, delay):
        size = self.rng.choice([1, 3, 10])
        data = b"".join(line + b"\n" for _ in range(40) for line in sent.batch(size))
        process = self.command(
            store, "append", sent.thread, "--create", "--batch", str(size), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        timer = threading.Timer(delay, process.kill)
        timer.start()
        out, _ = process.communicate(data, timeout=LIMIT)
        timer.cancel()
        self.note_acks(sent, 0, out[:out.rfind(b"\n") + 1])
        self.count("kills" if process.returncode == -signal.SIGKILL else "ended before the kill")
        # What a killed owner got may go on behind what is there: look, then go on from there.
        self.check(store, sent)

    def errors(self, until):
        """Every kind of system call fails once, or from then on, at every place."""
        if not shutil.which("strace"):
            print("  strace is not here: skipped")
            return
        calls = ["openat", "pwrite64", "pread64", "fdatasync", "fsync", "rename", "renameat",
                 "renameat2", "ftruncate", "mkdir", "unlink", "unlinkat", "getdents64", "flock",
                 "statx", "fcntl"]
        plans = [(call, error, at, often)
                 for at in range(1, 40) for call in calls
                 for error in ("EIO", "ENOSPC") for often in ("", "+")]
        self.rng.shuffle(plans)
        with tempfile.TemporaryDirectory() as dir:
            for number, (call, error, at, often) in enumerate(plans):
                if time.time() > until:
                    break
                store = os.path.join(dir, str(number))
                sent = Sent(THREAD % 2, self.rng)
                if self.rng.random() < 0.5:
                    self.append(store, sent, 3, 2)
                inject = "inject=%s:error=%s:when=%d%s" % (call, error, at, often)
                wrap = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject]
                code, err = self.append(store, sent, 12, 3, wrap=wrap)
                if code not in (0, 1, 3, 4, 5, 127):
                    raise Violation("%s: exit %d: %s" % (inject, code, err.decode()))
                try:
                    self.sane(store, sent)
                except Violation as why:
                    raise Violation("%s: %s" % (inject, why))
                self.count("plans of failing calls")
                self.count("appends refused" if code else "appends that got through")
                shutil.rmtree(store, ignore_errors=True)

    def unread(self, until):
        """A file or folder of the store cannot be read, from some call on, while somebody opens it to
        write: nothing is removed, and when reads work again what was acknowledged is there."""
        if not shutil.which("strace"):
            print("  strace is not here: skipped")
            return
        while time.time() < until:
            with tempfile.TemporaryDirectory() as dir:
                store = os.path.join(dir, "s")
                stays, goes = Sent(THREAD % 10, self.rng), Sent(THREAD % 11, self.rng)
                for sent in (stays, goes):
                    for _ in range(self.rng.randrange(1, 4)):
                        self.append(store, sent, self.rng.randrange(1, 4), 2)
                if self.rng.random() < 0.5:
                    # An import seals what the journal holds.
                    self.imported(dir, store, "first.jsonl", THREAD % 12)
                for number in range(6):
                    self.unread_once(dir, store, stays, goes, number)
                    self.check(store, stays)
                self.sane(store, stays)

    def unread_once(self, dir, store, stays, goes, number):
        files = files_of(store)
        call = self.rng.choice(["pread64", "pread64", "pread64", "openat", "getdents64"])
        if call == "getdents64":
            path = self.rng.choice(["", "journal", "segments", "catalogue"])
        else:
            journal = [name for name in files if name.startswith("journal/")]
            path = self.rng.choice([journal[-1], self.rng.choice(journal), self.rng.choice(files)])
        at = self.rng.choice([1, 1, 1, 1, 2, 3, 5, 8])
        inject = "inject=%s:error=EIO:when=%d+" % (call, at)
        wrap = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", os.path.join(store, path),
                "-e", "trace=" + call, "-e", inject]
        opener = self.rng.choice(["append", "import", "archive", "name", "delete"])
        err = b""
        if opener == "append":
            code, err = self.append(store, stays, 1, 2, wrap=wrap)
        elif opener == "import":
            code = self.imported(dir, store, "%d.jsonl" % number, THREAD % (64 + number), wrap)
        else:
            args = [opener, goes.thread] + ["a name"] * (opener == "name")
            code, _, err = self.run(store, *args, wrap=wrap)
        what = "%s of %s, %s: exit %d: %s" % (inject, path or ".", opener, code, err.decode())
        if code not in (0, 1, 3, 4, 5, 6, 127):
            raise Violation(what)
        self.count("refused" if code else "got through")
        gone = [name for name in files if not os.path.exists(os.path.join(store, name))]
        # The index says nothing about the log: an owner that read all of the log may tidy it up when
        # it closes, and what was acknowledged is asked for below.
        if code and gone and path != "index.redb":
            raise Violation("%s: removed %s" % (what, ", ".join(gone)))
        try:
            if opener == "delete":
                self.check_deleted(store, goes, code == 0)
                goes.thread, goes.lines = THREAD % (128 + number), []
                goes.borders, goes.acknowledged = {0}, 0
                self.append(store, goes, 1, 2)
            else:
                self.check(store, stays)
                self.check(store, goes)
        except Violation as why:
            raise Violation("%s: %s" % (what, why))

    def imported(self, dir, store, name, thread, wrap=()):
        """Imports a new file of a few lines; says the exit code."""
        path = os.path.join(dir, name)
        sent = Sent(thread, self.rng)
        with open(path, "wb") as file:
            file.writelines(line + b"\n" for line in sent.batch(5))
        return self.run(store, "import", path, wrap=wrap)[0]

    def runs(self, until):
        """Short runs of the command, one after the other, some of them killed: the store stays as
        small as what it holds, and nothing is left lying about."""
        while time.time() < until:
            with tempfile.TemporaryDirectory() as dir:
                store = os.path.join(dir, "s")
                # A name is a record, too: the thread that is counted has none.
                sent, other = Sent(THREAD % 13, self.rng), Sent(THREAD % 14, self.rng)
                self.append(store, sent, 1, 3)
                other.path, other.name = os.path.join(dir, "other.jsonl"), "first"
                with open(other.path, "wb") as file:
                    file.writelines(line + b"\n" for line in other.batch(3))
                self.run_well(store, "import", other.path)
                self.run_well(store, "name", other.thread, other.name)
                for number in range(1, 1001):
                    if time.time() > until:
                        break
                    self.run_short(store, sent, other, number)
                    self.count("runs")
                    if number % 50 == 0:
                        self.check_size(store, sent, other)
                self.check_size(store, sent, other)
                self.sane(store, sent)
                self.check_size(store, sent, other)
                self.count("stores")

    def run_well(self, store, *args, data=None):
        code, out, err = self.run(store, *args, data=data)
        if code != 0:
            raise Violation("%s ends with %d: %s" % (args, code, err.decode()))
        return out

    def run_short(self, store, sent, other, number):
        what = self.rng.choice(["import", "name", "append", "archive", "read", "kill"])
        if what == "import":
            self.run_well(store, "import", other.path)
        elif what == "name":
            other.name = "name %d" % number
            self.run_well(store, "name", other.thread, other.name)
        elif what == "append":
            code, err = self.append(store, sent, 1, 1)
            if code != 0:
                raise Violation("append ends with %d: %s" % (code, err.decode()))
        elif what == "archive":
            self.run_well(store, "archive", other.thread)
            self.run_well(store, "unarchive", other.thread)
        elif what == "read":
            self.run_well(store, *self.rng.choice([
                ["threads"], ["turns", sent.thread], ["show", sent.thread], ["stats"], ["doctor"],
                ["verify"], ["context", sent.thread]]))
        else:
            self.kill_once(store, sent, self.rng.uniform(0, 0.02))

    def check_size(self, store, sent, other):
        """What holds after a run that ended well."""
        self.run_well(store, "archive", other.thread)
        self.run_well(store, "unarchive", other.thread)
        self.check(store, sent)
        if other.name.encode() not in self.run_well(store, "show", other.thread):
            raise Violation("the name %r is not shown" % other.name)
        names = files_of(store)
        size = sum(os.path.getsize(os.path.join(store, name)) for name in names
                   if name.startswith("journal/"))
        if size > JOURNAL_BYTES + 2 * sum(map(len, sent.lines)):
            raise Violation("the journal has %d bytes" % size)
        stray = [name for name in names if not is_known(name)]
        if stray:
            raise Violation("left behind: %s" % ", ".join(stray))

    def delete(self, until):
        """Threads are archived and deleted while a call fails, or until the process is killed."""
        calls = ["openat", "pwrite64", "fdatasync", "fsync", "rename", "unlinkat", "unlink"]
        while time.time() < until:
            with tempfile.TemporaryDirectory() as dir:
                store = os.path.join(dir, "s")
                stays, goes = Sent(THREAD % 7, self.rng), Sent(THREAD % 8, self.rng)
                for sent in (stays, goes):
                    self.append(store, sent, 3, 2)
                verb = "archive" if self.rng.random() < 0.3 else "delete"
                inject = "inject=%s:error=%s:when=%d%s" % (
                    self.rng.choice(calls), self.rng.choice(["EIO", "ENOSPC"]),
                    self.rng.randrange(1, 30), self.rng.choice(["", "+"]))
                wrap = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject]
                if not shutil.which("strace") or self.rng.random() < 0.5:
                    process = self.command(store, verb, goes.thread, stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE)
                    timer = threading.Timer(self.rng.uniform(0, 0.03), process.kill)
                    timer.start()
                    process.communicate(timeout=LIMIT)
                    timer.cancel()
                    code = process.returncode
                    self.count("kills" if code == -signal.SIGKILL else "ended before the kill")
                else:
                    code, _, err = self.run(store, verb, goes.thread, wrap=wrap)
                    if code not in (0, 1, 3, 4, 5, 127):
                        raise Violation("%s: exit %d: %s" % (inject, code, err.decode()))
                    self.count("refused" if code else "got through")
                self.check(store, stays)
                if verb == "delete":
                    self.check_deleted(store, goes, code == 0)
                else:
                    self.check(store, goes)
                self.sane(store, stays)

    def check_deleted(self, store, sent, done):
        """The thread is gone, or, where its deletion did not succeed, whole; then it can go."""
        code, _, _ = self.run(store, "export", sent.thread)
        if code != 3:
            if done:
                raise Violation("a deleted thread is exported")
            self.check(store, sent)
        code, _, err = self.run(store, "delete", sent.thread)
        if code not in (0, 3) or self.run(store, "export", sent.thread)[0] != 3:
            raise Violation("delete ends with %d: %s" % (code, err.decode()))
        code, _, _ = self.run(store, "append", sent.thread, "--create", data=sent.lines[0])
        if code != 2:
            raise Violation("the id of a deleted thread is given again: exit %d" % code)

    def lineage(self, until):
        """Threads are forked, reverted, taken back, imported and deleted while a call fails, or until
        the process is killed: each step is done or not begun, and every thread shows what it did."""
        while time.time() < until:
            with tempfile.TemporaryDirectory() as dir:
                store, threads = os.path.join(dir, "s"), Lineages(self.rng)
                for number in range(30):
                    if time.time() > until and number > 8:
                        break
                    self.lineage_step(dir, store, threads)
                    self.check_lineages(store, threads)
                if threads.shown:
                    self.verify(store)
                self.count("stores")

    def lineage_step(self, dir, store, threads):
        args, data = threads.step(dir)
        refused = threads.maybe is None
        calls = ["openat", "pwrite64", "fdatasync", "fsync", "rename"]
        how = self.rng.random()
        if how < 0.4 or not shutil.which("strace"):
            wrap = []
        else:
            inject = "inject=%s:error=%s:when=%d%s" % (
                self.rng.choice(calls), self.rng.choice(["EIO", "ENOSPC"]),
                self.rng.randrange(1, 40), self.rng.choice(["", "+"]))
            wrap = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject]
        process = self.command(store, *args, wrap=wrap, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        timer = threading.Timer(self.rng.uniform(0, 0.03), process.kill)
        if how < 0.2:
            timer.start()
        out, err = process.communicate(data, timeout=LIMIT)
        timer.cancel()
        code = process.returncode
        what = "%s: exit %d: %s" % (" ".join(args), code, (out + err).decode(errors="replace"))
        if b"panicked" in err or code not in (0, 1, 2, 3, 4, 5, 6, 127, -signal.SIGKILL):
            raise Violation(what)
        self.count(args[0])
        if code == 0 and refused or 0.2 <= how < 0.4 and code != (2 if refused else 0):
            raise Violation(what)
        # What was not said to be done may be done.
        threads.done = code == 0

    def check_lineages(self, store, threads):
        code, out, err = self.run(store, "--json", "threads", "--limit", "1000")
        listed = json.loads(out)["threads"] if code == 0 else []
        if code not in (0, 3):
            raise Violation("threads ends with %d: %s" % (code, (out + err).decode()))
        found = {}
        for thread in listed:
            code, out, err = self.run(store, "export", "--from", "0", thread["id"])
            if code != 0:
                raise Violation("export ends with %d: %s" % (code, err.decode()))
            found[thread["id"]] = out.split(b"\n")[:-1]
        threads.settle(found)

    def short(self, until):
        """Reads and writes move half of what is asked for, and some are interrupted."""
        while time.time() < until:
            with tempfile.TemporaryDirectory() as dir:
                store = os.path.join(dir, "s")
                sent = Sent(THREAD % 3, self.rng)
                env = {"LD_PRELOAD": self.shim, "SHIM_SHORT": "1",
                       "SHIM_EINTR": str(self.rng.randrange(2, 9))}
                for _ in range(3):
                    code, err = self.append(store, sent, 5, 3, env=env)
                    if code != 0:
                        raise Violation("short calls: exit %d: %s" % (code, err.decode()))
                    self.check(store, sent, env=env)
                    self.count("appends with short and interrupted calls")
                self.sane(store, sent)

    def full(self, until):
        """The disk fills up at every place; reads go on, and the next append after there is room."""
        while time.time() < until:
            with tempfile.TemporaryDirectory() as dir:
                store = os.path.join(dir, "s")
                sent = Sent(THREAD % 4, self.rng)
                if self.rng.random() < 0.5:
                    self.append(store, sent, 3, 2)
                room = self.rng.choice([4096, 8192, 65536, 1 << 20, 4 << 20, 5 << 20])
                env = {"LD_PRELOAD": self.shim,
                       "SHIM_BYTES": str(self.rng.randrange(1, room + room // 2))}
                code, _ = self.append(store, sent, 15, 4, env=env)
                self.count("full disks" if code else "disks with room enough")
                self.check(store, sent, env=env)
                self.sane(store, sent)

    def filled(self, until):
        """A file system without one free block is read, and threads of it deleted, one process
        after the other; once there is room the next append succeeds."""
        while time.time() < until:
            with tempfile.TemporaryDirectory() as dir:
                mount = [shutil.which("mount"), "-t", "tmpfs", "-o", "size=32m", "tmpfs", dir]
                if not mount[0] or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
                    print("  nothing can be mounted here: skipped")
                    return
                try:
                    self.fill(dir)
                finally:
                    subprocess.run(["umount", dir], check=True)

    def fill(self, dir):
        store, filler = os.path.join(dir, "s"), os.path.join(dir, "filler")
        stays = Sent(THREAD % 9, self.rng)
        others = [Sent(THREAD % (32 + number), self.rng) for number in range(4)]
        for sent in (stays, *others):
            self.append(store, sent, 3, 2)
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                self.count("full disks")
        for sent in others:
            for args in (["threads"], ["turns", stays.thread], ["verify"], ["doctor"]):
                code, _, err = self.run(store, *args)
                if code != 0:
                    raise Violation("%s on a full disk: exit %d: %s" % (args, code, err.decode()))
            code, _, err = self.run(store, "delete", sent.thread)
            if code != 0:
                raise Violation("delete on a full disk: exit %d: %s" % (code, err.decode()))
            self.count("deletions")
            if self.run(store, "export", sent.thread)[0] != 3:
                raise Violation("a deleted thread is exported")
            code, _ = self.append(store, stays, 1, 2)
            self.count("appends refused" if code else "appends that got through")
            self.check(store, stays)
        os.remove(filler)
        self.sane(store, stays)

    def writers(self, until):
        """Several processes want one store at once; the losers are told who owns it."""
        while time.time() < until:
            with tempfile.TemporaryDirectory() as dir:
                store = os.path.join(dir, "s")
                sents = [Sent(THREAD % (16 + number), self.rng) for number in range(4)]
                for _ in range(4):
                    running = []
                    for sent in sents:
                        data = b"".join(
                            line + b"\n" for _ in range(5) for line in sent.batch(2))
                        process = self.command(
                            store, "append", sent.thread, "--create", "--batch", "2",
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                        running.append((sent, process, data))
                    for sent, process, data in running:
                        started = time.time()
                        out, err = process.communicate(data, timeout=LIMIT)
                        self.note_acks(sent, 0, out)
                        if process.returncode == 5:
                            self.count("losers")
                            if out:
                                raise Violation("a loser was acknowledged")
                            if b"owned" not in err and b"own" not in err:
                                raise Violation("a loser is not told why: %s" % err.decode())
                        elif process.returncode != 0:
                            raise Violation("exit %d: %s" % (process.returncode, err.decode()))
                        else:
                            self.count("winners")
                        if time.time() - started > 20:
                            raise Violation("a writer took longer than 20 s")
                    for sent in sents:
                        self.check(store, sent)
                for sent in sents:
                    self.sane(store, sent)

    def stop(self, until):
        """A stopped owner keeps its store: the next one is refused at once, and told the owner."""
        while time.time() < until:
            with tempfile.TemporaryDirectory() as dir:
                store = os.path.join(dir, "s")
                sent, other = Sent(THREAD % 5, self.rng), Sent(THREAD % 6, self.rng)
                owner = self.command(
                    store, "append", sent.thread, "--create", "--batch", "1",
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                owner.stdin.write(sent.batch(1)[0] + b"\n")
                owner.stdin.flush()
                first = owner.stdout.readline()
                owner.send_signal(signal.SIGSTOP)
                started = time.time()
                code, err = self.append(store, other, 1, 1)
                told = b"process %d on %s, since 20" % (owner.pid, os.uname().nodename.encode())
                if code != 5 or time.time() - started > 2 or told not in err:
                    raise Violation("beside a stopped owner: exit %d after %.1f s: %s"
                                    % (code, time.time() - started, err.decode()))
                other.lines.clear()
                other.borders = {0}
                # Reading the log needs no owner.
                sent.acknowledged = 1
                self.check(store, sent)
                owner.send_signal(signal.SIGCONT)
                rest = b"".join(line + b"\n" for _ in range(3) for line in sent.batch(1))
                out, _ = owner.communicate(rest, timeout=LIMIT)
                self.note_acks(sent, 0, first + out)
                if sent.acknowledged != 4:
                    raise Violation("the owner did not go on after it was woken")
                self.sane(store, sent)
                self.sane(store, other)
                self.count("stopped owners")


def files_of(store):
    """Files of a store, by their path in it."""
    found = []
    for folder, _, names in os.walk(store):
        found += [os.path.relpath(os.path.join(folder, name), store) for name in names]
    return sorted(found)


def is_known(name):
    """Whether a store that nobody has open may hold such a file."""
    known = r"LOCK|reserve|index\.redb|(journal|segments|catalogue)/[0-9a-f]+\.tl[a-z]|quarantine/[^/]+"
    return re.fullmatch(known, name) is not None


def build_shim(dir):
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shim.c")
    shim = os.path.join(dir, "shim.so")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    return shim


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", required=True, help="the built command")
    parser.add_argument("--seconds", type=float, default=20, help="for each rig (default 20)")
    parser.add_argument("--seed", type=int, default=1)
    faults = ["kill", "errors", "unread", "delete", "lineage", "short", "full", "filled", "writers",
              "stop"]
    rigs = [*faults, "runs"]
    parser.add_argument("rigs", nargs="*", metavar="RIG", help=", ".join(rigs))
    args = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as dir:
        shim = build_shim(dir)
        for name in args.rigs or rigs:
            if name not in rigs:
                parser.error("%s is no rig" % name)
            rig = Rig(os.path.abspath(args.bin), args.seed, shim)
            try:
                getattr(rig, name)(time.time() + args.seconds)
                said = "no violation"
            except Violation as why:
                failed, said = True, "VIOLATION (seed %d): %s" % (args.seed, why)
            counts = ", ".join("%d %s" % (n, what) for what, n in rig.counts.items())
            print("%s: %s; %s" % (name, said, counts), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
