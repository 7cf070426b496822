#include "place.hpp"

#include <fmt/format.h>

#include <base/file.hpp>

namespace apps {

namespace {

constexpr const char* kRunFolder = "/run/hypermesh";
constexpr std::size_t kIdentityBytesMax = 64u << 10;

}  // namespace

base::Result<Place> find_place(const DaemonContext& daemon) {
  const std::filesystem::path home = daemon.options.home;
  const std::filesystem::path file = home / "node.json";
  auto text = base::read_file(file, kIdentityBytesMax);
  if (!text) {
    base::Error error =
        base::wrap(std::move(text).error(),
                   fmt::format("this machine is no node yet: {} says who it is in its cluster",
                               file.string()));
    return std::unexpected(
        base::with_hint(std::move(error), "hm dev --detach starts a node for development"));
  }
  Place place;
  TRY(place.identity, hypermesh::datapath::parse_node_identity(*text));
  if (const std::string& name = daemon.config.text("hypermesh.node.id"); !name.empty())
    place.identity.name = name;
  if (place.identity.dev) {
    place.state = home / "state";
    place.run = home / "run";
  } else {
    place.state = daemon.config.text("hypermesh.node.data_directory");
    place.run = kRunFolder;
  }
  return place;
}

}  // namespace apps
