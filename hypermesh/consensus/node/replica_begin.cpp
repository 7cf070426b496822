#include <fmt/format.h>

#include "consensus/execution/resume.hpp"
#include "consensus/node/ordered_time.hpp"
#include "consensus/node/replica_state.hpp"

// From what is on disk to an engine that goes on from there.

namespace hypermesh::consensus {

using base::Errc;
using base::Result;
using base::Task;

namespace {

pbft::Options engine_options(const Genesis& genesis, pbft::Options options) {
  options.cluster = cluster_of(genesis);
  options.window = genesis.window;
  options.checkpoint_interval = genesis.checkpoint_interval;
  return options;
}

constexpr const char* kStartNewer =
    "start the version that wrote it, or a newer one; nothing was changed";

struct Kept {
  std::vector<pbft::Persist> records;
  bool damaged = false;  ///< A promise may be among what cannot be read.
};

Result<Kept> read_log(const ClusterId& cluster, const Versions& versions, const Log& log,
                      const base::Log& lines) {
  Kept kept;
  Result<> good;
  TRY(const auto gaps, log.read(log.opened().first, [&](const LogRecord& record) {
    if (!good) return;
    auto decoded = decode_record(cluster, record.payload, versions);
    if (decoded) return kept.records.push_back({record.lsn, *std::move(decoded)});
    auto error = base::wrap(std::move(decoded).error(),
                            fmt::format("record {} of the consensus log", record.lsn));
    if (error.code == Errc::Unsupported) error = with_hint(std::move(error), kStartNewer);
    good = std::unexpected(std::move(error));
  }));
  TRY_DO(std::move(good));
  for (const LogGap& gap : gaps) {
    kept.damaged = kept.damaged || gap.acknowledged;
    lines.error("records of the consensus log are damaged", {{"file", gap.file},
                                                             {"offset", gap.offset},
                                                             {"bytes", gap.bytes},
                                                             {"first", gap.first},
                                                             {"last", gap.last}});
  }
  if (const auto& torn = log.opened().torn_tail) {
    lines.info("a write was cut short by a crash; nobody was told of it",
               {{"file", torn->file}, {"offset", torn->offset}, {"bytes", torn->bytes}});
  }
  return kept;
}

}  // namespace

base::Error of_the_state(base::Error error) {
  error = base::wrap(std::move(error), "the replicated state");
  if (error.code == Errc::DataLoss && error.hints.empty()) {
    error =
        with_hint(std::move(error),
                  "move the folder of this replica's state away, keep its log and key, and open "
                  "it anew: it fetches the state from the others");
  }
  if (error.code == Errc::Unsupported && error.hints.empty())
    error = with_hint(std::move(error), kStartNewer);
  return error;
}

ReplicaNode::State::State(Parts made, const ReplicaOptions& how, std::unique_ptr<Executor> executor)
    : parts(std::move(made)),
      options(how),
      cluster(cluster_of(parts.genesis)),
      signer(*parts.key),
      blocks(std::move(executor)),
      configuration(blocks->configuration()),
      gateway(cluster, *parts.key, wall_of(*parts.clock) / 1000, how.gateway),
      relay(how.gateway.resend),
      scope(parts.executor),
      timer(parts.executor),
      on_disk(blocks->applied()),
      applied(blocks->applied()),
      revision(blocks->machine().revision()),
      time(blocks->time()),
      operations(blocks->operations()),
      progressed(parts.executor),
      failed(parts.executor) {}

Result<> ReplicaNode::State::begin() {
  TRY(const auto kept, read_log(cluster, options.engine.versions, *parts.log, parts.lines));
  const Genesis& genesis = parts.genesis;
  auto resumed = resume(genesis, *blocks, kept.records, parts.log->opened().last);
  durable = resumed.restored.last_lsn;
  damaged = kept.damaged;
  if (damaged) {
    parts.lines.error(
        "promises of this replica may be lost with its log; it follows, but does not vote any more",
        {{"do", "remove its state and let it join with a new key"}});
  } else if (resumed.restored.silenced) {
    parts.lines.error(
        "the log of this replica was lost, and promises with it; it follows, but does not vote "
        "any more",
        {{"do", "let it join with a new key, and change the voters"}});
  }
  const auto own = damaged ? std::nullopt : std::optional(parts.key->public_key());
  if (const auto& stable = resumed.restored.stable) certified = stable->certificate.statement.slot;
  engine = std::make_unique<pbft::Replica>(engine_options(genesis, options.engine), signer, own,
                                           std::move(resumed.restored), resumed.position,
                                           parts.clock->now());
  return {};
}

}  // namespace hypermesh::consensus
