#pragma once

#include <base/time.hpp>
#include <nexus/revision.hpp>
#include <string>
#include <vector>

#include "manifest/kinds.hpp"
#include "objects/json.hpp"
#include "objects/object_ref.hpp"

namespace nexus::api {

/// Objects of one kind as the rows that kubectl prints (meta.k8s.io/v1 Table).
Json make_table(const manifest::KindInfo& kind, const std::vector<ObjectPtr>& objects,
                Revision revision, const std::string& continue_token, base::WallTime now);

}  // namespace nexus::api
