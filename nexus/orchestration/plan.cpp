#include "orchestration/plan.hpp"

#include "objects/object.hpp"

namespace nexus::orchestration {

void Plan::add(ObjectWrite write) {
  bytes_ += write.json.dump(-1, ' ', false, Json::error_handler_t::replace).size();
  writes.push_back(std::move(write));
}

}  // namespace nexus::orchestration
