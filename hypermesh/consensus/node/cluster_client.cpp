#include "consensus/node/cluster_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "consensus/node/awaited.hpp"
#include "consensus/node/ordered_time.hpp"
#include "consensus/node/replica_node.hpp"

namespace hypermesh::consensus {

using base::Errc;
using base::MonotonicTime;
using base::Result;
using base::Task;

namespace {

using std::chrono::milliseconds;

constexpr base::Duration kFollowAfter = std::chrono::seconds(2);

/// Whether it is the replica's word; other errors say only that it cannot answer.
bool is_answer(const RequestClient::Answer& answer) {
  if (answer) return true;
  switch (answer.error().code) {
    case Errc::InvalidArgument:
    case Errc::NotFound:
    case Errc::FailedPrecondition:
    case Errc::Unsupported:
    case Errc::ResourceExhausted:
    case Errc::Forbidden:
      return true;
    default:
      return false;
  }
}

/// Equal for answers that say the same; texts of errors may differ.
base::Bytes plain(const RequestClient::Answer& answer) {
  base::ByteWriter out;
  if (answer) {
    write(out, Reply{0, *answer});
  } else {
    out.u8(static_cast<std::uint8_t>(answer.error().code));
  }
  return std::move(out).take();
}

state::Revision& asked_at(GetRequest& request) {
  return request.at;
}
state::Revision& asked_at(RangeRequest& request) {
  return request.query.at;
}

}  // namespace

struct ClusterClient::Replica {
  Replica(const base::PublicKey& key, const base::Executor& executor,
          std::unique_ptr<stoq::rpc::Caller> caller)
      : score{key}, client(executor, std::move(caller)) {}

  ReplicaScore score;
  bool failing = false;
  RequestClient client;
};

/// One question to several replicas.
struct ClusterClient::Round {
  struct Seat {
    ReplicaPtr replica;
    std::optional<Answer> answer;
    std::optional<std::uint64_t> asked;  // Its id, until there is an answer.
    MonotonicTime again = MonotonicTime::min();
  };
  explicit Round(const base::Executor& executor) : changed(executor) {}
  ~Round() {
    for (const Seat& seat : seats)
      if (seat.asked) seat.replica->client.forget(*seat.asked);
  }
  std::size_t answers() const {
    return std::ranges::count_if(seats, [](const Seat& seat) { return seat.answer.has_value(); });
  }
  /// It gave no answer that can be used; it may do better.
  void fail(Seat& seat, MonotonicTime try_again) const {
    seat.answer.reset();
    seat.again = try_again;
    seat.replica->failing = true;
  }
  void accuse(Seat& seat) const {
    ++seat.replica->score.wrong;
    fail(seat, MonotonicTime::max());
  }

  std::vector<Seat> seats;
  base::Event changed;
};

ClusterClient::ClusterClient(Parts parts, ClusterClientOptions options)
    : parts_(std::move(parts)),
      options_(options),
      checker_(cluster_of(parts_.genesis), first_configuration(parts_.genesis).voters),
      gateway_(cluster_of(parts_.genesis), *parts_.key, wall_of(*parts_.clock) / 1000,
               options.gateway),
      scope_(parts_.executor),
      ready_(parts_.executor) {
  set_members(parts_.genesis.members);
  scope_.spawn(send_bundles());
}

ClusterClient::~ClusterClient() = default;

Task<> ClusterClient::stop() {
  gateway_.end(base::make_error(Errc::Unavailable, "this client stops"));
  scope_.cancel();
  co_await scope_.join();
  for (auto* const list : {&replicas_, &gone_})
    for (auto& replica : *list) co_await replica->client.stop();
}

void ClusterClient::set_members(const std::vector<Member>& members) {
  std::vector<ReplicaPtr> before = std::exchange(replicas_, {});
  for (const auto& key : checker_.voters().keys) {
    const auto known = std::ranges::find(
        before, key, [](const ReplicaPtr& replica) { return replica->score.replica; });
    if (known != before.end()) {
      replicas_.push_back(std::move(*known));
      before.erase(known);
      continue;
    }
    const auto member = std::ranges::find(members, key, &Member::key);
    if (member == members.end()) continue;
    const auto endpoint = endpoint_of(*member);
    if (!endpoint) continue;
    replicas_.push_back(std::make_shared<Replica>(
        key, parts_.executor, parts_.peers->to(stoq::NodeId::of(key), *endpoint)));
  }
  // Questions to them may be open.
  std::ranges::move(before, std::back_inserter(gone_));
}

std::vector<ReplicaScore> ClusterClient::scores() const {
  std::vector<ReplicaScore> scores;
  for (const auto& replica : replicas_) scores.push_back(replica->score);
  return scores;
}

// Everybody's turn comes; who lied or does not answer is asked last.
ClusterClient::RoundPtr ClusterClient::make_round() {
  auto round = std::make_shared<Round>(parts_.executor);
  const std::size_t first = turn_++;
  for (std::size_t i = 0; i < replicas_.size(); ++i)
    round->seats.push_back({replicas_[(first + i) % replicas_.size()]});
  std::ranges::stable_sort(round->seats, {}, [](const Round::Seat& seat) {
    return std::pair(seat.replica->score.wrong, seat.replica->failing);
  });
  return round;
}

void ClusterClient::ask(const RoundPtr& round, std::size_t index, const RequestClient::What& what,
                        MonotonicTime deadline) {
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - parts_.clock->now());
  const auto limit = std::clamp(left, milliseconds(1), milliseconds(kLimitMsMax));
  const std::weak_ptr<Round> waiting = round;
  Round::Seat& asked = round->seats[index];
  asked.asked = asked.replica->client.ask(what, limit, [this, waiting, index](Answer answer) {
    const auto still = waiting.lock();
    if (!still) return;
    Round::Seat& seat = still->seats[index];
    seat.asked.reset();
    if (is_answer(answer)) {
      seat.replica->failing = false;
      seat.answer = std::move(answer);
    } else {
      ++seat.replica->score.silent;
      still->fail(seat, parts_.clock->now() + options_.ask_again);
    }
    still->changed.notify();
  });
}

