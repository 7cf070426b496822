#pragma once

// YAML and JSON texts to JSON values with the place of every part.
//
// Scalars mean what they mean to Kubernetes' own tools, which read YAML 1.1 with a few rules
// of 1.2: `yes`, `on` and `y` are booleans, 0644 and 0o644 are octal, dates stay strings. KYAML and
// JSON are flow style of the same language. The scanner is libyaml, the parser that those tools are
// ported from.
//
// A hostile text costs at most its limits: nesting is cut off while it is read (libyaml keeps no
// recursion), and what aliases would multiply is counted before it is built.

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "manifest/position_tree.hpp"
#include "manifest/problem.hpp"

namespace nexus::manifest {

using Json = nlohmann::json;

struct ReadLimits {
  std::size_t text_bytes_max = 10u << 20;
  std::size_t depth_max = 100;
  std::size_t nodes_max = 100'000;             ///< Of one file, aliases expanded.
  std::size_t expanded_bytes_max = 20u << 20;  ///< Of all scalars, aliases expanded.
};

struct Document {
  Json value;
  PositionTree positions;
};

struct Documents {
  std::vector<Document> documents;  ///< Empty ones are left out.
  std::vector<Problem>
      problems;  ///< In the order of the text. A duplicate key does not end the reading.
};

/// Reads all documents of `text`. `file` is what problems call it.
Documents read_documents(std::string_view text, std::string_view file,
                         const ReadLimits& limits = {});

/// JSON from outside into a value: bounded depth and size, duplicate keys refused. Without
/// positions. Errors: InvalidArgument (what is wrong and at which byte), ResourceExhausted (a
/// limit).
base::Result<Json> read_json(std::string_view text, const ReadLimits& limits = {});

}  // namespace nexus::manifest
