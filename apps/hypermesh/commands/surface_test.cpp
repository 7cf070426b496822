// What all commands have in common: errors, help, completion, output for programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "command/command.hpp"
#include "output/json_access.hpp"
#include "testing/commands_fixture.hpp"
#include "testing/golden.hpp"

namespace cli {
namespace {

using testing::Commands;
using testing::FakeAnswer;
using testing::FakeRequest;
using ::testing::HasSubstr;
using testing::Home;
using testing::Ran;
using testing::refuse;

TEST_F(Commands, WhoMayWhat) {
  EXPECT_EQ(run({"auth", "can-i", "get", "pods"}).exit, 0);
  EXPECT_EQ(run({"auth", "can-i", "delete", "pods"}).exit, 6);
  EXPECT_THAT(run({"auth", "whoami"}).out, HasSubstr("root   admin   unix   HM_HOME="));
}

TEST_F(Commands, EveryRequestCarriesTheTraceAndTheRole) {
  std::map<std::string, std::string> seen;
  node_.on_request([&](const FakeRequest& request) -> std::optional<FakeAnswer> {
    seen = request.headers;
    return std::nullopt;
  });
  ASSERT_EQ(run({"ps", "--trace-id", "abc-1", "--as", "view"}).exit, 0);
  EXPECT_EQ(seen["x-trace-id"], "abc-1");
  EXPECT_EQ(seen["hypermesh-as-role"], "view");
  EXPECT_EQ(run({"ps", "--trace-id", "not a trace"}).exit, 2);
}

TEST_F(Commands, CompletionKnowsTheNamesAndRemembersThem) {
  deploy();
  EXPECT_EQ(run({"__complete", "--", "scale", "w"}).out, "web\n");
  EXPECT_EQ(run({"__complete", "--", "get", "deployments", ""}).out, "web\n");
  EXPECT_THAT(run({"__complete", "--", "dep"}).out, HasSubstr("deploy\t"));
  EXPECT_THAT(run({"__complete", "--", "explain", "pod.sp"}).out,
              ::testing::StartsWith("pod.spec.\t"));
  EXPECT_THAT(run({"__complete", "--", "explain", "pod.spec.hostn"}).out,
              HasSubstr("pod.spec.hostname\t"));
  node_.on_request([](const FakeRequest&) -> std::optional<FakeAnswer> {
    return refuse(503, "Unavailable", "busy");
  });
  EXPECT_EQ(run({"__complete", "--", "scale", "w"}).out, "web\n") << "from what was answered last";
}

// Every error of CLI.md section 20 that one node can have, as a person and as a program sees it.
TEST_F(Commands, ErrorsLookAsTheyShould) {
  deploy();
  testing::Golden golden(std::string(TEST_SOURCE_DIR) + "/commands/testdata/errors.txt");
  const auto both = [&](const std::string& name, std::vector<std::string> words) {
    const Ran human = run(words);
    golden.expect(name, human.err + "exit " + std::to_string(human.exit) + "\n" + human.out);
    words.insert(words.begin(), {"-o", "json"});
    const Ran json = run(words);
    EXPECT_EQ(json.exit, human.exit) << name;
    const std::string last = json.err.substr(json.err.rfind("{\"error\""));
    golden.expect(name + ", json", Json::parse(last).dump(2) + "\n");
  };
  both("unknown command", {"deplyo"});
  both("unknown flag", {"logs", "web", "--folow"});
  both("not found", {"get", "deployment", "wbe"});
  both("no such pod or workload", {"logs", "no-such-thing"});
  both("kind that is not served", {"get", "statefulsets"});
  both("needs yes", {"scale", "web", "1"});
  const auto answer_put = [&](FakeAnswer answer) {
    node_.on_request([answer](const FakeRequest& request) -> std::optional<FakeAnswer> {
      if (request.method == "PUT" || request.method == "PATCH") return answer;
      return std::nullopt;
    });
  };
  answer_put(refuse(409, "CannotPlace", "deployment/web cannot be placed: 0 of 1 nodes fit",
                    {"hm update web --memory 8Gi", "hm why web"},
                    {{{"reason", "NodeUnfit"},
                      {"field", ""},
                      {"message", "n1  memory: needs 16 GiB, 11.2 GiB free"}}}));
  both("cannot be placed", {"scale", "web", "9"});
  answer_put(refuse(403, "Forbidden",
                    "role \"view\" may not update deployments in namespace default",
                    {"hm auth whoami"}));
  both("forbidden", {"scale", "web", "9", "--as", "view"});
  answer_put(refuse(409, "Conflict",
                    "deployment/web changed since it was read (revision 6 by bob, you have 5)",
                    {"hm get deployment web -o yaml"}));
  both("conflict", {"scale", "web", "9"});
  answer_put(refuse(422, "InvalidArgument", "deployment/web is invalid", {},
                    {{{"reason", "FieldValueInvalid"},
                      {"field", "spec.replicas"},
                      {"message", "is -1; must be at least 0"}},
                     {{"reason", "FieldValueRequired"},
                      {"field", "spec.selector"},
                      {"message", "is required"}}}));
  both("invalid", {"scale", "web", "9"});
  answer_put(
      refuse(429, "ResourceExhausted", "the disk of n1 is full: 0 bytes free", {"hm image gc"}));
  both("disk full", {"scale", "web", "9"});
  answer_put(refuse(504, "TimedOut", "no answer within 60 s; the outcome is not known",
                    {"hm audit ls --since 2m"}));
  both("timed out", {"scale", "web", "9"});
  node_.on_request([](const FakeRequest& request) -> std::optional<FakeAnswer> {
    if (!request.path.ends_with("/audit/verify")) return std::nullopt;
    return refuse(422, "NotVerified", "record 1842 is not as it was written", {},
                  {{{"reason", "Hash"},
                    {"field", ""},
                    {"message", "its hash is 1a2b…, the chain says 3c4d…"}}});
  });
  both("proof does not hold", {"audit", "verify", "--all"});
  node_.on_request({});
  const Home nobody;
  Ran ran = nobody.run({"ps"});
  const auto without = [](std::string text, const std::string& what) {
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what))
      text.replace(at, what.size(), "HOME");
    return text;
  };
  EXPECT_THAT(without(ran.err, nobody.path()), HasSubstr("error: no node runs in HOME"));
  EXPECT_EQ(ran.exit, 1);
}

