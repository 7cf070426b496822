#pragma once

#include "orchestration/why.hpp"

namespace nexus::orchestration {

/// `pod` is of kind Pod.
WhyAnswer why_pod(const Json& pod, const WhyInput& input);

/// The container that keeps the pod from being well, worst first; null when there is none.
struct Trouble {
  const Json* status = nullptr;  ///< Its entry in containerStatuses or initContainerStatuses.
  const Json* spec = nullptr;
  bool init = false;
};
std::optional<Trouble> troubled_container(const Json& pod);

}  // namespace nexus::orchestration
