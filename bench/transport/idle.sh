# Ten thousand connections of one process, idle; then a ping over each.
. bench/transport/lib.sh
take idle idle_stoq 10000
figure idle_connections "$(median idle '$1')" count %d "open at once, each of which answered a ping afterwards"
figure idle_connection_kib "$(median idle '$2')" KiB %.1f "of the server's process for each; the client's $(median idle '$3')"
record idle_cpu_percent "$(median idle '$4*100')" percent %.2f "of one core, the server with all of them"
