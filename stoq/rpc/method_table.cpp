#include "rpc/method_table.hpp"

#include <fmt/format.h>

#include <base/nearest.hpp>

namespace stoq::rpc {

using base::Errc;
using base::Result;

namespace {

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::Unary:
      return "one request and one reply";
    case Kind::ClientStream:
      return "many requests and one reply";
    case Kind::ServerStream:
      return "one request and many replies";
    case Kind::TwoWay:
      break;
  }
  return "many requests and many replies";
}

std::string_view name_of(Lane lane) {
  return lane == Lane::Control ? "control" : "bulk";
}

}  // namespace

void MethodTable::add(const Method& method, std::unique_ptr<Handler> handler) {
  BASE_ASSERT(!method.name.empty() && method.name.size() <= kMethodNameBytesMax,
              "a method's name fits a head");
  auto entry = std::make_unique<Entry>();
  entry->name = method.name;
  entry->method = method;
  entry->method.name = entry->name;
  entry->handler = std::move(handler);
  const bool added = entries_.emplace(entry->name, std::move(entry)).second;
  BASE_ASSERT(added, "a method has one handler");
}

Result<const MethodTable::Entry*> MethodTable::find(const Head& head, Lane lane) const {
  const auto found = entries_.find(head.method);
  if (found == entries_.end()) {
    auto error =
        base::make_error(Errc::Unsupported, fmt::format("this node has no method {}", head.method));
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries_) names.push_back(name);
    if (const auto near = base::nearest(head.method, names))
      error = base::with_hint(std::move(error), "did you mean " + *near + "?");
    return std::unexpected(std::move(error));
  }
  const Entry& entry = *found->second;
  if (entry.method.kind != head.kind) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("{} takes {}; it was called with {}", entry.name,
                                  name_of(entry.method.kind), name_of(head.kind)));
  }
  if (entry.method.options.lane != lane) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("{} belongs to {} connections; it was called over a {} one",
                                  entry.name, name_of(entry.method.options.lane), name_of(lane)));
  }
  return &entry;
}

}  // namespace stoq::rpc
