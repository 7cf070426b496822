#include "replica_folder.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../transport/process.hpp"

namespace bench {

using namespace hypermesh::consensus;

namespace {

// A UDP port on which nobody listens; somebody may take it before we do.
std::uint16_t free_port() {
  const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 address{.sin6_family = AF_INET6};
  address.sin6_addr = in6addr_loopback;
  socklen_t size = sizeof address;
  must(fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
           getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0,
       "find a port");
  close(fd);
  return ntohs(address.sin6_port);
}

base::PublicKey make_identity(const std::filesystem::path& path) {
  base::SystemRng rng;
  return must(stoq::open_identity(path.string(), rng), "make an identity").key.public_key();
}

}  // namespace

void make_cluster(const std::filesystem::path& folder, const ClusterShape& shape) {
  Genesis genesis;
  genesis.name = "bench";
  genesis.checkpoint_interval = shape.checkpoint_interval;
  for (std::size_t i = 0; i < shape.voters + shape.spares; ++i) {
    const auto own = of_replica(folder, i);
    std::filesystem::create_directories(own);
    const Member member{make_identity(own / "identity"), Role::Node,
                        fmt::format("[::1]:{}", free_port())};
    must(base::write_private_file(own / "endpoint", member.endpoint), "write an endpoint");
    if (i >= shape.voters) continue;
    genesis.voters.push_back(member.key);
    genesis.members.push_back(member);
  }
  genesis.members.push_back({make_identity(folder / "client"), Role::Client, ""});
  genesis.members.push_back({make_identity(folder / "operator"), Role::Operator, ""});
  const auto bytes = encode(genesis);
  must(base::write_private_file(folder / "genesis", base::as_text(bytes)), "write the genesis");
}

base::Result<Member> read_member(const std::filesystem::path& folder, std::size_t i) {
  const auto own = of_replica(folder, i);
  base::SystemRng rng;
  TRY(const auto identity, stoq::open_identity((own / "identity").string(), rng));
  TRY(auto endpoint, base::read_file((own / "endpoint").string(), kEndpointBytesMax));
  return Member{identity.key.public_key(), Role::Node, std::move(endpoint)};
}

}  // namespace bench
