#include "output/plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "output/document.hpp"

namespace cli {
namespace {

using Mark = PlanLine::Mark;

struct MarkWords {
  std::string_view sign, action;
  Tone tone;
};
MarkWords words(Mark mark) {
  switch (mark) {
    case Mark::Add:
      return {"+", "create", Tone::Good};
    case Mark::Change:
      return {"~", "change", Tone::Warn};
    case Mark::Replace:
      return {"~", "replace", Tone::Warn};
    case Mark::Remove:
      return {"-", "remove", Tone::Bad};
    case Mark::Keep:
      return {"=", "keep", Tone::Plain};
  }
  return {"?", "", Tone::Plain};
}

}  // namespace

bool Plan::destructive() const {
  return std::ranges::any_of(
      lines, [](const PlanLine& l) { return l.mark == Mark::Replace || l.mark == Mark::Remove; });
}

bool Plan::changes_nothing() const {
  return std::ranges::all_of(lines, [](const PlanLine& l) { return l.mark == Mark::Keep; });
}

std::string render_plan(const Plan& plan, const Look& look) {
  constexpr std::size_t kNoteColumn = 53;
  std::string out = paint(look, Tone::Bold, "PLAN") + "  " + fit(look, printable(plan.headline));
  if (!plan.note.empty()) {
    const std::size_t width = 6 + display_width(fit(look, printable(plan.headline)));
    out.append(width + 3 < kNoteColumn ? kNoteColumn - width : 3, ' ');
    out += "(" + fit(look, printable(plan.note)) + ")";
  }
  out += '\n';
  std::size_t object_width = 0, kept = 0;
  for (const PlanLine& line : plan.lines) {
    if (line.mark == Mark::Keep) {
      ++kept;
    } else {
      object_width = std::max(object_width, display_width(printable(line.object)));
    }
  }
  for (const PlanLine& line : plan.lines) {
    if (line.mark == Mark::Keep) continue;
    const auto [sign, action, tone] = words(line.mark);
    const std::string object = printable(line.object);
    out += "  " + paint(look, tone, sign) + " " + object;
    if (!line.detail.empty()) {
      out.append(object_width - display_width(object) + 3, ' ');
      out += fit(look, printable(line.detail));
    }
    out += '\n';
  }
  if (kept > 0) out += fmt::format("  = {} unchanged\n", kept);
  return out;
}

Json plan_json(const Plan& plan) {
  Json::array_t items;
  for (const PlanLine& line : plan.lines) {
    items.push_back(
        {{"action", words(line.mark).action}, {"object", line.object}, {"detail", line.detail}});
  }
  Json json = list_json("Plan", std::move(items));
  json["destructive"] = plan.destructive();
  return json;
}

}  // namespace cli
