#include "commands/rollout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "commands/writes.hpp"
#include "output/units.hpp"

namespace cli {

using namespace std::chrono_literals;
using base::Errc;
using base::Result;
using Phase = RolloutState::Phase;

namespace {

constexpr base::Duration kBackMax = 2min;       // for a rollback to complete
constexpr std::int64_t kProgressSeconds = 600;  // Kubernetes' default progress deadline

// What holds up the pods of a workload, as `ps` and `why` say it.
struct Trouble {
  std::string pod, words;
};

std::vector<Trouble> troubles(Api& api, std::string_view name_space, std::string_view workload) {
  std::vector<Trouble> out;
  const auto ps = api.get(own_path({"ps"}, {{"namespace", std::string(name_space)}}));
  if (!ps) return out;
  for (const Json& item : list_at(*ps, {"items"})) {
    if (text_at(item, {"workload"}) != workload && text_at(item, {"name"}) != workload) continue;
    if (flag_at(item, {"ready"})) continue;
    std::string words = text_at(item, {"state"});
    if (const std::string message = text_at(item, {"message"}); !message.empty())
      words += ": " + message;
    out.push_back({text_at(item, {"name"}), std::move(words)});
  }
  return out;
}

std::set<std::string> nodes_of(Api& api, std::string_view name_space, std::string_view workload) {
  std::set<std::string> nodes;
  const auto ps = api.get(own_path({"ps"}, {{"namespace", std::string(name_space)}}));
  if (!ps) return nodes;
  for (const Json& item : list_at(*ps, {"items"})) {
    if (text_at(item, {"workload"}) == workload || text_at(item, {"name"}) == workload)
      nodes.insert(text_at(item, {"node"}));
  }
  return nodes;
}

// Why `object` is not ready, in one line, and as the causes of the error.
base::Error not_ready(Api& api, std::string_view name_space, const ObjectName& object, Errc code,
                      std::string message) {
  base::Error error = base::make_error(code, std::move(message));
  const auto found = troubles(api, name_space, object.name);
  std::shared_ptr<const base::Error> chain;
  constexpr std::size_t kShownMax = 5;
  for (std::size_t i = std::min(found.size(), kShownMax); i-- > 0;) {
    base::Error link = base::make_error(code, fmt::format("{}  {}", found[i].pod, found[i].words));
    link.cause = chain;
    chain = std::make_shared<const base::Error>(std::move(link));
  }
  error.cause = chain;
  error.hints.push_back(fmt::format("hm why {}", object.name));
  if (!found.empty()) error.hints.push_back(fmt::format("hm logs {}", found.front().pod));
  return error;
}

class Waiting {
 public:
  Waiting(Session& session, Api& api, std::span<const Rollout> rollouts)
      : session_(session), api_(api) {
    for (const Rollout& rollout : rollouts) open_.push_back({&rollout, {}, session.clock().now()});
  }

  // `limit` covers everything; empty: each rollout's own progress deadline.
  Result<> run(std::optional<base::Duration> limit) {
    const base::MonotonicTime start = session_.clock().now();
    base::MonotonicTime answered = start;
    while (!open_.empty()) {
      TRY(const bool reached, look(answered, start));
      if (open_.empty()) break;
      const base::MonotonicTime now = session_.clock().now();
      if (!reached) {
        if (now - answered > kAwayMax) return std::unexpected(*std::move(away_));
      } else if (limit && now - start >= *limit) {
        return std::unexpected(missed(fmt::format("is not ready within {}", show_took(*limit))));
      } else if (const base::Duration quiet = quiet_max(); !limit && now - changed_at() >= quiet) {
        return std::unexpected(
            missed(fmt::format("has made no progress for {}", show_took(quiet))));
      }
      TRY_DO(
          pause(limit ? std::min<base::Duration>(1s, start + *limit - now) : base::Duration(1s)));
    }
    return {};
  }

 private:
  struct Open {
    const Rollout* rollout;
    RolloutState state;
    base::MonotonicTime changed;
  };

