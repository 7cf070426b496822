#!/usr/bin/env bash
# stoqd_test.sh BIN: stoqd as an operator meets it, looked at with hm stoq.
set -Eeuo pipefail
bin=$1
work=$(mktemp -d)
pid=
trap '[[ -z $pid ]] || kill "$pid"; rm -rf "$work"' EXIT
export HM_HOME=$work/hm
mkdir "$HM_HOME" "$work/qlog"

fail() { echo "FAILED: $*" >&2; cat "$work/log" >&2; exit 1; }
hm() { "$bin/hm" "$@"; }
expect_exit() {  # expect_exit CODE WORDS COMMAND...
  local code=0 want=$1 words=$2; shift 2
  "$@" >"$work/out" 2>&1 || code=$?
  [[ $code == "$want" ]] || { cat "$work/out" >&2; fail "exit $code instead of $want: $*"; }
  grep -qF -- "$words" "$work/out" || { cat "$work/out" >&2; fail "no word of \"$words\": $*"; }
}
# The log is a pipe: the line comes, or the daemon has ended.
start() {  # start [KEY=VALUE of the environment]
  coproc daemon { exec env "$@" "$bin/stoqd" --config "$work/stoq.yaml" 2>&1; }
  pid=$daemon_PID
  local line
  : >"$work/log"
  while read -r line <&"${daemon[0]}"; do
    echo "$line" >>"$work/log"
    [[ $line != *" ready "* ]] || break
  done
  address=$(sed -n 's/.*listening  address=\(.*\)\/quic.*/\1/p' "$work/log")
  page=$(sed -n 's/.*metrics  url=\([^ ]*\).*/\1/p' "$work/log")
  [[ -n $address ]] || fail "stoqd did not start"
}
stop() {
  kill "$pid"
  wait "$pid" || fail "stoqd ended with $?"
  pid=
}

cat >"$work/stoq.yaml" <<Y
data_directory: $work/data
transport:
  bind: "[::1]:0"
  max_connections: 8
Y

start
node=$(hm stoq ping "$address" -c 3 -i 1ms -o json | jq -er .node)
[[ $(stat -c %a "$work/data/identity.key") == 600 ]] || fail "others may read the identity"
hm stoq ping "$node@$address" -c 1 >/dev/null
expect_exit 8 "the node there is $node" hm stoq ping "$(printf 'a%.0s' {1..52})@$address"
expect_exit 2 "is not a port" hm stoq ping "[::1]:x"
hm stoq connect "$address" -o json |
  jq -e '[.items[].resumed] == [false, true, true] and .items[2].early and .cipher == "AES-128-GCM"' >/dev/null ||
  fail "the second connection does not resume"
hm stoq cert --pem "$address" | openssl x509 -noout -checkend 3600 -ext subjectAltName | grep -q "$node" ||
  fail "the certificate is not the node's"
expect_exit 6 "transport.allow_bench" hm stoq bench --size 1MiB "$address"
stop

# Comes back as the same node, with other settings.
start STOQ_TRANSPORT__ALLOW_BENCH=true STOQ_TRANSPORT__QLOG_PATH="$work/qlog" STOQ_METRICS_LISTEN="[::1]:0"
hm stoq bench --size 4MiB "$node@$address" -o json |
  jq -e '[.items[] | select(.bytes == 4194304) | .direction] == ["down", "up"]' >/dev/null || fail "bytes are missing"
grep -q '"transport:packet_received"' "$work"/qlog/*_server.sqlog || fail "no qlog"
curl -gsf "$page" | awk '/^stoq_handshakes_total{result="(full|resumed)"}/ {n += $2} END {exit n != 2}' || fail "the handshakes are not counted"
[[ $(curl -gs -o /dev/null -w '%{http_code}' "${page%metrics}x") == 404 ]] || fail "there is more than metrics"
expect_exit 1 "in use" env STOQ_TRANSPORT__BIND="$address" "$bin/stoqd" --config "$work/stoq.yaml"
expect_exit 2 "metrics_listen" env STOQ_METRICS_LISTEN=nowhere "$bin/stoqd" --config "$work/stoq.yaml"
stop
echo ok
