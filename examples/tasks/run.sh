#!/usr/bin/env bash
# Starts a backend and a server, submits a pipeline, and shows what came of it: ./run.sh [FILE]
# Both end with this script. QUINTET is the program; without it, cargo builds and runs it.
set -euo pipefail
cd "$(dirname "$0")"
quintet=${QUINTET:-cargo run --release --quiet --}
data=$(mktemp -d)
started=()
end() {
  code=$?
  ((code == 0)) || cat "$data/server.log" >&2
  kill "${started[@]}" 2>/dev/null || true
  wait
  rm -rf "$data"
  exit "$code"
}
trap end EXIT

mkfifo "$data/backend" "$data/server"
python3 backend.py 0 > "$data/backend" &
started+=($!)
exec 3< "$data/backend"
read -r -u 3 backend

MODAL_URL=$backend $quintet serve --listen 127.0.0.1:0 --data "$data/store" > "$data/server" 2> "$data/server.log" &
started+=($!)
exec 4< "$data/server"
read -r -u 4 ready
[[ $ready =~ http=([^ ]+) ]]
export QUINTET_SERVER=http://${BASH_REMATCH[1]}

$quintet tasks submit "${1:-review.json}" --wait
echo
$quintet queues list
echo
$quintet backends list
