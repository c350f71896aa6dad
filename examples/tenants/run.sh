#!/usr/bin/env bash
# Starts a worker and a server, runs a workflow of a tenant's, and mends it: ./run.sh [FILE]
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

mkfifo "$data/worker" "$data/server"
python3 worker.py 0 > "$data/worker" &
started+=($!)
exec 3< "$data/worker"
read -r -u 3 worker

cat > "$data/settings.toml" <<SETTINGS
[tenants.types]
default = { run = "http", url = "$worker" }
SETTINGS
$quintet serve --config "$data/settings.toml" --listen 127.0.0.1:0 --data "$data/store" > "$data/server" 2> "$data/server.log" &
started+=($!)
exec 4< "$data/server"
read -r -u 4 ready
[[ $ready =~ http=([^ ]+) ]]

python3 client.py "http://${BASH_REMATCH[1]}" "${1:-release.json}"
