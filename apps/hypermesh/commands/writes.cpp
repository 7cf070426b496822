#include "commands/writes.hpp"

#include <fmt/format.h>

#include <manifest/diff.hpp>

namespace cli {

using base::Errc;
using base::Result;

Result<Answer> put_unless_changed(Api& api, const KindInfo& kind, const Json& before,
                                  const std::function<Result<Json>(const Json& now)>& change,
                                  const Query& query) {
  constexpr int kTries = 8;
  const std::string path = kind_path(kind, text_at(before, {"metadata", "namespace"}),
                                     text_at(before, {"metadata", "name"}));
  Json now = before;
  for (int attempt = 0;; ++attempt) {
    TRY(Json wanted, change(now));
    wanted["metadata"]["resourceVersion"] = at(now, {"metadata", "resourceVersion"});
    auto answer = api.send("PUT", with_query(path, query), wanted);
    if (answer || answer.error().code != Errc::Conflict || attempt == kTries) return answer;
    TRY(now, api.get(path));
    // Counters of controllers move all the time; what people write does not.
    if (!nexus::manifest::diff_objects(kind, before, now).empty()) {
      base::Error error = base::make_error(
          Errc::Conflict,
          fmt::format("{} changed since it was read; nothing was written", object_text(before)));
      error.hints = {fmt::format("hm get {} -o yaml", object_text(before))};
      return std::unexpected(std::move(error));
    }
  }
}

}  // namespace cli
