#!/bin/sh
# Imports a thread of several hundred megabytes, leafs through it, resumes it, exports it.
# usage: sh samples/tour.sh [SIZE]   (a size like 300M; needs about three times that on disk)
set -eu
size=${1:-300M}
target=${CARGO_TARGET_DIR:-target}/release
turnleaf=$target/turnleaf
dir=$(mktemp -d "${TMPDIR:-/tmp}/turnleaf-tour.XXXXXX")
trap 'rm -rf "$dir"' EXIT
export TURNLEAF_STORE="$dir/store"

say() { printf '\n$ %s\n' "$*"; }

say "rollout --bytes $size"
"$target/examples/rollout" --mode paginated --bytes "$size" --seed 7 --out "$dir/thread.jsonl"
say "turnleaf import thread.jsonl"
"$turnleaf" import "$dir/thread.jsonl"
thread=$("$turnleaf" threads --json | sed 's/.*"id":"\([^"]*\)".*/\1/')
say "turnleaf turns $thread --limit 5"
"$turnleaf" turns "$thread" --limit 5
say "turnleaf items $thread --order desc --limit 5"
"$turnleaf" items "$thread" --order desc --limit 5
say "turnleaf context $thread | wc -c"
"$turnleaf" context "$thread" | wc -c
say "turnleaf stats"
"$turnleaf" stats
say "turnleaf verify"
"$turnleaf" verify
say "turnleaf export $thread | cmp - thread.jsonl"
"$turnleaf" export "$thread" | cmp - "$dir/thread.jsonl"
echo "the export is identical"
