# Without a bound: two cores, and a path that loses.
. bench/transport/lib.sh
for ((round = 0; round < rounds; round++)); do
  take one cores_stoq 1 200
  take two cores_stoq 2 200
done
record two_cores_vs_one "$(paired one two '($6/$8)/($1/$3)')" ratio %.2f \
  "Gbit a CPU second of a server with two endpoints and 8 connections against one endpoint: $(median two '$1/$3') and $(median one '$1/$3')"
record two_cores_misdirected "$(median two '$5')" share %.6f "of datagrams after the handshakes, handed from core to core"
for congestion in cubic bbr; do
  for ((round = 0; round < 3; round++)); do take "path_$congestion" path_stoq $congestion 0.01 3; done
  record "path_loss_1_percent_$congestion" "$(median "path_$congestion")" Mbit/s %.1f "20 ms, 1 % lost each way"
done
