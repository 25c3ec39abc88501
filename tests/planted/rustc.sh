#!/bin/sh
# Stands between cargo and rustc for the crates of the workspace alone (RUSTC_WORKSPACE_WRAPPER), so
# that the mistakes are built in and what comes from the registry is not built again for them.
rustc=$1
shift
exec "$rustc" "$@" --cfg turnleaf_bugs
