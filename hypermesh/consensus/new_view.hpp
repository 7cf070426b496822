#pragma once

// Which block a view begins with, from the wishes of those who want it: docs/design/0009, 0013.

#include "consensus/messages.hpp"

namespace hypermesh::consensus {

/// What a certificate lets claim.
Claim claim_of(const Certificate& certificate);
/// Keeps the certificate of the higher claim.
void keep_higher(std::optional<Certificate>& highest, const Certificate& certificate);

/// The claim that has to be proven: the highest by view, then slot. `wishes` is not empty.
const Claim& highest_claim(const std::vector<Wish>& wishes);

/// The block of the highest claim, or the last one behind it that so many of them hold that it may
/// be committed: all of `wishes` but f.
Claim base_of(const Voters& voters, const std::vector<Wish>& wishes);

/// Whether `certificate` is of what is claimed; its signatures are not looked at.
bool is_of(const Certificate& certificate, Epoch epoch, const Claim& claim);

/// All that `message` must be but for its signatures. `start`: what is claimed by who has no
/// certificate. Errors: NotVerified, and says what is wrong.
base::Result<> check_form(const Voters& voters, const Claim& start, const NewView& message);

}  // namespace hypermesh::consensus
