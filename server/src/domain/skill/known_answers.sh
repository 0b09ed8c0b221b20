#!/usr/bin/env bash
# Works out where runs stand in the canary, without the code under test: `sha256sum` hashes, the shell takes the modulo.
# Prints a line a stage of each run: the first eight digits of the hash, the bucket, the stage, and the run.
set -euo pipefail

while IFS= read -r run; do
  for stage in discover submit publish; do
    hash=$(printf '%s' "$run:$stage" | sha256sum | cut -c1-8)
    printf '%s %s %s %s\n' "$hash" "$((16#$hash % 100))" "$stage" "$run"
  done
done <<'RUNS'
00000000-0000-0000-0000-000000000000
ffffffff-ffff-ffff-ffff-ffffffffffff
01932c07-a3f0-7aaa-8bbb-0123456789ab
01932c07-a3f0-7aaa-8bbb-0123456789ac
0199c1d2-0000-7000-8000-000000000001
0199c1d2-0000-7000-8000-000000000002
0199c1d2-0000-7000-8000-000000000003
019a9f5e-6b1c-7d3e-9f00-5a2b8c7d6e4f
019a9f5e-6b1c-7d3e-9f00-5a2b8c7d6e50
6ba7b810-9dad-11d1-80b4-00c04fd430c8
f47ac10b-58cc-4372-a567-0e02b2c3d479
c0ffee00-dead-4bee-8fee-feedfacecafe
RUNS
