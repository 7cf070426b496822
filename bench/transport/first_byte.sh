# A request and the first byte of its answer, 10 ms of path each way, full mutual handshake and 0-RTT.
. bench/transport/lib.sh
for ((round = 0; round < rounds; round++)); do
  take first_stoq first_byte_stoq 8
  take first_tls first_byte_tls 8
done
figure first_byte_full_extra_ms "$(median first_stoq '$1-40')" ms %.2f "beyond two round trips of 20 ms"
figure first_byte_0rtt_extra_ms "$(median first_stoq '$2-20')" ms %.2f "beyond one"
figure first_byte_0rtt_vs_tcp_tls "$(paired first_stoq first_tls '$2/$3')" ratio %.3f "TCP and TLS 1.3 full $(median first_tls) ms"
record first_byte_full_vs_tcp_tls "$(paired first_stoq first_tls '$1/$3')" ratio %.3f "likewise, full handshake"