  // Judges every open rollout. False: the node did not answer.
  Result<bool> look(base::MonotonicTime& answered, base::MonotonicTime start) {
    for (auto open = open_.begin(); open != open_.end();) {
      const ObjectName& object = open->rollout->object;
      auto json = api_.get(kind_path(*object.kind, open->rollout->name_space, object.name));
      if (!json &&
          (json.error().code == Errc::Unavailable || json.error().code == Errc::TimedOut)) {
        away_ = std::move(json).error();
        return false;
      }
      if (!json) return std::unexpected(std::move(json).error());
      answered = session_.clock().now();
      version_ = text_at(*json, {"metadata", "resourceVersion"});
      RolloutState state = judge_rollout(*json, open->rollout->goal);
      if (state.words != open->state.words) open->changed = answered;
      open->state = std::move(state);
      switch (open->state.phase) {
        case Phase::Going: {
          show(*open);
          ++open;
          break;
        }
        case Phase::Complete:
          finish(*open, start);
          open = open_.erase(open);
          break;
        case Phase::Failed:
          return std::unexpected(
              not_ready(api_, open->rollout->name_space, object, Errc::FailedPrecondition,
                        fmt::format("{} failed: {}", object.text(), open->state.why)));
        case Phase::RolledBack:
          return std::unexpected(
              not_ready(api_, open->rollout->name_space, object, Errc::FailedPrecondition,
                        fmt::format("{} was rolled back by the cluster{}", object.text(),
                                    open->state.why.empty() ? "" : ": " + open->state.why)));
        case Phase::Overtaken:
          return std::unexpected(base::with_hint(
              base::make_error(
                  Errc::Conflict,
                  fmt::format("{} was changed by somebody else meanwhile", object.text())),
              fmt::format("hm history {}", object.name)));
      }
    }
    return true;
  }

  void show(const Open& open) {
    if (session_.console().quiet() || !session_.console().err_look().terminal) return;
    std::string words = open.state.words;
    if (const auto found = troubles(api_, open.rollout->name_space, open.rollout->object.name);
        !found.empty())
      words += fmt::format("   {} ({})", found.front().words, found.front().pod);
    session_.console().board().update(open.rollout->object.text(), words,
                                      static_cast<std::size_t>(open.state.done),
                                      static_cast<std::size_t>(open.state.total));
  }

  void finish(const Open& open, base::MonotonicTime start) {
    const ObjectName& object = open.rollout->object;
    session_.console().board().remove(object.text());
    if (session_.console().quiet()) return;
    std::string nodes;
    for (const std::string& node : nodes_of(api_, open.rollout->name_space, object.name))
      nodes += (nodes.empty() ? "   " : " ") + node;
    session_.console().say(Outcome::Done,
                           fmt::format("{}  {} in {}{}", object.text(), open.state.words,
                                       show_took(session_.clock().now() - start), nodes));
  }

  // Until something changes, `limit` at most.
  Result<> pause(base::Duration limit) {
    const ObjectName& object = open_.front().rollout->object;
    TRY_DO(api_.wait_change(kind_path(*object.kind, open_.front().rollout->name_space, "",
                                      {{"fieldSelector", "metadata.name=" + object.name}}),
                            version_, std::max<base::Duration>(limit, 10ms)));
    return {};
  }

  base::Duration quiet_max() const {
    std::int64_t seconds = 0;
    for (const Open& open : open_) seconds = std::max(seconds, open.rollout->goal.progress_seconds);
    return std::chrono::seconds(seconds > 0 ? seconds : kProgressSeconds) + 30s;
  }
  base::MonotonicTime changed_at() const {
    base::MonotonicTime last = open_.front().changed;
    for (const Open& open : open_) last = std::max(last, open.changed);
    return last;
  }

  base::Error missed(const std::string& how) {
    const Open& open = open_.front();
    return not_ready(api_, open.rollout->name_space, open.rollout->object, Errc::TimedOut,
                     fmt::format("{} {} ({})", open.rollout->object.text(), how, open.state.words));
  }

