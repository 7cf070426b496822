# Full handshakes with certificates of both sides, every client another node: the server's cost against its public-key operations.
. bench/transport/lib.sh
for ((round = 0; round < rounds; round++)); do
  take handshakes handshakes_stoq 1000
  take unloaded handshakes_stoq 1000 --idle
  take floor handshakes_floor 1000
done
figure handshakes_share_of_floor "$(paired handshakes floor '$1/$2')" ratio %.3f \
  "$(median handshakes) a server core second against $(median floor): 2 X25519, 1 Ed25519 signature, 2 verifications by OpenSSL"
record handshakes_idle_server "$(median unloaded)" handshakes/CPU-s %.1f "a server on a core of its own, woken for most packets"
