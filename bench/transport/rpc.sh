# 64 unary calls at once, 100 bytes each way: against the same frames over TCP + TLS 1.3, a connection for each caller.
. bench/transport/lib.sh
for ((round = 0; round < rounds + 2; round++)); do
  take rpc rpc_stoq 20000
  take rpc_tls rpc_tls 5000
done
figure rpc_p99_ms "$(median rpc '$6')" ms %.2f "median $(median rpc '$5'); TCP and TLS $(median rpc_tls '$6'), median $(median rpc_tls '$5')"
figure rpc_rate_vs_tcp_tls "$(paired rpc rpc_tls '($1/($2+$3))/($7/($8+$9))')" ratio %.2f \
  "$(median rpc "$both") calls a CPU second of both ends against $(median rpc_tls "$both")"