  Session& session_;
  Api& api_;
  std::vector<Open> open_;
  std::string version_;
  std::optional<base::Error> away_;
};

// A rollback restores the template; what else of the spec was changed with it goes back here. The
// object as it is then.
Result<Json> restore_rest(Api& api, const Rollout& rollout, const Json& now) {
  const auto with_old_spec = [&](const Json& object) -> Result<Json> {
    Json changed = object;
    changed["spec"] = at(rollout.before, {"spec"});
    changed["spec"]["template"] = at(object, {"spec", "template"});
    return changed;
  };
  TRY(const Json wanted, with_old_spec(now));
  if (wanted == now) return now;
  TRY(Answer answer, put_unless_changed(api, *rollout.object.kind, now, with_old_spec));
  return std::move(answer.body);
}

bool waits_for(const ObjectName& object) {
  return object.kind->kind == "Deployment" || object.kind->kind == "ReplicaSet" ||
         object.kind->kind == "Job" || object.kind->kind == "Pod";
}

}  // namespace

Rollout rollout_of(const Json& written, Json before) {
  Rollout rollout;
  rollout.object = {nexus::manifest::find_kind(text_at(written, {"kind"})),
                    text_at(written, {"metadata", "name"})};
  rollout.name_space = text_at(written, {"metadata", "namespace"});
  rollout.goal.generation = number_at(written, {"metadata", "generation"});
  rollout.goal.pod_template = at(written, {"spec", "template"});
  rollout.goal.progress_seconds = number_at(written, {"spec", "progressDeadlineSeconds"});
  rollout.goal.before_template = at(before, {"spec", "template"});
  rollout.before = std::move(before);
  return rollout;
}

Result<> wait_for_rollouts(Session& session, Api& api, std::span<const Rollout> rollouts) {
  std::vector<Rollout> waiting;
  for (const Rollout& rollout : rollouts) {
    if (rollout.object.kind != nullptr && waits_for(rollout.object)) waiting.push_back(rollout);
  }
  if (session.detach() || waiting.empty()) return {};
  auto done = Waiting(session, api, waiting)
                  .run(session.timeout_given() ? std::optional(session.timeout()) : std::nullopt);
  if (!done && done.error().code == Errc::Cancelled) {
    base::Error error = base::make_error(Errc::Cancelled, "interrupted; the change goes on");
    error.hints = {"hm ps", fmt::format("hm why {}", waiting.front().object.name)};
    return std::unexpected(std::move(error));
  }
  return done;
}

base::Error roll_back(Session& session, Api& api, std::span<const Rollout> rollouts,
                      base::Error error) {
  if (error.code != Errc::TimedOut && error.code != Errc::FailedPrecondition) return error;
  Console& console = session.console();
  for (const Rollout& rollout : rollouts) {
    if (rollout.object.kind == nullptr || rollout.object.kind->kind != "Deployment") continue;
    const std::string text = rollout.object.text();
    if (rollout.before.is_null()) {
      console.say(
          Outcome::Note,
          fmt::format("{} is new: there is no revision to go back to, it stays as it is", text));
      continue;
    }
    if (at(rollout.before, {"spec", "template"}) == rollout.goal.pod_template) continue;
    auto now = api.get(kind_path(*rollout.object.kind, rollout.name_space, rollout.object.name));
    if (now && at(*now, {"spec", "template"}) != rollout.goal.pod_template) {
      console.say(Outcome::Back,
                  fmt::format("{} went back to revision {}", text, revision_of(*now)));
      continue;
    }
    const Json body = {{"toRevision", revision_of(rollout.before)}};
    auto answer = api.send(
        "POST", own_path({"deployments", rollout.name_space, rollout.object.name, "rollback"}),
        body);
    if (!answer) {
      console.say(Outcome::Failed,
                  fmt::format("{} could not be rolled back: {}", text, answer.error().describe()));
      error.hints.insert(error.hints.begin(), fmt::format("hm rollback {}", rollout.object.name));
      continue;
    }
    const auto whole = restore_rest(api, rollout, answer->body);
    if (!whole) {
      console.say(
          Outcome::Note,
          fmt::format("{} has its old template again, other settings stay as they were written: {}",
                      text, whole.error().describe()));
    }
    const Rollout back = rollout_of(whole ? *whole : answer->body);
    const Rollout list[] = {back};
    const auto done = Waiting(session, api, list).run(kBackMax);
    console.say(done ? Outcome::Back : Outcome::Failed,
                done ? fmt::format("{} rolled back to what ran before (revision {})", text,
                                   revision_of(rollout.before))
                     : fmt::format("{} is being rolled back, and is not ready yet: {}", text,
                                   done.error().message));
    error.message += "; rolled back";
  }
  return error;
}

}  // namespace cli
