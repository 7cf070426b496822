# Shared by the parts of the transport's benchmark.
. bench/lib.sh

both='$1/($2+$3)'  # Of a bulk round: Gbit for each CPU second of both ends.
