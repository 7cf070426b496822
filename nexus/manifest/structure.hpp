#pragma once

#include "manifest/admit.hpp"
#include "manifest/schema.hpp"
#include "manifest/view.hpp"

namespace nexus::manifest {

/// Holds an object against its schema: types, forms, bounds, unknown and unsupported fields. Brings
/// values into their canonical form, puts the schema's defaults in, and takes out nulls and what
/// servers set.
void check_structure(Json& object, const ObjectType& type, AdmitOptions::UnknownFields unknown,
                     Report& report);

}  // namespace nexus::manifest
