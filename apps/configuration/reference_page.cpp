#include "configuration/reference_page.hpp"

#include <fmt/format.h>

namespace apps {
namespace {

using namespace base::config;

constexpr std::string_view kOpening = R"(# Configuration

A daemon reads `stoq`, `nexus` and `hypermesh` with the ending `.yaml` or `.toml` from `/etc/hypermesh` (or `--home DIR`, or the
files named by `--config`). A file holds the sections of one layer at its top, or of several below their layers' names:

    # nexus.yaml                      # all.yaml
    dns:                              nexus:
      ttl: 10s                          dns: {ttl: 10s}
                                      hypermesh: {storage: {fsync: true}}

Durations take `ns us ms s m h d`, sizes `KB MB GB TB` (1024-based). A word in a section's place stands for one of its keys:
`transport: quic`, `discovery: enabled`. `all_features: true` switches on whatever nobody switched.

Environment variables override files: `NEXUS_DNS__TTL=10s` is `nexus.dns.ttl`; keys that all layers share begin with `HYPERMESH_`.
A variable of this form that names no key is refused like an unknown key in a file.

`hm config check FILE...` names every mistake with file, line and key. `hm config show --effective --origin -o json FILE...` tells what a
file means and where each value comes from. A key whose part is not in this build is accepted, marked below, and named by
the daemon when it starts.
)";

std::string quantity(std::int64_t value, KeyKind kind) {
  if (kind == KeyKind::Duration) {
    for (const auto& [nanos, unit] : {std::pair<std::int64_t, const char*>{3'600'000'000'000, "h"},
                                      {60'000'000'000, "m"},
                                      {1'000'000'000, "s"},
                                      {1'000'000, "ms"}}) {
      if (value >= nanos && value % nanos == 0) return fmt::format("{}{}", value / nanos, unit);
    }
    return fmt::format("{}ns", value);
  }
  if (kind == KeyKind::Size) {
    for (const auto& [bytes, unit] : {std::pair<std::int64_t, const char*>{1ll << 40, "TB"},
                                      {1ll << 30, "GB"},
                                      {1ll << 20, "MB"},
                                      {1ll << 10, "KB"}}) {
      if (value >= bytes && value % bytes == 0) return fmt::format("{}{}", value / bytes, unit);
    }
  }
  return std::to_string(value);
}

std::string fallback(const Key& key) {
  if (const auto* flag = std::get_if<bool>(&key.fallback)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<std::int64_t>(&key.fallback))
    return quantity(*number, key.kind);
  if (const auto* list = std::get_if<std::vector<std::string>>(&key.fallback)) {
    std::string text;
    for (const std::string& item : *list) text += (text.empty() ? "" : ", ") + item;
    return "[" + text + "]";
  }
  const auto& text = std::get<std::string>(key.fallback);
  return text.empty() ? "\"\"" : text;
}

std::string allowed(const Key& key) {
  if (!key.choices.empty()) {
    std::string text;
    for (const Choice& choice : key.choices) text += (text.empty() ? "" : ", ") + choice.name;
    return text;
  }
  if (key.min && key.max)
    return fmt::format("{} to {}", quantity(*key.min, key.kind), quantity(*key.max, key.kind));
  switch (key.kind) {
    case KeyKind::Bool:
      return "true, false";
    case KeyKind::Endpoint:
      return "[address]:port";
    case KeyKind::TextList:
      return "a list";
    default:
      return "text";
  }
}

std::string row(const std::string& path, const Key& key) {
  const std::string mark =
      key.unbuilt.empty() ? "" : fmt::format(" *No effect in this build: {}.*", key.unbuilt);
  return fmt::format("| `{}` | {} | {} | {}{} |\n", path, fallback(key), allowed(key),
                     key.description, mark);
}

}  // namespace

std::string configuration_page(const std::vector<Layer>& layers) {
  std::string page(kOpening);
  constexpr std::string_view kHead =
      "\n| key | default | allowed | meaning |\n| --- | --- | --- | --- |\n";
  for (const Layer& layer : layers) {
    page += fmt::format("\n## {}\n", layer.name.empty() ? "All layers" : layer.name);
    if (!layer.keys.empty()) page += kHead;
    for (const Key& key : layer.keys) page += row(key.name, key);
    for (const Section& section : layer.sections) {
      page += fmt::format("\n### {}\n\n{}\n{}", section.name, section.description, kHead);
      for (const Key& key : section.keys) page += row(section.name + "." + key.name, key);
    }
  }
  return page;
}

}  // namespace apps
