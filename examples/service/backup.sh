#!/bin/sh
# A copy of the data folder of a service that runs: backup.sh DATA TARGET
set -eu
data=$1 target=$2
mkdir -p -m 0700 "$target"

# The ledger goes first, whole, by SQLite's own copy: a file that it names and that was there then is still to be copied.
python3 - "$data/ledger.db" "$target/ledger.db" <<'PYTHON'
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as ledger:
    ledger.execute("VACUUM INTO ?", [sys.argv[2]])
PYTHON

for name in secret staging files quarantine; do
    if [ -e "$data/$name" ]; then cp -a "$data/$name" "$target/"; fi
done
