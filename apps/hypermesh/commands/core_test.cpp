// The pure parts behind the commands.
#include <gtest/gtest.h>

#include <audit/chain.hpp>
#include <audit/merkle.hpp>
#include <audit/record.hpp>

#include "commands/audit_proof.hpp"
#include "commands/host_check.hpp"
#include "commands/log_lines.hpp"
#include "commands/log_place.hpp"
#include "commands/plan_details.hpp"
#include "commands/rollout_state.hpp"
#include "session/target.hpp"
#include "testing/golden.hpp"

namespace cli {
namespace {

using Phase = RolloutState::Phase;

Json deployment(std::int64_t generation, std::int64_t observed, std::int64_t want, std::int64_t all,
                std::int64_t updated, std::int64_t available) {
  return {
      {"kind", "Deployment"},
      {"metadata", {{"name", "web"}, {"generation", generation}}},
      {"spec",
       {{"replicas", want}, {"template", {{"spec", {{"containers", {{{"image", "web:2"}}}}}}}}}},
      {"status",
       {{"observedGeneration", observed},
        {"replicas", all},
        {"updatedReplicas", updated},
        {"availableReplicas", available}}}};
}

RolloutGoal goal_of(const Json& object) {
  return {number_at(object, {"metadata", "generation"}), at(object, {"spec", "template"}), nullptr,
          0};
}

TEST(RolloutState, ADeploymentIsCompleteWhenOnlyNewReplicasRunAndAllAreReady) {
  Json object = deployment(2, 2, 3, 3, 3, 3);
  const RolloutGoal goal = goal_of(object);
  EXPECT_EQ(judge_rollout(object, goal).phase, Phase::Complete);
  EXPECT_EQ(judge_rollout(deployment(2, 1, 3, 3, 3, 3), goal).phase, Phase::Going)
      << "the controller has not seen the change";
  EXPECT_EQ(judge_rollout(deployment(2, 2, 3, 4, 3, 4), goal).phase, Phase::Going)
      << "an old replica is still there";
  EXPECT_EQ(judge_rollout(deployment(2, 2, 3, 3, 2, 3), goal).phase, Phase::Going)
      << "one is still old";
  EXPECT_EQ(judge_rollout(deployment(2, 2, 3, 3, 3, 2), goal).phase, Phase::Going)
      << "one is not ready";
  EXPECT_EQ(judge_rollout(deployment(2, 2, 0, 0, 0, 0), goal).phase, Phase::Complete);
  EXPECT_EQ(judge_rollout(deployment(2, 2, 3, 4, 2, 3), goal).words, "1/3 ready   2 old");
}

TEST(RolloutState, TheDeadlineAndARollbackAreTold) {
  Json object = deployment(2, 2, 3, 4, 1, 3);
  const RolloutGoal goal = goal_of(object);
  object["status"]["conditions"] = {{{"type", "Progressing"},
                                     {"status", "False"},
                                     {"reason", "ProgressDeadlineExceeded"},
                                     {"message", "no progress for 10s"}}};
  EXPECT_EQ(judge_rollout(object, goal).phase, Phase::Failed);
  EXPECT_EQ(judge_rollout(object, goal).why, "no progress for 10s");
  Json back = deployment(3, 3, 3, 3, 3, 3);
  back["spec"]["template"] = {{"spec", "old"}};
  RolloutGoal of_the_change = goal;
  of_the_change.before_template = back["spec"]["template"];
  EXPECT_EQ(judge_rollout(back, of_the_change).phase, Phase::RolledBack);
  back["spec"]["template"] = {{"spec", "a third one"}};
  EXPECT_EQ(judge_rollout(back, of_the_change).phase, Phase::Overtaken);
}

TEST(RolloutState, JobsAndPods) {
  const auto job = [](const char* status) {
    return Json{{"kind", "Job"}, {"spec", Json::object()}, {"status", Json::parse(status)}};
  };
  EXPECT_EQ(judge_rollout(job("{}"), {}).phase, Phase::Going);
  EXPECT_EQ(judge_rollout(job(R"({"active":1})"), {}).phase, Phase::Complete) << "it has begun";
  EXPECT_EQ(
      judge_rollout(
          job(R"({"failed":1,"conditions":[{"type":"Failed","status":"True","message":"BackoffLimitExceeded"}]})"),
          {})
          .phase,
      Phase::Failed);
  const auto pod = [](const char* status) {
    return Json{{"kind", "Pod"}, {"status", Json::parse(status)}};
  };
  EXPECT_EQ(judge_rollout(pod(R"({"phase":"Pending"})"), {}).phase, Phase::Going);
  EXPECT_EQ(judge_rollout(
                pod(R"({"phase":"Running","conditions":[{"type":"Ready","status":"True"}]})"), {})
                .phase,
            Phase::Complete);
  EXPECT_EQ(judge_rollout(pod(R"({"phase":"Succeeded"})"), {}).phase, Phase::Complete);
  EXPECT_EQ(judge_rollout(pod(R"({"phase":"Failed","reason":"Evicted"})"), {}).why, "Evicted");
  EXPECT_EQ(judge_rollout({{"kind", "ConfigMap"}}, {}).phase, Phase::Complete);
}

TEST(PlanDetails, SayWhatIsNewAndWhatChanges) {
  const auto& kind = *nexus::manifest::find_kind("Deployment");
  Json before = {
      {"apiVersion", "apps/v1"},
      {"kind", "Deployment"},
      {"metadata", {{"name", "web"}, {"namespace", "default"}}},
      {"spec",
       {{"replicas", 3},
        {"template",
         {{"spec",
           {{"containers",
             {{{"name", "web"},
               {"image", "web:1"},
               {"resources", {{"requests", {{"cpu", "100m"}, {"memory", "64Mi"}}}}}}}}}}}}}}};
  EXPECT_EQ(plan_line(kind, nullptr, before).mark, PlanLine::Mark::Add);
  EXPECT_EQ(plan_line(kind, nullptr, before).detail, "3 × web:1   100m/64Mi each");
  EXPECT_EQ(plan_line(kind, before, before).mark, PlanLine::Mark::Keep);
  Json after = before;
  after["spec"]["replicas"] = 5;
  EXPECT_EQ(plan_line(kind, before, after).mark, PlanLine::Mark::Change)
      << "nothing is replaced or removed";
  after["spec"]["replicas"] = 2;
  EXPECT_EQ(plan_line(kind, before, after).mark, PlanLine::Mark::Replace) << "a replica goes";
  after = before;
  after["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2";
  const PlanLine line = plan_line(kind, before, after);
  EXPECT_EQ(line.mark, PlanLine::Mark::Replace);
  EXPECT_NE(line.detail.find("web:2"), std::string::npos) << line.detail;
  EXPECT_NE(line.detail.find("rolls 3 pods"), std::string::npos) << line.detail;

  const auto& config = *nexus::manifest::find_kind("ConfigMap");
  const Json one = {
      {"kind", "ConfigMap"}, {"metadata", {{"name", "c"}}}, {"data", {{"a", "1"}, {"b", "2"}}}};
  Json two = one;
  two["data"]["a"] = "9";
  EXPECT_EQ(plan_line(config, one, two).detail, "1 key changed");
  EXPECT_EQ(plan_line(config, nullptr, one).detail, "2 keys");
  const Json service = {
      {"kind", "Service"},
      {"metadata", {{"name", "s"}}},
      {"spec", {{"ports", {{{"port", 80}, {"targetPort", 8080}}, {{"port", 443}}}}}}};
  EXPECT_EQ(summary_of(service), "80 → 8080, 443");
}

TEST(HostCheck, SaysWhatIsMissingAndWhatToDo) {
  cli::testing::Golden golden(std::string(TEST_SOURCE_DIR) + "/commands/testdata/host_check.txt");
  const auto show = [](const HostFacts& facts) {
    std::string out;
    for (const HostCheck& check : judge_host(facts)) {
      constexpr const char* kStates[] = {"ok", "warning", "failed"};
      out += std::string(kStates[static_cast<int>(check.state)]) + "  " + check.name + ": " +
             check.message + (check.hint.empty() ? "" : "  -> " + check.hint) + "\n";
    }
    return out;
  };
  HostFacts good{.kernel = "6.1.0-25-amd64",
                 .root = true,
                 .cgroup2 = true,
                 .overlayfs = true,
                 .user_namespaces = true,
                 .network_namespaces = true,
                 .ipv6 = true,
                 .nft_tables = true,
                 .runtime = "crun",
                 .fsync_micros = 400,
                 .disk_free_bytes = 50ull << 30,
                 .state_folder = "/var/lib/hypermesh"};
  golden.expect("everything is there", show(good));
  golden.expect("nothing is there", show({.kernel = "4.19.0",
                                          .fsync_micros = 90'000,
                                          .disk_free_bytes = 1u << 20,
                                          .state_folder = "/tmp"}));
}

TEST(LogLines, PiecesBecomeLines) {
  LogStyle style{.look = {.colour = false}, .json = false, .timestamps = false, .pattern = {}};
  const auto record = [](const char* text, bool partial = false, const char* stream = "stdout") {
    return Json{
        {"time", "2026-11-21T12:00:00Z"}, {"stream", stream}, {"partial", partial}, {"text", text}};
  };
  LogLines alone(style, "", 0, "web-1", "web", "n1");
  EXPECT_EQ(alone.add(record("hello")), "hello\n");
  EXPECT_EQ(alone.add(record("one ", true)), "");
  EXPECT_EQ(alone.add(record("line")), "one line\n");
  EXPECT_EQ(alone.add(record("no newline", true)), "");
  EXPECT_EQ(alone.finish(), "no newline");
  EXPECT_EQ(alone.finish(), "");
  LogLines many(style, "web-1@n1 │ ", 1, "web-1", "web", "n1");
  EXPECT_EQ(many.add(record("begun", true)), "");
  EXPECT_EQ(many.add(record("other", false, "stderr")), "web-1@n1 │ begun\nweb-1@n1 │ other\n");
  style.timestamps = true;
  EXPECT_EQ(alone.add(record("x")), "2026-11-21T12:00:00Z x\n");
  style.timestamps = false;
  style.pattern = LinePattern::compile("^err[0-9]+").value();
  EXPECT_EQ(alone.add(record("err12")), "err12\n");
  EXPECT_EQ(alone.add(record("an err12")), "");
  style.pattern.reset();
  style.json = true;
  EXPECT_EQ(Json::parse(alone.add(record("x"))).at("pod"), "web-1");
  EXPECT_FALSE(LinePattern::compile("a(b"));
}

TEST(LogPlace, GoesOnWithoutALineLostOrDoubled) {
  const auto record = [](int second, const char* text) {
    return Json{{"time", "2026-11-21T12:00:0" + std::to_string(second) + "Z"},
                {"stream", "stdout"},
                {"text", text}};
  };
  LogPlace place;
  EXPECT_EQ(place.resume(), std::nullopt) << "from where the first request began";
  for (const char* text : {"a", "b", "b"}) EXPECT_TRUE(place.take(record(1, text)));
  EXPECT_EQ(place.resume(), "2026-11-21T12:00:01Z");
  EXPECT_FALSE(place.take(record(1, "a")));
  // It breaks again before all of them came.
  EXPECT_EQ(place.resume(), "2026-11-21T12:00:01Z");
  for (const char* text : {"a", "b", "b"}) EXPECT_FALSE(place.take(record(1, text)));
  EXPECT_TRUE(place.take(record(1, "b"))) << "a new one of the same time";
  EXPECT_TRUE(place.take(record(2, "c")));
  EXPECT_EQ(place.resume(), "2026-11-21T12:00:02Z");
  EXPECT_TRUE(place.take(record(3, "d"))) << "the file with what was shown is gone";
}

TEST(LogPlace, ShowsNothingBeforeTheFirstLineOfATail) {
  const auto record = [](const char* text) {
    return Json{{"time", "2026-11-21T12:00:01Z"}, {"stream", "stdout"}, {"text", text}};
  };
  LogPlace place;
  for (const char* text : {"c", "d"}) EXPECT_TRUE(place.take(record(text)));
  EXPECT_TRUE(place.resume());
  for (const char* text : {"a", "c", "b", "c", "d"}) EXPECT_FALSE(place.take(record(text))) << text;
  EXPECT_TRUE(place.take(record("e")));
}

TEST(LogLines, AnEndlessLineIsCut) {
  const LogStyle style{.look = {}, .json = false, .timestamps = false, .pattern = {}};
  LogLines lines(style, "", 0, "p", "c", "n");
  const Json record = {
      {"time", "t"}, {"stream", "stdout"}, {"partial", true}, {"text", std::string(100'000, 'x')}};
  std::size_t printed = 0;
  for (int i = 0; i < 10; ++i) printed += lines.add(record).size();
  EXPECT_GE(printed, 1'000'000u - LogLines::kLineBytesMax);
}

// A log of ten records and the proof of one, as a node gives it.
struct Log {
  std::vector<base::Bytes> encoded;
  nexus::MerkleFrontier tree;
  std::map<nexus::MerkleNode, base::Digest> nodes;
  base::SigningKey key = base::SigningKey::from_seed(base::Bytes(32, 7)).value();

  Log() {
    for (std::uint64_t i = 1; i <= 10; ++i) {
      nexus::AuditRecord record;
      record.sequence = i;
      record.entry.who = "ana";
      record.entry.action = "update";
      record.entry.object = "deployment/web";
      record.entry.result = "ok";
      encoded.push_back(nexus::encode_record(record));
      add(nexus::merkle_leaf_hash(encoded.back()), i - 1);
    }
  }
  void add(const base::Digest& leaf, std::uint64_t index) {
    unsigned level = 0;
    tree.append(leaf, [&](const base::Digest& hash) {
      nodes[{level, index >> level}] = hash;
      ++level;
    });
    nodes[{0, index}] = leaf;
  }
  Json proof(std::uint64_t sequence) const {
    const auto read = [this](nexus::MerkleNode node) -> base::Result<base::Digest> {
      return nodes.at(node);
    };
    const auto path = nexus::merkle_inclusion_proof(sequence - 1, 10, read).value();
    const base::WallTime time = base::parse_rfc3339("2026-11-21T12:00:00.123456789Z").value();
    const auto head = nexus::sign_tree_head({10, tree.root(), time}, key);
    Json out = {
        {"sequence", sequence},
        {"leaf", base::to_hex(encoded[sequence - 1])},
        {"treeSize", 10},
        {"root", base::to_hex(tree.root())},
        {"headTime", base::to_rfc3339(time, 9)},
        {"path", Json::array()},
        {"signatures",
         {{{"voter", base::to_hex(head.key)}, {"signature", base::to_hex(head.signature)}}}}};
    for (const base::Digest& step : path) out["path"].push_back(base::to_hex(step));
    return out;
  }
};

TEST(AuditProof, AGoodOneHolds) {
  const Log log;
  for (std::uint64_t sequence = 1; sequence <= 10; ++sequence) {
    const auto checked = check_proof(log.proof(sequence), sequence);
    ASSERT_TRUE(checked) << checked.error().describe();
    EXPECT_EQ(checked->signatures, 1u);
    EXPECT_EQ(text_at(checked->record, {"user"}), "ana");
  }
}

TEST(AuditProof, WhateverIsChangedIsSeen) {
  const Log log;
  const Json good = log.proof(4);
  const auto refused = [&](const std::function<void(Json&)>& change) {
    Json proof = good;
    change(proof);
    const auto checked = check_proof(proof, 4);
    EXPECT_FALSE(checked) << proof.dump();
    return checked ? base::Errc::Internal : checked.error().code;
  };
  const auto flip = [](Json& text) {
    std::string hex = text;
    hex[10] = hex[10] == '0' ? '1' : '0';
    text = hex;
  };
  EXPECT_EQ(refused([&](Json& p) { flip(p["leaf"]); }), base::Errc::NotVerified);
  EXPECT_EQ(refused([&](Json& p) { flip(p["root"]); }), base::Errc::NotVerified);
  EXPECT_EQ(refused([&](Json& p) { flip(p["path"][1]); }), base::Errc::NotVerified);
  EXPECT_EQ(refused([&](Json& p) { p["path"].erase(0); }), base::Errc::NotVerified);
  EXPECT_EQ(refused([&](Json& p) { p["treeSize"] = 9; }), base::Errc::NotVerified);
  EXPECT_EQ(refused([&](Json& p) { flip(p["signatures"][0]["signature"]); }),
            base::Errc::NotVerified);
  EXPECT_EQ(refused([&](Json& p) { p["signatures"] = Json::array(); }), base::Errc::NotVerified);
  EXPECT_EQ(refused([&](Json& p) { p["headTime"] = "2026-11-21T12:00:01Z"; }),
            base::Errc::NotVerified);
  EXPECT_EQ(check_proof(log.proof(5), 4).error().code, base::Errc::NotVerified)
      << "another record than was asked for";
  EXPECT_EQ(check_proof(Json(), 4).error().code, base::Errc::DataLoss);
}

TEST(Target, FlagThenHomeThenContextThenThisMachine) {
  Contexts contexts;
  contexts.entries = {{.name = "prod", .socket = "/run/p.sock"},
                      {.name = "test", .servers = {"https://[::1]:8443"}}};
  EXPECT_EQ(resolve_target({"", "", "", contexts})->context.socket, kSystemSocket);
  contexts.current = "prod";
  EXPECT_EQ(resolve_target({"", "", "", contexts})->context.name, "prod");
  EXPECT_EQ(resolve_target({"", "", "test", contexts})->context.name, "test");
  EXPECT_EQ(resolve_target({"", "/tmp/x", "test", contexts})->context.home, "/tmp/x");
  EXPECT_EQ(resolve_target({"prod", "/tmp/x", "test", contexts})->context.name, "prod");
  const auto missing = resolve_target({"prd", "", "", contexts});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, base::Errc::NotFound);
  EXPECT_NE(missing.error().message.find("did you mean \"prod\""), std::string::npos);
}

TEST(Target, ContextsRoundTripAndMistakesAreNamed) {
  Contexts contexts;
  contexts.current = "b";
  contexts.entries = {{.name = "a", .home = "/home/ana/dev"},
                      {.name = "b",
                       .servers = {"https://[fd00::1]:8443", "https://10.0.0.1:8443"},
                       .token_file = "/t",
                       .certificate_file = "/c",
                       .name_space = "shop"}};
  const auto back = parse_contexts(format_contexts(contexts), "config.yaml");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->current, "b");
  ASSERT_EQ(back->entries.size(), 2u);
  EXPECT_EQ(back->entries[1].servers, contexts.entries[1].servers);
  EXPECT_EQ(back->entries[1].name_space, "shop");
  EXPECT_TRUE(parse_contexts("", "x"));
  for (const char* wrong : {"contexts: [{name: a}]", "contexts: [{socket: /x}]",
                            "contexts: [{name: a, socket: /x}, {name: a, socket: /y}]",
                            "contexts: [{name: a, servers: ['http://x']}]", "- a", "a: [",
                            "contexts: [{name: a, socket: /x, home: /y}]"}) {
    EXPECT_FALSE(parse_contexts(wrong, "config.yaml")) << wrong;
  }
  EXPECT_EQ(parse_server("https://[fd00::1]")->port, 8443);
  EXPECT_EQ(parse_server("https://10.0.0.1:99/")->port, 99);
  EXPECT_FALSE(parse_server("http://[::1]:8443"));
}

}  // namespace
}  // namespace cli