// Each command explains itself, with an example that names it, and -o json is JSON wherever data is
// printed.
TEST_F(Commands, EveryCommandHasHelpAnExampleAndAManPage) {
  const Ran man = run({"man", home_.path() + "/man"});
  ASSERT_EQ(man.exit, 0) << man.err;
  for (const Command* command : all_commands()) {
    if (command->hidden) continue;
    SCOPED_TRACE(std::string(command->path));
    ASSERT_FALSE(command->examples.empty());
    EXPECT_THAT(std::string(command->examples[0].line),
                HasSubstr("hm " + std::string(command->path)));
    EXPECT_FALSE(command->summary.empty() || command->summary.ends_with('.'));
    std::vector<std::string> words;
    for (std::string_view rest = command->path; !rest.empty();) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      words.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    words.emplace_back("--help");
    const Ran help = run(words);
    EXPECT_EQ(help.exit, 0);
    EXPECT_THAT(help.out, HasSubstr("Example"));
    std::string page = "hm-" + std::string(command->path) + ".1";
    std::replace(page.begin(), page.end(), ' ', '-');
    EXPECT_TRUE(std::ifstream(home_.path() + "/man/" + page).good()) << page;
    for (const Flag& flag : command->flags) EXPECT_FALSE(flag.help.empty()) << flag.name;
  }
}

TEST_F(Commands, JsonIsJsonEverywhere) {
  deploy();
  const std::vector<std::vector<std::string>> kCommands = {
      {"ps"},
      {"get", "deployments"},
      {"get", "deployment", "web"},
      {"describe", "deployment", "web"},
      {"top"},
      {"top", "nodes"},
      {"events"},
      {"node", "ls"},
      {"node", "describe"},
      {"image", "ls"},
      {"audit", "ls"},
      {"auth", "whoami"},
      {"auth", "can-i", "get", "pods"},
      {"doctor"},
      {"version"},
      {"context", "ls"},
      {"history", "web"},
      {"explain", "pod.spec"},
      {"diff", "-f", home_.path() + "/app.yaml"},
      {"deploy", "-f", home_.path() + "/app.yaml"},
      {"scale", "web", "3"},
      {"update", "web", "--image", "web:1"},
      {"restart", "web", "-y"},
      {"dev", "status"},
      {"wait", "deployment/web", "--for", "jsonpath={.spec.replicas}=3"},
      {"delete", "service", "web", "-y"}};
  for (auto words : kCommands) {
    std::string name;
    for (const std::string& word : words) name += word + " ";
    SCOPED_TRACE(name);
    words.insert(words.end(), {"-o", "json"});
    const Ran ran = run(words);
    EXPECT_EQ(ran.exit, 0) << ran.err;
    const Json json = Json::parse(ran.out, nullptr, false);
    EXPECT_TRUE(json.is_object()) << ran.out;
    EXPECT_FALSE(text_at(json, {"apiVersion"}).empty()) << ran.out;
  }
}

TEST_F(Commands, ContextsAreAddedUsedAndRemoved) {
  EXPECT_EQ(run({"context", "add", "prod", "--server", "unix:/run/p.sock"}).exit, 0);
  EXPECT_EQ(run({"context", "add", "prod", "--server", "unix:/run/p.sock"}).exit, 9);
  EXPECT_EQ(run({"context", "add", "x", "--server", "https://[::1]:8443"}).exit, 2)
      << "without a token";
  EXPECT_EQ(run({"context", "add", "x"}).exit, 2);
  EXPECT_EQ(run({"context", "use", "prdo"}).exit, 3);
  EXPECT_THAT(run({"ps", "--context", "prod"}).err, HasSubstr("/run/p.sock"));
  EXPECT_THAT(run({"context", "ls"}).out, HasSubstr("prod"));
  EXPECT_EQ(run({"context", "rm", "prod"}).exit, 2);
  EXPECT_EQ(run({"context", "rm", "prod", "-y"}).exit, 0);
}

TEST_F(Commands, HelpWithoutWordsAndWithTopics) {
  EXPECT_EQ(run({}).exit, 0);
  EXPECT_THAT(run({"help"}).out, HasSubstr("Topics"));
  EXPECT_THAT(run({"help", "errors"}).out, HasSubstr("exit codes"));
  EXPECT_THAT(run({"help", "image", "pull"}).out, HasSubstr("hm image pull REFERENCE"));
  EXPECT_EQ(run({"help", "erors"}).exit, 3);
  EXPECT_EQ(run({"image"}).exit, 2);
  EXPECT_EQ(run({"--version"}).exit, 0);
}

}  // namespace
}  // namespace cli
