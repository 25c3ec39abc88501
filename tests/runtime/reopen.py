"""A fresh home of the runtime with nothing in it but what the built command wrote there: every
thread as one rollout, and every thread rescued. The runtime must list them, show the turns and items
that the command shows, and go on with each by a turn. Needs no packages.
"""

import json
import os

from comparison import Ours, differences, entry, in_order, plain
from runtime import Failed, Model, Runtime

VIEWS = {"notLoaded": "none", "summary": "summary", "full": "full"}
SOURCES = ["cli", "vscode", "exec", "appServer", "subAgent", "subAgentReview", "subAgentCompact",
           "subAgentThreadSpawn", "subAgentOther", "unknown"]


def said(ours, *command):
    """What a command says, which must do."""
    code, out, err = ours.run(*command)
    if code:
        raise Failed("%s: exit %d: %s %s" % (" ".join(command), code, out[:300], err[:300]))
    return json.loads(out)


def fork(ours):
    """Forks of our own, which no runtime has written to: every third thread up to its middle, every
    other one of them with its newest turn taken back."""
    for place, thread in enumerate(ours.all("threads", "--sort", "created")):
        turns = ours.all("turns", thread["id"], "--order", "asc", "--items", "none")
        if place % 3 or len(turns) < 2:
            continue
        turn = turns[len(turns) // 2]["id"]
        made = said(ours, "fork", thread["id"], "--through-turn", turn)
        if place % 2:
            said(ours, "rollback", made["id"], "--turns", "1")


def write(ours, home):
    """Writes all threads of a store into a home; what each new one shows: whose store, whose id."""
    written = {}
    for thread in ours.all("threads") + ours.all("threads", "--archived"):
        key = thread["id"]
        for command in (["export", key, "--as-rollout", home], ["rescue", key, "--into", home]):
            written[said(ours, *command)["id"]] = key
    return written


def reopen(binary, ours, scratch):
    """All differences between what the runtime shows of such a home and what ours does, and how
    many threads were compared."""
    home = os.path.join(scratch, "fresh")
    os.mkdir(home)
    fork(ours)
    written = write(ours, home)
    # What was rescued is none of the store: it is read from the files.
    again = Ours(ours.binary, os.path.join(scratch, "store-of-fresh"))
    code, out, err = again.run("import", home)
    found = ["import of what was written: exit %d: %s %s" % (code, out[:300], err)] if code else []
    model = Model(len(written))
    try:
        runtime = Runtime(binary, home, model)
        listed = {thread["id"] for thread in runtime.all("thread/list", {
            "archived": False, "sortKey": "created_at", "sourceKinds": SOURCES})}
        count = 0
        for thread, of in sorted(written.items()):
            source = ours if thread == of else again
            count += 1
            found += ["thread %s: %s" % (thread, line) for line in one(
                runtime, source, thread, thread in listed)]
        runtime.close()
        return found, count
    finally:
        model.close()


def one(runtime, source, thread, is_listed):
    """What is wrong with one thread that the command wrote."""
    shown = {view: source.all("turns", thread, "--order", "asc", "--items", name)
             for view, name in VIEWS.items()}
    spoken = any(item["type"] == "userMessage" for turn in shown["full"] for item in turn["items"])
    if is_listed != spoken:
        yield "listed: runtime %s, ours has %d turns" % (is_listed, len(shown["full"]))
    try:
        runtime.ask("thread/resume", {"threadId": thread, "excludeTurns": True})
        for view, mine in shown.items():
            theirs = runtime.all("thread/turns/list", {
                "threadId": thread, "itemsView": view, "sortDirection": "asc"})
            yield from differences(plain(in_order(theirs)), plain(in_order(mine)), view)
        yield from items(runtime, source, thread)
        before = len(shown["full"])
        runtime.turn(thread, "and one more")
        after = runtime.all("thread/turns/list", {"threadId": thread, "itemsView": "notLoaded"})
        if len(after) != before + 1:
            yield "turns after one more: runtime %d, ours %d before" % (len(after), before)
    except Failed as error:
        yield "failed: runtime %s, ours nothing" % error


def items(runtime, source, thread):
    """How the items differ; of a legacy thread the runtime serves no list of them."""
    try:
        theirs = runtime.all("thread/items/list", {"threadId": thread, "sortDirection": "asc"})
    except Failed as error:
        if "-32601" not in str(error):
            raise
        return
    mine = source.all("items", thread, "--order", "asc")
    yield from differences(plain([entry(row) for row in theirs]),
                           plain([entry(row) for row in mine]), "items")
