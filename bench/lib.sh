# Shared by the benchmarks that take turns with a peer. $bin has the programs, $work is a scratch folder. Rounds are files of
# lines there; column C of each is a sample.

# take FILE PROGRAM...: one more round.
take() { local file=$1; shift; "$bin/$1" "${@:2}" >>"$work/$file"; }

# median FILE [EXPRESSION]: of an awk expression over the columns of each round.
median() {
  awk "{print ${2:-\$1}}" "$work/$1" | sort -g |
    awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'
}

# paired FILE FILE EXPRESSION: the median over the rounds of an expression over the columns of both, side by side.
paired() { paste -d' ' "$work/$1" "$work/$2" >"$work/pair"; median pair "$3"; }

# middle_half FILE [EXPRESSION]: between which values half of the rounds lie, as "A to B".
middle_half() {
  awk "{print ${2:-\$1}}" "$work/$1" | sort -g |
    awk '{v[NR] = $1} END {printf "%.2f to %.2f", v[int((NR + 3) / 4)], v[int((3 * NR + 3) / 4)]}'
}

# figure NAME VALUE UNIT FORMAT WORDS...: one line, as bench/run wants them.
figure() { printf "figure %s $4 %s  %s\n" "$1" "$2" "$3" "${*:5}"; }
record() { printf "record %s $4 %s  %s\n" "$1" "$2" "$3" "${*:5}"; }

# end_processes ARRAY: of children, as one pulls a plug; returns when they are gone, and empties the array.
end_processes() {
  local -n children=$1
  local pid
  for pid in "${children[@]}"; do
    kill -KILL "$pid" || true
    wait "$pid" || true
  done 2>/dev/null
  children=()
}
