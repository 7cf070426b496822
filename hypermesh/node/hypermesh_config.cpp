#include "node/hypermesh_config.hpp"

#include "runtime/core/log_limits.hpp"

namespace hypermesh {

using namespace base::config;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t kMiB = 1024 * 1024;

}  // namespace

Layer config_layer() {
  const std::string consensus = "consensus among several nodes";
  Layer layer;
  layer.name = "hypermesh";
  layer.keys = {flag("all_features", false, "Turns on every part of the layer.")};
  layer.sections = {
      Section{
          "node",
          "This machine.",
          "id",
          {text("id", "", "Name of the node; empty: the host's name."),
           endpoint("listen_address", "[::]:9292", "STOQ's address; stands for transport.bind."),
           text("data_directory", "/var/lib/hypermesh", "Where state is kept."),
           integer("max_connections", 10'000, 1, 1'000'000,
                   "STOQ connections open at once; stands for transport.max_connections.")}},
      Section{
          "runtime",
          "Containers.",
          "enabled",
          {flag("enabled", true, "Whether this node runs containers."),
           flag("allow_host_users", true,
                "Whether a development node's keeper makes pods with hostUsers: true."),
           flag("allow_privileged", true,
                "Whether it runs privileged containers in them: root of the machine."),
           text_list("host_paths", {"/"},
                     "Folders that hostPath volumes may lie in; none: nowhere."),
           choice("oci_runtime", {{"auto", {}}, {"crun", {}}, {"runc", {}}}, "auto",
                  "Which program creates a development node's containers; auto: the first that "
                  "works here."),
           size("log_size", 10 * kMiB, keeper::kLogFileBytesMin, keeper::kLogFileBytesMax,
                "A container's log file is rotated at this size."),
           integer("log_files", 5, 1, keeper::kLogFilesMax, "Log files kept for each container.")}},
      Section{
          "consensus",
          "Agreement on the state.",
          "algorithm",
          {unbuilt(flag("enabled", true, "Whether this node votes."), consensus),
           unbuilt(
               choice("algorithm", {{"pbft", {}}, {"raft_byzantine", {}}}, "pbft", "The protocol."),
               consensus),
           unbuilt(duration("timeout", 5s, 100ms, 10min,
                            "A request not ordered in this time changes the leader."),
                   consensus),
           unbuilt(integer("batch_size", 100, 1, 100'000, "Operations ordered at once."),
                   consensus),
           unbuilt(integer("checkpoint_interval", 1000, 1, 1'000'000, "Slots between checkpoints."),
                   consensus)}},
      Section{"security",
              "Algorithms.",
              "",
              {choice("encryption_algorithm", {{"chacha20-poly1305", {}}}, "chacha20-poly1305",
                      "Seals secrets at rest."),
               choice("signature_algorithm", {{"ed25519", {}}}, "ed25519", "Signs receipts."),
               unbuilt(choice("key_derivation", {{"argon2", {"argon2id"}}}, "argon2",
                              "Makes the sealing key from a passphrase."),
                       "sealing with a passphrase")}},
      Section{
          "storage",
          "State on disk.",
          "backend",
          {choice("backend", {{"rocksdb", {}}, {"memory", {}}}, "rocksdb",
                  "memory keeps nothing over a restart."),
           unbuilt(integer("replication_factor", 3, 1, 13, "Nodes that keep a value."), consensus),
           flag("fsync", true, "Whether a write is on disk before it is acknowledged.")}},
  };
  return layer;
}

}  // namespace hypermesh
