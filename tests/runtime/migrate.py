"""Lets the runtime migrate the legacy threads of a home that it wrote: in place, each file under its
name with other lines, offline; and go on with them. Needs no packages.
"""

import json
import os
import subprocess

from runtime import Failed, WAIT


def migrate(binary, home):
    """Migrates all that can be; the threads that were."""
    env = {"PATH": os.environ.get("PATH", ""), "HOME": home, "CODEX_HOME": home, "TZ": "UTC"}
    done = subprocess.run([binary, "migrate-rollouts", "--apply", "--json"], cwd=home, env=env,
                          capture_output=True, timeout=WAIT)
    if done.returncode:
        raise Failed("migrate-rollouts: exit %d: %s" % (done.returncode, done.stderr[:300]))
    outcomes = json.loads(done.stdout)["outcomes"]
    failed = [outcome for outcome in outcomes if outcome["status"] == "failed"]
    if failed:
        raise Failed("migrate-rollouts: %s" % json.dumps(failed)[:600])
    return [outcome["thread_id"] for outcome in outcomes if outcome["status"] == "migrated"]


def go_on(runtime, threads):
    """A turn more of each of the threads."""
    for thread in threads:
        runtime.ask("thread/resume", {"threadId": thread, "excludeTurns": True})
        runtime.turn(thread, "RUN one more")


def without_lost(turns, mine):
    """The turns of a migrated thread, and ours, without what the runtime loses and in which it differs
    from the shared cases: of a review's turn the migration writes two ends, and the runtime shows the
    first, which it made up: without a start, and it ends when its line was written; ours shows the end
    that the turn had. Where of an item an end alone is known, ours says it in the list of items alone."""
    made_up = {turn["id"] for turn in turns
               if turn.get("completedAt") and turn.get("startedAt") is None}
    return [[kept(turn, turn["id"] in made_up) for turn in rows] for rows in (turns, mine)]


def kept(turn, has_no_times):
    lost = {"startedAt", "completedAt", "durationMs", "rootTurnId"} if has_no_times else set()
    items = [{key: part for key, part in item.items()
              if key != "completedAtMs" or item.get("startedAtMs") is not None}
             for item in turn["items"]]
    return {key: part for key, part in dict(turn, items=items).items() if key not in lost}