Task<ClusterClient::Answer> ClusterClient::agree(RequestClient::What what, std::size_t at_first,
                                                 MonotonicTime deadline, Decide decide) {
  const auto round = make_round();
  const auto begun = parts_.clock->now();
  auto another_at = begun + options_.ask_another;
  std::size_t wanted = at_first;
  for (;;) {
    if (auto decided = decide(*round)) co_return *std::move(decided);
    const auto now = parts_.clock->now();
    if (now >= deadline) {
      co_return base::fail(
          Errc::TimedOut,
          fmt::format("{} of {} replicas answered in time, and not {} of them alike",
                      round->answers(), round->seats.size(), at_first));
    }
    // Who has failed is made up for by another one at once.
    std::size_t open = 0;
    for (const auto& seat : round->seats) open += seat.asked || seat.answer ? 1 : 0;
    if (open >= wanted && open == round->answers()) wanted = open + 1;
    for (std::size_t i = 0; i < round->seats.size() && open < wanted; ++i) {
      const auto& seat = round->seats[i];
      if (seat.asked || seat.answer || now < seat.again) continue;
      ask(round, i, what, deadline);
      ++open;
    }
    if (open < wanted && now >= begun + kFollowAfter && !std::exchange(following_, true))
      scope_.spawn(follow());
    (void)co_await round->changed.wait_for(std::min(another_at, deadline) - now);
    if (parts_.clock->now() >= another_at) {
      ++wanted;
      another_at = parts_.clock->now() + options_.ask_another;
    }
  }
}

// What f + 1 say. `adapt`: leaves what must be equal, or finds that it is no answer to this.
std::optional<ClusterClient::Answer> ClusterClient::alike(Round& round,
                                                          const std::function<bool(Answer&)>& adapt,
                                                          bool others_lie) {
  std::map<base::Bytes, std::vector<Round::Seat*>> says;
  for (auto& seat : round.seats) {
    if (!seat.answer) continue;
    if (*seat.answer && !adapt(*seat.answer)) {
      round.accuse(seat);
      continue;
    }
    says[plain(*seat.answer)].push_back(&seat);
  }
  for (const auto& [what, group] : says) {
    if (group.size() < checker_.voters().weak_quorum()) continue;
    for (auto* const seat : group) ++seat->replica->score.good;
    for (const auto& [other, liars] : says) {
      if (!others_lie || other == what) continue;
      for (auto* const seat : liars) ++seat->replica->score.wrong;
    }
    return group.front()->answer;
  }
  return std::nullopt;
}

// --- changes of the state ---

Task<Result<std::uint64_t>> ClusterClient::order(base::Bytes command, base::Duration limit) {
  return awaited<Result<std::uint64_t>>(
      parts_.executor, [this, command = std::move(command), limit](auto done) mutable {
        const auto now = parts_.clock->now();
        gateway_.submit(std::move(command), now, now + limit, std::move(done));
        ready_.notify();
      });
}

Task<Result<std::uint64_t>> ClusterClient::change(decltype(state::Operation::action) action,
                                                  base::Duration limit) {
  if (const auto* const transaction = std::get_if<state::Transaction>(&action))
    CO_TRY_DO(state::check(*transaction));
  const state::Operation operation{deadline_within(*parts_.clock, limit), std::move(action)};
  co_return co_await order(encode_on_state(state::encode(operation)), limit);
}

