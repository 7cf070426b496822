#include <base/config/schema.hpp>

namespace base::config {

Key flag(std::string name, bool fallback, std::string description) {
  return {std::move(name), KeyKind::Bool, fallback, std::move(description), {}, {}, {}, {}};
}
Key integer(std::string name, std::int64_t fallback, std::int64_t min, std::int64_t max,
            std::string description) {
  return {std::move(name), KeyKind::Integer, fallback, std::move(description), min, max, {}, {}};
}
Key duration(std::string name, Duration fallback, Duration min, Duration max,
             std::string description) {
  return {std::move(name),
          KeyKind::Duration,
          fallback.count(),
          std::move(description),
          min.count(),
          max.count(),
          {},
          {}};
}
Key size(std::string name, std::uint64_t fallback, std::uint64_t min, std::uint64_t max,
         std::string description) {
  return {std::move(name),
          KeyKind::Size,
          static_cast<std::int64_t>(fallback),
          std::move(description),
          static_cast<std::int64_t>(min),
          static_cast<std::int64_t>(max),
          {},
          {}};
}
Key text(std::string name, std::string fallback, std::string description) {
  return {
      std::move(name), KeyKind::Text, std::move(fallback), std::move(description), {}, {}, {}, {}};
}
Key choice(std::string name, std::vector<Choice> choices, std::string fallback,
           std::string description) {
  return {std::move(name),
          KeyKind::Choice,
          std::move(fallback),
          std::move(description),
          {},
          {},
          std::move(choices),
          {}};
}
Key endpoint(std::string name, std::string fallback, std::string description) {
  return {std::move(name),
          KeyKind::Endpoint,
          std::move(fallback),
          std::move(description),
          {},
          {},
          {},
          {}};
}
Key text_list(std::string name, std::vector<std::string> fallback, std::string description) {
  return {std::move(name),
          KeyKind::TextList,
          std::move(fallback),
          std::move(description),
          {},
          {},
          {},
          {}};
}
Key unbuilt(Key key, std::string part) {
  key.unbuilt = std::move(part);
  return key;
}

}  // namespace base::config
