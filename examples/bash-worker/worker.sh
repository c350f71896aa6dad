#!/usr/bin/env bash
# A worker in bash and curl: it counts the words of `{"text": "..."}`. See README.md.
set -eu; export LC_ALL=C SERVER=${SERVER:-http://127.0.0.1:8080} PORT=${PORT:-9100} OBJECTS=${OBJECTS:-data/objects}
if [[ ${1-} != answer ]]; then
  # Listen: each connection becomes standard input and output of `worker.sh answer`.
  perl -MIO::Socket::INET -e '$SIG{CHLD} = "IGNORE"; $l = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => shift, Listen => 64, ReuseAddr => 1) or die $!;
    while ($c = $l->accept) { fork or do { open STDIN, "<&", $c; open STDOUT, ">&", $c; close $c; exec @ARGV } }' "$PORT" "$0" answer & trap "kill $!" EXIT
  # Register: one task, whose version is this very file.
  curl -fsS "$SERVER/api/register" -H content-type:application/json -d '{"serviceId": "words", "version": "1.0.0", "baseUrl": "http://127.0.0.1:'"$PORT"'",
    "tasks": [{"id": "count-words", "codeHash": "'"$(sha256sum "$0" | head -c 16)"'", "timeout": 60}]}'
  wait
fi
field() { [[ $2 =~ \"$1\":\ *\"([^\"]*)\" ]] && echo "${BASH_REMATCH[1]}"; }
while read -r line && line=${line%$'\r'} && [[ $line ]]; do [[ ${line,,} == content-length:* ]] && length=${line##* }; done
read -r -N "$length" body && run=$(field runId "$body") && input=$(<"$OBJECTS/$(field inputPath "$body")")
printf 'HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: %d\r\n\r\n{"runId":"%s"}' $((${#run} + 12)) "$run"
exec >&- # The server has its receipt; what follows is the work, and then its result.
mkdir -p "$OBJECTS/runs/$run" && echo '{"words": '"$(field text "$input" | wc -w)"'}' > "$OBJECTS/runs/$run/output.json"
curl -fsS --retry 8 --retry-all-errors -o /dev/null "$SERVER/api/callback/$run" -H content-type:application/json -d '{"status": "success", "outputPath": "runs/'"$run"'/output.json"}'
