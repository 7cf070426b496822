# Debian's etcd, three members on loopback with its own defaults (a sync for every batch, heartbeats each 100 ms, elections
# after 1 s), in a folder that goes with them.
etcd_pids=() etcd_endpoints=''
etcd_attempts=3  # On a busy machine it may lose its leader, and then fails what is under way.

# free_ports COUNT: different ports, below those that the kernel gives to clients, on which nobody listens.
free_ports() {
  local taken port ports=()
  taken=$(ss -Htln | awk '{sub(/.*:/, "", $4); print $4}')
  while ((${#ports[@]} < $1)); do
    port=$((20000 + RANDOM % 12000))
    grep -qx "$port" <(printf '%s\n' "$taken" "${ports[@]}") || ports+=("$port")
  done
  echo "${ports[@]}"
}

# etcd_up FOLDER: returns once every member has a leader. Somebody may take a port before etcd does, so it is tried again.
etcd_up() {
  local attempt
  for attempt in 1 2 3; do
    etcd_start "$1" && return
    echo "etcd did not start ($attempt of 3):" >&2
    tail -n 3 "$1"/member*.log >&2 || true
    etcd_down "$1"
  done
  return 1
}

etcd_start() {
  local folder=$1 ports peers='' i end
  mkdir "$folder"
  read -ra ports < <(free_ports 6)
  for i in 0 1 2; do peers+=${peers:+,}member$i=http://127.0.0.1:${ports[i + 3]}; done
  etcd_endpoints=127.0.0.1:${ports[0]},127.0.0.1:${ports[1]},127.0.0.1:${ports[2]}
  for i in 0 1 2; do
    env -i PATH="$PATH" setpriv --pdeathsig KILL etcd --name "member$i" --data-dir "$folder/member$i" \
      --listen-client-urls "http://127.0.0.1:${ports[i]}" --advertise-client-urls "http://127.0.0.1:${ports[i]}" \
      --listen-peer-urls "http://127.0.0.1:${ports[i + 3]}" --initial-advertise-peer-urls "http://127.0.0.1:${ports[i + 3]}" \
      --initial-cluster "$peers" --initial-cluster-token "${folder##*/}" >"$folder/member$i.log" 2>&1 &
    etcd_pids+=($!)
  done
  end=$((SECONDS + 20))
  until etcd_healthy; do
    ((SECONDS < end)) || return 1
    for i in "${etcd_pids[@]}"; do kill -0 "$i" 2>/dev/null || return 1; done
    sleep 0.1
  done
  etcd_leader_first
}

# A single client asks the first: the leader, so that nothing is passed on.
etcd_leader_first() {
  local endpoint followers=()
  for endpoint in ${etcd_endpoints//,/ }; do
    if curl -s -m 5 --noproxy '*' "http://$endpoint/metrics" | grep -x 'etcd_server_is_leader 1' >/dev/null; then
      etcd_endpoints=$endpoint
    else
      followers+=(",$endpoint")
    fi
  done
  ((${#followers[@]} == 2)) || return 1  # An election came between.
  printf -v etcd_endpoints %s "$etcd_endpoints" "${followers[@]}"
}

etcd_healthy() {
  local endpoint
  for endpoint in ${etcd_endpoints//,/ }; do
    [[ $(curl -s -m 5 --noproxy '*' "http://$endpoint/health" | jq -r .health) == true ]] || return 1
  done
}

# etcd_load ARGUMENTS: as load_options.hpp has them; one line of numbers.
etcd_load() { "$bin/etcd_load" --endpoints "$etcd_endpoints" "$@"; }

# etcd_down FOLDER: ends them, as one pulls a plug, and removes what they wrote. Without any it does nothing.
etcd_down() {
  local pid
  for pid in "${etcd_pids[@]}"; do
    kill -KILL "$pid" || true
    wait "$pid" || true
  done 2>/dev/null
  etcd_pids=()
  rm -rf "$1"
}
