#pragma once

// What the keeper knows of a pod and its containers while it lives.

#include "runtime/keeper/keeper.hpp"

namespace hypermesh::keeper {

struct Keeper::Container {
  ContainerRecord record;
  OciHandle oci;
  std::unique_ptr<ContainerIo> io;
  UniqueFd process;  ///< pidfd of the first process; -1 when it does not run.
  UniqueFd oom_watch;
  std::uint64_t oom_kills_claimed =
      0;  ///< Kills for memory that are known to have hit another process.
  bool starting = false;
  bool clearing = false;
  bool killed = false;  ///< By us: its end is no kill for memory.
  bool wants_input = false, terminal = false;
  std::string folder;  ///< <state>/pods/<uid>/containers/<name>/<attempt>
  Signal changed;

  explicit Container(Loop& loop) : changed(loop) {}
  const nexus::ContainerId& id() const { return record.status.id; }
  bool running() const { return record.status.state == nexus::ContainerState::Running; }
};

struct Keeper::Pod {
  PodRecord record;
  Sandbox sandbox;
  bool ready = false;
  bool busy = false;  ///< Being made or removed.
  bool removing = false;
  unsigned starts = 0;  ///< Containers that are being started or cleared.
  std::map<std::string, std::shared_ptr<Container>> containers;
  Signal changed;

  explicit Pod(Loop& loop) : changed(loop) {}
};

struct Keeper::Session {
  ConnectionId connection = 0;
  pid_t pid = 0;
  std::weak_ptr<Container> container;  ///< Its end may be a kill for memory of this one.
  UniqueFd messages;                   ///< What a copier says at its end.
};

}  // namespace hypermesh::keeper
