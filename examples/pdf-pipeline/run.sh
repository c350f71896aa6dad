#!/usr/bin/env bash
# Starts a server and the worker, runs the pipeline once, and shows what came of it: ./run.sh [INPUT]
# Both end with this script. QUINTET is the program; without it, cargo builds and runs it.
set -euo pipefail
cd "$(dirname "$0")"
input=${1:-'{"pdfUrl": "https://example.com/harbour-ferries.pdf", "extractTables": true}'}
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

# Prints an expression about `it`, the JSON on the standard input.
json() { node -e 'const it = JSON.parse(require("node:fs").readFileSync(0, "utf8")); console.log('"$1"')'; }

# The server and its workers share a secret; with it the server tells them where the storage is.
PIPEWEAVE_SECRET_KEY=$(head -c 32 /dev/urandom | od -A n -t x1 | tr -d ' \n')
export PIPEWEAVE_SECRET_KEY

mkfifo "$data/server" "$data/worker"
${QUINTET:-cargo run --release --quiet --} serve --listen 127.0.0.1:0 --data "$data/store" > "$data/server" 2> "$data/server.log" &
started+=($!)
exec 3< "$data/server"
read -r -u 3 ready
[[ $ready =~ http=([^ ]+) ]]
export PIPEWEAVE_ORCHESTRATOR_URL=http://${BASH_REMATCH[1]}
api=$PIPEWEAVE_ORCHESTRATOR_URL/api

# Node reads TypeScript since 22.6; worker.mjs is the same for the ones before.
worker=(node worker.mjs)
if node --experimental-strip-types -e 0 2> /dev/null; then
  worker=(node --disable-warning=ExperimentalWarning --experimental-strip-types worker.ts)
fi
"${worker[@]}" > "$data/worker" &
started+=($!)
exec 4< "$data/worker"
read -r -u 4 registered
echo "worker: $registered"
sed 's/^/worker: /' <&4 &

run=$(curl -fsS "$api/pipelines/pdf-processor/trigger" -H content-type:application/json -d "$input" | json it.pipelineRunId)
status=pending
while [[ $status == pending || $status == running ]]; do
  sleep 0.1
  detail=$(curl -fsS "$api/runs/$run")
  status=$(json it.run.status <<< "$detail")
done

json 'it.tasks.map((task) => `${task.status.padEnd(10)} ${task.taskId}`).join("\n")' <<< "$detail"
echo "$run $status"
[[ $status == completed ]]
result=$(json 'it.tasks.find((task) => task.taskId === "notify").outputPath' <<< "$detail")
curl -fsS "$api/storage/$result" | json 'JSON.stringify(it.content, null, 2)'