Task<> ClusterClient::send_bundles() {
  for (;;) {
    const auto now = parts_.clock->now();
    for (const auto& [bundle, again] : gateway_.poll(now))
      if (!again) scope_.spawn(deliver(bundle));
    const auto wake = gateway_.wake_at();
    if (wake == MonotonicTime::max()) {
      co_await ready_.wait();
    } else if (wake > now) {
      (void)co_await ready_.wait_for(wake - now);
    }
  }
}

Task<> ClusterClient::deliver(BundlePtr bundle) {
  const auto fits = [&bundle](Answer& answer) {
    const auto* const reply = std::get_if<BundleReply>(&*answer);
    return reply != nullptr &&
           reply->outcomes.size() == (reply->refused ? 1 : bundle->operations.size());
  };
  auto answer = co_await agree(BundleRequest{bundle}, checker_.voters().weak_quorum(),
                               parts_.clock->now() + milliseconds(kLimitMsMax),
                               [&](Round& round) { return alike(round, fits, true); });
  if (!answer) co_return;  // The gateway tells who waits.
  auto& reply = std::get<BundleReply>(*answer);
  gateway_.on_executed(
      {bundle->client, bundle->sequence, std::move(reply.outcomes), false, reply.refused},
      parts_.clock->now());
  ready_.notify();
}

// --- reads ---

// The first round shows the same to all if nothing is written meanwhile. Else all are asked for a
// revision that one honest replica has reached, and that is not behind another's barrier.
template <class R, class Request, class Revision>
Task<Result<R>> ClusterClient::read(Request request, base::Duration limit, Revision revision) {
  const auto deadline = parts_.clock->now() + limit;
  const Voters& voters = checker_.voters();
  const auto adapt = [&](Answer& answer) {
    auto* const reply = std::get_if<R>(&*answer);
    if (reply != nullptr) reply->time = 0;
    return reply != nullptr;
  };
  for (;;) {
    auto asked = request;
    auto answer = co_await agree(
        asked, voters.weak_quorum(), deadline, [&](Round& round) -> std::optional<Answer> {
          if (auto same = alike(round, adapt, false)) return same;
          std::vector<state::Revision> revisions;
          for (const auto& seat : round.seats)
            if (seat.answer && *seat.answer)
              revisions.push_back(revision(std::get<R>(**seat.answer)));
          if (revisions.size() < 2 * voters.faulty_max() + 1) return std::nullopt;
          std::ranges::sort(revisions);
          asked_at(asked) = revisions[voters.faulty_max()];
          return Answer(base::fail(Errc::Conflict, "the state changes while it is read"));
        });
    if (!answer && answer.error().code == Errc::Conflict) {
      answer = co_await agree(asked, voters.weak_quorum(), deadline,
                              [&](Round& round) { return alike(round, adapt, true); });
      // Compacted meanwhile, which is no answer to what was asked.
      if (!answer && answer.error().code == Errc::FailedPrecondition && asked_at(request) == 0)
        continue;
    }
    if (!answer) co_return std::unexpected(std::move(answer).error());
    co_return std::get<R>(*std::move(answer));
  }
}

Task<Result<std::optional<state::KeyValue>>> ClusterClient::get(std::string key,
                                                                base::Duration limit) {
  CO_TRY(auto reply, co_await read<GetReply>(GetRequest{std::move(key)}, limit,
                                             [](const GetReply& r) { return r.revision; }));
  co_return std::move(reply.entry);
}

Task<Result<state::RangePage>> ClusterClient::range(state::RangeQuery query, base::Duration limit) {
  CO_TRY(auto reply,
         co_await read<RangeReply>(RangeRequest{std::move(query)}, limit,
                                   [](const RangeReply& r) { return r.page.revision; }));
  co_return std::move(reply.page);
}

