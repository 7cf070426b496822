# One connection, AES-128-GCM, [::1]: against TCP + TLS 1.3, and against what the kernel and the cipher alone would take.
. bench/transport/lib.sh
mib=${BULK_MIB:-400}
for ((round = 0; round < rounds + 4; round++)); do
  take stoq bulk_stoq "$mib"
  take tls bulk_tls "$mib"
  take udp bulk_udp "$mib"
  take aead aead 300000
  take chacha bulk_stoq $((mib / 4)) --chacha
  take jumbo bulk_stoq "$mib" --payload 8952
done
paste -d' ' "$work"/{udp,aead} >"$work/limit"  # GBIT SND RCV WALL SEAL OPEN
limit='1/(($2+$3)/$1 + 1/$5 + 1/$6)'
paste -d' ' "$work"/{stoq,udp,aead} >"$work/share"
figure bulk_vs_tcp_tls "$(paired stoq tls '($1/($2+$3))/($5/($6+$7))')" ratio %.3f \
  "$(median stoq "$both") Gbit a CPU second of both ends, OpenSSL over TCP $(median tls "$both")"
figure bulk_share_of_limit "$(median share '($1/($2+$3))*(($6+$7)/$5 + 1/$9 + 1/$10)')" ratio %.3f \
  "of $(median limit "$limit"): UDP with GSO and GRO alone $(median udp "$both"), sealing $(median aead '$1'), opening $(median aead '$2')"
record bulk_sender "$(median stoq '$1/$2')" Gbit/CPU-s %.2f "TCP and TLS $(median tls '$1/$2')"
record bulk_receiver "$(median stoq '$1/$3')" Gbit/CPU-s %.2f "TCP and TLS $(median tls '$1/$3')"
record bulk_rate "$(median stoq '$1/$4')" Gbit/s %.2f "a core for each end; TCP and TLS $(median tls '$1/$4')"
record bulk_chacha20 "$(median chacha "$both")" Gbit/CPU-s %.2f "both ends, ChaCha20-Poly1305"
record bulk_8952 "$(median jumbo "$both")" Gbit/CPU-s %.2f "both ends, packets of 8952 bytes"
