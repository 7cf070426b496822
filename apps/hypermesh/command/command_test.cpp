#include <gtest/gtest.h>

#include <algorithm>

#include "command/arguments.hpp"
#include "command/completion.hpp"
#include "command/help.hpp"
#include "testing/golden.hpp"

namespace cli {
namespace {

using testing::Golden;
using Words = std::vector<std::string>;

constexpr Argument kName[] = {{"NAME", true, false, Completes::Workload}};
constexpr Argument kNames[] = {{"KIND", true, false, Completes::Kind},
                               {"NAME", false, true, Completes::NameOfKind}};
constexpr Argument kShell[] = {{"SHELL", true, false, Completes::Nothing, "bash|zsh"}};
constexpr Flag kLogsFlags[] = {{"follow", 'f', "", "go on"},
                               {"tail", '\0', "LINES", "last lines"},
                               {"container", 'c', "NAME", "one"},
                               {"env", 'e', "K=V", "variable", true}};
constexpr Flag kExecFlags[] = {{"stdin", 'i', "", "input"}, {"tty", 't', "", "terminal"}};
constexpr Example kExamples[] = {{"hm logs web", "of web"}};
const Command kLogsLike = {.path = "logs",
                           .summary = "what is printed",
                           .description = "One.\n\nTwo.",
                           .arguments = kName,
                           .flags = kLogsFlags,
                           .examples = kExamples};
const Command kExecLike = {.path = "exec",
                           .summary = "run",
                           .description = "",
                           .arguments = kName,
                           .flags = kExecFlags,
                           .takes_command = true};
const Command kGetLike = {.path = "get", .summary = "list", .description = "", .arguments = kNames};
const Command kPullLike = {
    .path = "image pull", .summary = "fetch", .description = "", .arguments = kName};
const Command kListLike = {.path = "image ls", .summary = "list", .description = ""};
const Command kCompletionLike = {
    .path = "completion", .summary = "script", .description = "", .arguments = kShell};
const Command kDevLike = {.path = "dev", .summary = "start", .description = ""};
const Command kDevStatusLike = {.path = "dev status", .summary = "state", .description = ""};
const Command* const kCommands[] = {&kLogsLike, &kExecLike,       &kGetLike, &kPullLike,
                                    &kListLike, &kCompletionLike, &kDevLike, &kDevStatusLike};
constexpr Group kGroups[] = {{"image", "images"}};

std::string refused(const Command& command, const Words& words) {
  const auto parsed = parse_arguments(command, words);
  return parsed ? "accepted" : parsed.error().message;
}

TEST(Arguments, FlagsAndWordsInAnyOrder) {
  const auto parsed = parse_arguments(
      kLogsLike, Words{"-f", "web", "--tail=-1", "-cmain", "-n", "prod", "-e", "A=1", "-e", "B=2"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->word(0), "web");
  EXPECT_TRUE(parsed->has("follow"));
  EXPECT_EQ(parsed->text("tail"), "-1");
  EXPECT_EQ(parsed->text("container"), "main");
  EXPECT_EQ(parsed->text("namespace"), "prod");
  EXPECT_EQ(parsed->all("env"), (Words{"A=1", "B=2"}));
  EXPECT_FALSE(parsed->has("yes"));
}

TEST(Arguments, AValueMayBeginWithADash) {
  EXPECT_EQ(parse_arguments(kLogsLike, Words{"web", "--tail", "-1"})->text("tail"), "-1");
  EXPECT_EQ(parse_arguments(kLogsLike, Words{"web", "-e", "-"})->text("env"), "-");
}

TEST(Arguments, JoinedLettersAndTheCommandBehindDashes) {
  const auto parsed =
      parse_arguments(kExecLike, Words{"-it", "web", "--", "sh", "-c", "exit 3", "--follow"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_TRUE(parsed->has("stdin") && parsed->has("tty"));
  EXPECT_EQ(parsed->command_words(), (Words{"sh", "-c", "exit 3", "--follow"}));
  EXPECT_EQ(parse_arguments(kExecLike, Words{"web", "ls", "/"})->command_words(),
            (Words{"ls", "/"}));
}

TEST(Arguments, DryRunEatsNoWord) {
  const auto parsed = parse_arguments(kLogsLike, Words{"--dry-run", "web"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->text("dry-run"), "server");
  EXPECT_EQ(parsed->word(0), "web");
  EXPECT_EQ(parse_arguments(kLogsLike, Words{"--dry-run=client", "web"})->text("dry-run"),
            "client");
}

TEST(Arguments, WhatIsWrongIsSaid) {
  EXPECT_EQ(refused(kLogsLike, {"web", "--folow"}),
            "unknown flag \"--folow\" for hm logs; did you mean \"--follow\"?");
  EXPECT_EQ(refused(kLogsLike, {"web", "-x"}), "unknown flag \"-x\" for hm logs");
  EXPECT_EQ(refused(kLogsLike, {}), "hm logs wants NAME");
  EXPECT_EQ(refused(kLogsLike, {"a", "b"}), "\"b\" is one word too many for hm logs NAME");
  EXPECT_EQ(refused(kLogsLike, {"web", "--tail"}), "--tail wants a value: LINES");
  EXPECT_EQ(refused(kLogsLike, {"web", "--tail", "1", "--tail", "2"}),
            "--tail is given 2 times; once is allowed");
  EXPECT_EQ(refused(kLogsLike, {"web", "--color", "nevr"}),
            "--color is \"nevr\"; want auto, always, never");
  EXPECT_EQ(refused(kCompletionLike, {"tcsh"}), "SHELL is \"tcsh\"; want bash, zsh");
  EXPECT_EQ(refused(kLogsLike, {"web", "--follow=maybe"}),
            "--follow is a switch and takes no value");
}

TEST(FindCommand, GlobalFlagsMayStandAnywhere) {
  auto found = find_command(kCommands, Words{"-n", "prod", "image", "-o", "json", "pull", "x"});
  ASSERT_TRUE(found);
  ASSERT_NE(found->command, nullptr);
  EXPECT_EQ(found->command->path, "image pull");
  EXPECT_EQ(found->rest, (Words{"-n", "prod", "-o", "json", "x"}));
  EXPECT_EQ(find_command(kCommands, Words{"dev", "status"})->command, &kDevStatusLike);
  EXPECT_EQ(find_command(kCommands, Words{"dev", "--detach"})->command, &kDevLike);
  EXPECT_EQ(find_command(kCommands, Words{"image"})->group, "image");
  EXPECT_EQ(find_command(kCommands, Words{})->command, nullptr);
  EXPECT_EQ(find_command(kCommands, Words{"get", "image", "pull"})->rest, (Words{"image", "pull"}));
}

TEST(FindCommand, TheNearestCommandIsNamed) {
  EXPECT_EQ(find_command(kCommands, Words{"lgos"}).error().message,
            "unknown command \"lgos\"; did you mean \"logs\"?");
  EXPECT_EQ(find_command(kCommands, Words{"image", "pul"}).error().message,
            "unknown command \"image pul\"; did you mean \"image pull\"?");
  EXPECT_EQ(find_command(kCommands, Words{"frobnicate"}).error().message,
            "unknown command \"frobnicate\"");
}

std::string completed(const Words& words) {
  const Completion completion = complete(kCommands, kGroups, words);
  std::string out;
  for (const Candidate& candidate : completion.candidates) {
    if (candidate.word.starts_with(completion.word))
      out += completion.prefix + candidate.word + " ";
  }
  if (completion.names != Completes::Nothing)
    out += "names:" + std::to_string(static_cast<int>(completion.names)) +
           (completion.kind.empty() ? "" : "/" + completion.kind);
  return out;
}

TEST(Completion, OffersWhatMayStandThere) {
  EXPECT_EQ(completed({"lo"}), "logs ");
  EXPECT_EQ(completed({""}), "logs exec get image completion dev ");
  EXPECT_EQ(completed({"image", ""}), "pull ls ");
  EXPECT_EQ(completed({"logs", "--fo"}), "--follow ");
  EXPECT_EQ(completed({"logs", "--color", ""}), "auto always never ");
  EXPECT_EQ(completed({"logs", "--color=n"}), "--color=never ");
  EXPECT_EQ(completed({"completion", "z"}), "zsh ");
  EXPECT_EQ(completed({"logs", "w"}),
            "names:" + std::to_string(static_cast<int>(Completes::Workload)));
  EXPECT_EQ(completed({"get", ""}), "names:" + std::to_string(static_cast<int>(Completes::Kind)));
  EXPECT_EQ(completed({"get", "deploy", "w"}),
            "names:" + std::to_string(static_cast<int>(Completes::NameOfKind)) + "/deploy");
  EXPECT_EQ(completed({"exec", "web", "--", "l"}), "");
  EXPECT_EQ(completed({"logs", "-n", "pr"}),
            "names:" + std::to_string(static_cast<int>(Completes::Namespace)));
  EXPECT_EQ(complete(kCommands, kGroups, Words{"logs", "-n", "prod", ""}).name_space, "prod");
}

TEST(Help, LooksAsItShould) {
  Golden golden(std::string(TEST_SOURCE_DIR) + "/command/testdata/help.txt");
  const Look plain;
  golden.expect("command", render_help(kLogsLike, plain));
  golden.expect("group", render_overview(kCommands, kGroups, "image", plain));
  golden.expect("overview", render_overview(kCommands, kGroups, "", plain));
  golden.expect("man", render_man(kLogsLike, "0.1.0"));
}

TEST(Help, CompletionScriptsExist) {
  for (const char* shell : {"bash", "zsh", "fish"})
    EXPECT_NE(completion_script(shell)->find("__complete"), std::string::npos) << shell;
  EXPECT_FALSE(completion_script("tcsh"));
}

}  // namespace
}  // namespace cli
