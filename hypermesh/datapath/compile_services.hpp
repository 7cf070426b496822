#pragma once

#include <nexus/service_types.hpp>
#include <vector>

#include "datapath/service_table.hpp"

namespace hypermesh::datapath {

/// What Nexus wants carried, as the keeper is told. Errors: InvalidArgument (names the service).
base::Result<ServiceTable> compile_services(const std::vector<nexus::ServicePort>& ports);

}  // namespace hypermesh::datapath