Task<Result<state::EventPage>> ClusterClient::changes(std::string prefix, state::Revision after,
                                                      base::Duration limit) {
  const std::size_t enough = checker_.voters().weak_quorum();
  auto answer = co_await agree(
      ChangesRequest{std::move(prefix), after}, enough, parts_.clock->now() + limit,
      [&](Round& round) -> std::optional<Answer> {
        std::set<state::Revision, std::greater<>> ends;
        std::map<Errc, std::size_t> refusals;
        for (auto& seat : round.seats) {
          if (!seat.answer) continue;
          if (!*seat.answer) {
            if (++refusals[seat.answer->error().code] >= enough) return seat.answer;
            continue;
          }
          auto* const reply = std::get_if<ChangesReply>(&**seat.answer);
          if (reply == nullptr) {
            round.accuse(seat);
            continue;
          }
          for (auto& event : reply->page.events) event.previous.reset();
          if (reply->page.up_to > after) ends.insert(reply->page.up_to);
        }
        // The furthest that enough replicas say the same of.
        for (const auto end : ends) {
          std::map<base::Bytes, std::size_t> says;
          for (const auto& seat : round.seats) {
            if (!seat.answer || !*seat.answer) continue;
            ChangesReply cut = std::get<ChangesReply>(**seat.answer);
            if (cut.page.up_to < end) continue;
            cut.page.up_to = end;
            std::erase_if(cut.page.events, [&](const auto& e) { return e.revision > end; });
            Answer same(std::move(cut));
            if (++says[plain(same)] >= enough) return same;
          }
        }
        return std::nullopt;
      });
  if (!answer && answer.error().code == Errc::TimedOut) co_return state::EventPage{{}, after};
  if (!answer) co_return std::unexpected(std::move(answer).error());
  co_return std::move(std::get<ChangesReply>(*answer).page);
}

// --- proofs ---

// One after the other, until one proves what it says.
template <class R, class Check>
auto ClusterClient::prove(RequestClient::What what, base::Duration limit, Check check)
    -> Task<decltype(check(std::declval<const R&>()))> {
  using Checked = decltype(check(std::declval<const R&>()));
  std::optional<Checked> proven;
  std::optional<base::Error> refused;
  auto answer = co_await agree(
      std::move(what), 1, parts_.clock->now() + limit, [&](Round& round) -> std::optional<Answer> {
        for (auto& seat : round.seats) {
          if (!seat.answer) continue;
          if (!*seat.answer) {
            refused = seat.answer->error();
            ++seat.replica->score.silent;
            round.fail(seat, parts_.clock->now() + options_.ask_again);
            continue;
          }
          const auto* const reply = std::get_if<R>(&**seat.answer);
          Checked checked =
              reply != nullptr
                  ? check(*reply)
                  : Checked(base::fail(Errc::NotVerified, "an answer to something else"));
          if (checked) {
            ++seat.replica->score.good;
            proven = std::move(checked);
            return seat.answer;
          }
          refused = checked.error();
          if (checked.error().code == Errc::FailedPrecondition) {
            ++seat.replica->score.silent;
            round.fail(seat, parts_.clock->now() + options_.ask_again);
          } else {
            round.accuse(seat);
          }
        }
        return std::nullopt;
      });
  if (proven) co_return *std::move(proven);
  if (!refused) co_return std::unexpected(std::move(answer).error());
  co_return std::unexpected(base::wrap(*refused, "no replica proved it"));
}

Task<Result<ProvenEntry>> ClusterClient::get_stale(std::string key, base::Duration limit) {
  const auto full = state::full_key(state::Space::User, key);
  CO_TRY(auto read, co_await prove<ProveReply>(
                        ProveRequest{full, checker_.voters().epoch}, limit,
                        [&](const ProveReply& reply) { return checker_.check(full, reply); }));
  ProvenEntry entry{std::nullopt, read.state, {}};
  const auto now = wall_of(*parts_.clock);
  entry.age = base::Duration(static_cast<std::int64_t>(now - std::min(now, read.state.time)));
  if (read.value) {
    entry.entry = state::KeyValue{std::move(key), std::move(read.value->value), read.value->created,
                                  read.value->modified, read.value->lease};
  }
  co_return entry;
}

Task<Result<ProvenChanges>> ClusterClient::proven_changes(std::string prefix, state::Head from,
                                                          base::Duration limit) {
  co_return co_await prove<ProveChangesReply>(
      ProveChangesRequest{prefix, from.revision, checker_.voters().epoch}, limit,
      [&](const ProveChangesReply& reply) { return checker_.check(prefix, from, reply); });
}

Task<Result<>> ClusterClient::follow_members(base::Duration limit) {
  const auto full = state::full_key(state::Space::System, kConfigurationKey);
  CO_TRY(const auto read, co_await prove<ProveReply>(ProveRequest{full, checker_.voters().epoch},
                                                     limit, [&](const ProveReply& reply) {
                                                       return checker_.check(full, reply);
                                                     }));
  if (!read.value) co_return base::fail(Errc::NotVerified, "a certified state has no members");
  CO_TRY(const auto configuration, decode_configuration(base::as_bytes(read.value->value)));
  set_members(configuration.members);
  co_return Result<>();
}

Task<> ClusterClient::follow() {
  (void)co_await follow_members(kFollowAfter);
  following_ = false;
}

}  // namespace hypermesh::consensus
