#include <gtest/gtest.h>

#include "output/document.hpp"
#include "output/failure.hpp"
#include "output/look.hpp"
#include "output/plan.hpp"
#include "output/progress.hpp"
#include "output/receipt.hpp"
#include "output/suggest.hpp"
#include "output/table.hpp"
#include "output/units.hpp"
#include "testing/golden.hpp"

namespace cli {
namespace {

using namespace std::chrono_literals;
using testing::Golden;

const Look kPlain{.colour = false, .unicode = true, .terminal = false, .columns = 100};
const Look kColour{.colour = true, .unicode = true, .terminal = true, .columns = 100};
const Look kAscii{.colour = false, .unicode = false, .terminal = true, .columns = 60};

std::string testdata(std::string_view name) {
  return std::string(TEST_SOURCE_DIR) + "/output/testdata/" + std::string(name);
}

TEST(Look, ColourOnlyOnATerminalUnlessAskedFor) {
  Surroundings s{.terminal = true, .term = "xterm", .lang = "C.UTF-8"};
  EXPECT_TRUE(decide_look(s, ColourChoice::Auto).colour);
  EXPECT_FALSE(decide_look(s, ColourChoice::Never).colour);
  s.no_color = "1";
  EXPECT_FALSE(decide_look(s, ColourChoice::Auto).colour);
  EXPECT_TRUE(decide_look(s, ColourChoice::Always).colour);
  s.no_color = "";
  EXPECT_TRUE(decide_look(s, ColourChoice::Auto).colour)
      << "NO_COLOR counts only when it is not empty";
  s.term = "dumb";
  EXPECT_FALSE(decide_look(s, ColourChoice::Auto).colour);
  s = {.terminal = false, .term = "xterm"};
  EXPECT_FALSE(decide_look(s, ColourChoice::Auto).colour);
}

TEST(Look, LocaleDecidesTheCharacters) {
  EXPECT_TRUE(decide_look({.lang = "de_DE.UTF-8"}, ColourChoice::Auto).unicode);
  EXPECT_TRUE(decide_look({.lc_all = "C.utf8", .lang = "C"}, ColourChoice::Auto).unicode);
  EXPECT_FALSE(decide_look({.lc_ctype = "C", .lang = "de_DE.UTF-8"}, ColourChoice::Auto).unicode);
  EXPECT_FALSE(decide_look({}, ColourChoice::Auto).unicode);
}

TEST(Look, OutsideTextCannotSpeakToTheTerminal) {
  EXPECT_EQ(printable("a\x1b[31mb\r\nc\x7f"), "a\\x1b[31mb\\x0d\\nc\\x7f");
  EXPECT_EQ(printable("über → ok"), "über → ok");
  EXPECT_EQ(printable("\xff\xc0\x80"), "\\xff\\xc0\\x80");
  EXPECT_EQ(printable("\u202egnp.exe"), "\\u202egnp.exe");
  EXPECT_EQ(printable("\u009b31m"), "\\u009b31m");
}

TEST(Look, WidthsAndShortening) {
  EXPECT_EQ(display_width("web → ✔"), 7u);
  EXPECT_EQ(display_width("日本"), 4u);
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(shorten("abcdef", 4), "abc…");
  EXPECT_EQ(shorten("abcd", 4), "abcd");
  EXPECT_EQ(shorten("日本語", 4), "日…");
  EXPECT_EQ(fit(kAscii, "✔ 3 × web → n1 ü"), "ok 3 x web -> n1 ?");
}

TEST(Units, AsPeopleReadThem) {
  EXPECT_EQ(show_bytes(0), "0 B");
  EXPECT_EQ(show_bytes(1023), "1023 B");
  EXPECT_EQ(show_bytes(71'723'648), "68.4 MiB");
  EXPECT_EQ(show_bytes(1'048'575), "1.0 MiB");
  EXPECT_EQ(show_bytes(~0ull), "16.0 EiB");
  EXPECT_EQ(show_cpu(250), "250m");
  EXPECT_EQ(show_cpu(2000), "2");
  EXPECT_EQ(show_took(38ms), "38 ms");
  EXPECT_EQ(show_took(2100ms), "2.1 s");
  EXPECT_EQ(show_took(252s), "4m12s");
  EXPECT_EQ(show_count(18204), "18,204");
  EXPECT_EQ(show_count(204), "204");
}

TEST(Units, Durations) {
  EXPECT_EQ(parse_duration("90", "--since").value(), 90s);
  EXPECT_EQ(parse_duration("1h30m", "--since").value(), 90min);
  EXPECT_EQ(parse_duration("500ms", "--since").value(), 500ms);
  for (const char* wrong :
       {"", "m", "5 m", "5x", "-5s", "1h30", "1.5h", "99999999999s", "4000000000d"}) {
    EXPECT_FALSE(parse_duration(wrong, "--since").has_value()) << wrong;
  }
}

TEST(Suggest, FindsWhatWasMeant) {
  constexpr std::array<std::string_view, 5> kWords = {"deploy", "delete", "describe", "logs", "ps"};
  EXPECT_EQ(suggest("deplyo", kWords), "deploy");
  EXPECT_EQ(suggest("lgos", kWords), "logs");
  EXPECT_EQ(suggest("desc", kWords), "describe");
  EXPECT_EQ(suggest("frobnicate", kWords), "");
  EXPECT_EQ(suggest("", kWords), "");
}

TEST(Rendering, Tables) {
  Golden golden(testdata("tables.txt"));
  Table table({"NAME", "READY", "STATE", "RESTARTS", "AGE", ""});
  table.row({"web-4-a1b2", "1/1", {"Running", Tone::Good}, "0", "12m", ""});
  table.row({"job-9-q2ww",
             "0/1",
             {"CrashLoopBackOff", Tone::Bad},
             "5 (41s ago)",
             "9m",
             "→ hm why job-9-q2ww"});
  golden.expect("plain", table.render(kPlain));
  golden.expect("colour", table.render(kColour));
  golden.expect("ascii", table.render(kAscii));
  golden.expect("without heads", table.render(kPlain, false));
  Table hostile({"NAME", "MESSAGE"});
  hostile.row({"evil", "\x1b]0;owned\x07two\nlines"});
  hostile.row({"日本", "wide"});
  golden.expect("hostile and wide", hostile.render(kPlain));
  golden.expect("no rows", Table({"NAME", "AGE"}).render(kPlain));
}

TEST(Rendering, Failures) {
  Golden golden(testdata("failures.txt"));
  Failure failure{base::Errc::CannotPlace,
                  4,
                  "deployment/web cannot be placed: 0 of 1 nodes fit",
                  {"n1  memory: needs 16 GiB, 11.2 GiB free"},
                  {"hm update web --memory 8Gi", "hm scale web 1", "hm why web"},
                  "7f3a0c"};
  golden.expect("four parts", render_failure(failure, kPlain));
  golden.expect("four parts, colour", render_failure(failure, kColour));
  golden.expect("four parts, ascii", render_failure(failure, kAscii));
  golden.expect("json", failure_json(failure).dump(2));
  base::Error error = base::make_error(base::Errc::Unavailable, "connection refused");
  error = base::wrap(std::move(error), "no node answers at unix:/run/hypermesh/api.sock");
  error = base::with_hint(std::move(error), "hm dev --detach");
  error = base::with_hint(std::move(error), "the socket belongs to the group hypermesh");
  golden.expect("from a chain of causes", render_failure(make_failure(error), kPlain));
  golden.expect(
      "long message",
      render_failure({base::Errc::Internal, 1, std::string(120, 'x'), {}, {}, ""}, kPlain));
}

TEST(Rendering, Plans) {
  Golden golden(testdata("change_lines.txt"));
  using Mark = PlanLine::Mark;
  Plan plan{"namespace default",
            "from app.yaml: Kubernetes, 5 objects",
            {{Mark::Add, "deployment/web", "3 × nginx:1.27   100m/64Mi each"},
             {Mark::Add, "service/web", "80 → 8080"},
             {Mark::Change, "configmap/web", "2 keys changed → rolls deployment/web"},
             {Mark::Keep, "secret/web", ""},
             {Mark::Remove, "job/old", ""}}};
  golden.expect("plain", render_plan(plan, kPlain));
  golden.expect("colour", render_plan(plan, kColour));
  golden.expect("ascii", render_plan(plan, kAscii));
  golden.expect("json", plan_json(plan).dump(2));
  EXPECT_TRUE(plan.destructive());
  plan.lines.pop_back();
  EXPECT_FALSE(plan.destructive());
  EXPECT_FALSE(plan.changes_nothing());
}

TEST(Rendering, ProgressAndReceipts) {
  Golden golden(testdata("step_lines.txt"));
  ProgressBoard board;
  board.update("deployment/web", "2/3 ready   1 starting (n1: probe 2/3)", 2, 3);
  board.update("service/web", "waiting for an answer");
  const auto join = [](const std::vector<std::string>& lines) {
    std::string out;
    for (const std::string& line : lines) out += line + "\n";
    return out;
  };
  golden.expect("frame 0", join(board.frame(kColour, 0)));
  golden.expect("frame 4, narrow and ascii", join(board.frame(kAscii, 4)));
  board.remove("deployment/web");
  EXPECT_EQ(board.frame(kPlain, 0).size(), 1u);
  golden.expect("outcomes",
                join({outcome_line(kPlain, Outcome::Done, "deployment/web  3/3 ready in 2.1 s"),
                      outcome_line(kPlain, Outcome::Failed,
                                   "web-5-x7k2: readiness GET /healthz → 500 three times"),
                      outcome_line(kPlain, Outcome::Back, "rolled back to revision 4"),
                      outcome_line(kColour, Outcome::Note, "one replica"),
                      outcome_line(kAscii, Outcome::Done, "ready")}));
  golden.expect("receipt", render_receipt({1842, "b7c1e0ff", 1, 1}));
}

Document sample() {
  Document document;
  document.value =
      list_json("ReplicaList", {{{"name", "web-a"}, {"ready", true}, {"restarts", 0}},
                                {{"name", "web-b"}, {"ready", false}, {"restarts", 5}}});
  document.names = {"pod/web-a", "pod/web-b"};
  document.table = [](bool wide) {
    Table table(wide ? std::vector<std::string>{"NAME", "NODE"} : std::vector<std::string>{"NAME"});
    for (const char* name : {"web-a", "web-b"}) {
      table.row(wide ? std::vector<Cell>{name, "n1"} : std::vector<Cell>{name});
    }
    return table;
  };
  return document;
}

TEST(Rendering, Forms) {
  Golden golden(testdata("forms.txt"));
  for (const char* form : {"table", "wide", "json", "yaml", "name", "jsonpath={.items[*].name}",
                           "jsonpath={range .items[?(@.ready==true)]}{.name}{\"\\n\"}{end}",
                           "custom-columns=NAME:.name,RESTARTS:.restarts,WHAT:.absent"}) {
    const auto format = parse_output(form);
    ASSERT_TRUE(format) << form;
    const auto printed = print(sample(), *format, kPlain, true);
    ASSERT_TRUE(printed) << form;
    golden.expect(form, printed->out);
  }
  for (const char* form :
       {"jsn", "yml=1", "table=x", "jsonpath", "jsonpath={.a", "custom-columns=NAME", "frob"}) {
    const auto format = parse_output(form);
    ASSERT_FALSE(format) << form;
    golden.expect(std::string("refused: ") + form,
                  render_failure(make_failure(format.error()), kPlain));
  }
}

TEST(Rendering, AnEmptyListSaysSoOnStandardError) {
  Document document;
  document.value = list_json("ReplicaList", {});
  document.table = [](bool) { return Table({"NAME"}); };
  document.when_empty = "nothing runs in namespace default";
  const auto printed = print(document, OutputFormat{}, kPlain, true);
  ASSERT_TRUE(printed);
  EXPECT_EQ(printed->out, "");
  EXPECT_EQ(printed->err, "nothing runs in namespace default\n");
}

}  // namespace
}  // namespace cli
