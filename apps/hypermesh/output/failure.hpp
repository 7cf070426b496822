#pragma once

// Errors in four parts: what, why, what to do, where to look. The same for people and, with -o
// json, for programs.

#include <base/error.hpp>
#include <string>
#include <vector>

#include "output/json_access.hpp"
#include "output/look.hpp"

namespace cli {

struct Failure {
  base::Errc code = base::Errc::Internal;
  int exit = 1;
  std::string message;               ///< What.
  std::vector<std::string> reasons;  ///< Why: one line each.
  std::vector<std::string>
      hints;  ///< What to do: commands ("hm ...") and sentences, most useful first.
  std::string trace_id;
};

/// The causes of `error` become the reasons.
Failure make_failure(const base::Error& error, std::string trace_id = {});

/// error: WHAT                    (exit N)
///   WHY
///   hint: SENTENCE
/// try   COMMAND   or   COMMAND   more   hm help ...   trace ID
std::string render_failure(const Failure& failure, const Look& look);
/// {"error":{"code","exit","message","reasons","hints","traceId"}}
Json failure_json(const Failure& failure);

}  // namespace cli
