"""Owns the patches: how they are read, and how all of them go into one copy of the tree.

A patch is a unified diff behind lines that say what the mistake is. Its lines are looked for in the
file as it is now, wherever they have moved; the numbers of a hunk are not believed. Each patch is
laid against the tree without the others, so none depends on another. Where its outermost lines have
changed up to two of them on each side are left out. Knows nothing of cargo and of the rigs.
"""

import difflib
import glob
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FOLDER = os.path.join(HERE, "mistakes")
FUZZ = 2


class Misfit(Exception):
    """A patch that cannot be applied, with what to do."""


class Mistake:
    """One patch: its name, what the mistake is, and per file its hunks, which are lines with
    their marks."""

    def __init__(self, path):
        self.name = os.path.splitext(os.path.basename(path))[0]
        charter, diff = re.match(r"(.*?)^(--- .*)\Z", read(path), re.S | re.M).groups()
        self.what = " ".join(charter.split())
        self.hunks = {}
        for line in diff.splitlines():
            if line.startswith("+++ "):
                found = self.hunks.setdefault(line[len("+++ b/"):], [])
            elif line.startswith("@@"):
                found.append([])
            elif not line.startswith("--- "):
                found[-1].append(line or " ")


def read(path):
    with open(path) as file:
        return file.read()


def mistakes():
    """All of them, by name."""
    found = map(Mistake, sorted(glob.glob(os.path.join(FOLDER, "*.patch"))))
    return {mistake.name: mistake for mistake in found}


def places(old, lines):
    return [at for at in range(len(lines) - len(old) + 1) if lines[at:at + len(old)] == old]


def place(mistake, path, hunk, lines):
    """Where a hunk belongs, with what is left of it."""
    fewest = FUZZ + 1
    for before in range(fewest):
        for after in range(fewest):
            outer = hunk[:before] + hunk[len(hunk) - after:]
            if any(line[0] != " " for line in outer):
                continue
            rest = hunk[before:len(hunk) - after]
            found = places([line[1:] for line in rest if line[0] != "+"], lines)
            if len(found) == 1:
                return found[0], rest
            if found:
                raise Misfit("%s: lines stand %d times in %s; give the patch more of them:\n%s"
                             % (mistake.name, len(found), path, "\n".join(rest)))
    raise Misfit("%s: lines are not in %s; make the mistake there by hand and write the patch anew "
                 "(README.md says how), or remove it:\n%s"
                 % (mistake.name, path, "\n".join(hunk)))


def patched(path, text, chosen):
    """The text of a file with the mistakes that are chosen."""
    lines = text.split("\n")
    gone, added = {}, {}
    for mistake in chosen:
        for hunk in mistake.hunks.get(path, []):
            at, rest = place(mistake, path, hunk, lines)
            for line in rest:
                if line[0] == "+":
                    added.setdefault(at, []).append(line[1:])
                    continue
                if line[0] == "-":
                    if at in gone:
                        raise Misfit("%s and %s change one line of %s; let one add lines only"
                                     % (gone[at], mistake.name, path))
                    gone[at] = mistake.name
                at += 1
    out = []
    for at in range(len(lines) + 1):
        out += added.get(at, [])
        if at < len(lines) and at not in gone:
            out.append(lines[at])
    return "\n".join(out)


def files(chosen):
    return sorted({path for mistake in chosen for path in mistake.hunks})


def check():
    """Lays all patches against the tree, each alone and all together; what does not fit."""
    known, wrong = mistakes(), []
    for mistake in known.values():
        try:
            if not mistake.what or not mistake.hunks:
                raise Misfit("%s: the patch says not what it is, or changes nothing" % mistake.name)
            for path in mistake.hunks:
                if not os.path.exists(os.path.join(ROOT, path)):
                    raise Misfit("%s: there is no %s" % (mistake.name, path))
                patched(path, read(os.path.join(ROOT, path)), [mistake])
        except Misfit as misfit:
            wrong.append(str(misfit))
    if not wrong:
        try:
            for path in files(known.values()):
                patched(path, read(os.path.join(ROOT, path)), known.values())
        except Misfit as misfit:
            wrong.append(str(misfit))
    return wrong


def renew():
    """Writes every patch anew, with the lines as they stand around it now."""
    for mistake in mistakes().values():
        out = [mistake.what + "\n"]
        for path in sorted(mistake.hunks):
            old = read(os.path.join(ROOT, path))
            out += diff(path, old, patched(path, old, [mistake]))
        with open(os.path.join(FOLDER, mistake.name + ".patch"), "w") as file:
            file.writelines(out)


def diff(path, old, new):
    """A unified diff with as many lines around each hunk as tell where it belongs."""
    old, new = old.splitlines(keepends=True), new.splitlines(keepends=True)
    for around in range(3, 20):
        lines = list(difflib.unified_diff(old, new, "a/" + path, "b/" + path, n=around))
        hunks = []
        for line in lines[2:]:
            if line.startswith("@@"):
                hunks.append([])
            elif line[0] != "+":
                hunks[-1].append(line[1:])
        if all(len(places(hunk, old)) == 1 for hunk in hunks):
            return lines
    raise Misfit("%s: nothing tells where the change belongs" % path)


def copy(to):
    """Makes `to` a copy of the tree, committed or not, with all mistakes. What has not changed
    since the last copy is not written, so that cargo does not build it again."""
    known = mistakes()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout.decode()
    wanted = {}
    for path in filter(None, listed.split("\0")):
        if os.path.isfile(os.path.join(ROOT, path)):
            with open(os.path.join(ROOT, path), "rb") as file:
                wanted[path] = file.read()
    for path in files(known.values()):
        wanted[path] = patched(path, wanted[path].decode(), known.values()).encode()
    switch = read(os.path.join(HERE, "switch.rs"))
    switch += "\nbugs! {\n%s}\n" % "".join("    %s,\n" % name for name in known)
    for part in sorted({path.split("/")[0] for path in files(known.values())}):
        wanted[part + "/src/lib.rs"] += b"\nmod bugs;\n"
        wanted[part + "/src/bugs.rs"] = switch.encode()
    for path in ["Cargo.toml", "Cargo.lock"]:
        wanted[path] = renamed(path, wanted[path].decode()).encode()
    for folder, _, names in os.walk(to):
        for name in names:
            if os.path.relpath(os.path.join(folder, name), to) not in wanted:
                os.remove(os.path.join(folder, name))
    for path, content in wanted.items():
        place_at(os.path.join(to, path), content, os.path.join(ROOT, path))


def renamed(path, text):
    """A manifest or lock file of the workspace, in which its own crates have another version: to
    cargo they are then other crates than those of the tree."""
    own = (r'(\[workspace\.package\]\nversion = "[^"+]*)' if path == "Cargo.toml" else
           r'(\[\[package\]\]\nname = "turnleaf[^"]*"\nversion = "[^"+]*)')
    text, count = re.subn(own, r"\1+planted", text)
    if not count:
        raise Misfit("%s does not say the version of the workspace's crates" % path)
    return text


def place_at(path, content, origin):
    if os.path.exists(path):
        with open(path, "rb") as file:
            if file.read() == content:
                return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    if os.path.exists(origin):
        shutil.copymode(origin, path)
