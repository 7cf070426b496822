#pragma once

#include "state/transfer_messages.hpp"
#include "state/view.hpp"

namespace hypermesh::state {

/// Answers a request for parts of a checkpoint that `view` keeps: of the first items as many as
/// fit. Costs reads in proportion to what is answered.
/// Errors: of the storage.
base::Result<TransferAnswer> answer_transfer(const View& view, const TransferRequest& request);

}  // namespace hypermesh::state
