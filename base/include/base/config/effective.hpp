#pragma once

#include <base/config/schema.hpp>
#include <base/config/units.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace base::config {

struct Problem {
  enum class Severity : std::uint8_t { Warning, Error } severity = Severity::Error;
  Origin origin;
  std::string key;      ///< Full path, e.g. "transport.certificate_rotation".
  std::string message;  ///< What was found and what is allowed.
};
/// "stoq.yaml:4  transport.certificate_rotation = "24 parsecs"  want a duration such as "24h"".
std::string to_line(const Problem& problem);

/// The settings that are in force: defaults, then the file, then the environment. Every key of the
/// schema has a value; reading a path that the schema does not have is our mistake.
class Effective {
 public:
  struct Entry {
    const Layer* layer;
    const Section* section;  ///< Null for a key at the layer's own level.
    const Key* key;
    Setting setting;
    Origin origin;
    bool given() const { return origin.source != "default"; }
  };

  bool flag(std::string_view path) const { return std::get<bool>(at(path).setting); }
  std::int64_t integer(std::string_view path) const {
    return std::get<std::int64_t>(at(path).setting);
  }
  Duration duration(std::string_view path) const {
    return Duration(std::get<std::int64_t>(at(path).setting));
  }
  std::uint64_t size(std::string_view path) const {
    return static_cast<std::uint64_t>(integer(path));
  }
  const std::string& text(std::string_view path) const {
    return std::get<std::string>(at(path).setting);
  }
  const std::vector<std::string>& list(std::string_view path) const {
    return std::get<std::vector<std::string>>(at(path).setting);
  }
  Endpoint endpoint(std::string_view path) const;
  const Entry& at(std::string_view path) const;

  /// "stoq.transport.protocol" -> entry; in the schema's order.
  const std::vector<std::pair<std::string, Entry>>& entries() const { return entries_; }
  /// Keys that somebody set and whose part is not in this build, e.g. "stoq.edge.cache_size (edge
  /// network)".
  std::vector<std::string> without_effect() const;

  /// JSON: durations in seconds, sizes in bytes. `layered`: under the layers' names, else at the
  /// top, and then only the layers that the file speaks of. With `origins` each value is
  /// {"value":..,"origin":..}.
  std::string to_json(bool origins = false) const;

 private:
  friend class Loader;
  std::vector<std::pair<std::string, Entry>> entries_;
  std::map<std::string, std::size_t, std::less<>> index_;
  bool layered_ = true;
  std::vector<std::string> shown_layers_;
};

/// One value as Effective::to_json shows it.
std::string to_json(const Effective::Entry& entry);

using Environment = std::map<std::string, std::string>;

struct Loaded {
  Effective effective;
  std::vector<Problem>
      problems;  ///< In the file's order. With an Error among them nothing may start.
  bool ok() const;
};

/// Merges `documents` over the defaults of `layers`, then the environment
/// (STOQ_TRANSPORT__MAX_CONNECTIONS). A variable of that form that names no key is a problem, as is
/// a slip in the name of a layer's own key; others with a layer's prefix are left alone. A document
/// holds sections of any layer at its top, or layers by name. `layers` outlive the answer.
Loaded load(const std::vector<Layer>& layers, const std::vector<Value>& documents,
            const Environment& environment);

/// Every problem of `loaded` as one InvalidArgument, or nothing.
Result<> require_valid(const Loaded& loaded);

}  // namespace base::config
