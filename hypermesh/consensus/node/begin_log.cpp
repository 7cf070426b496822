#include "consensus/node/begin_log.hpp"

#include <fmt/format.h>

#include "consensus/execution/resume.hpp"

namespace hypermesh::consensus {

base::Result<> begin_log(Log& log, const Genesis& genesis) {
  if (log.appended() != 0) {
    return base::fail(
        base::Errc::FailedPrecondition,
        fmt::format("the log has {} records already; it is not begun again", log.appended()));
  }
  const Record first = first_record(genesis);
  TRY_DO(log.append(static_cast<std::uint8_t>(first.index()), encode(first)));
  TRY_DO(log.sync());
  return {};
}

}  // namespace hypermesh::consensus
