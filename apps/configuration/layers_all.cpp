#include <hypermesh/node/hypermesh_config.hpp>
#include <nexus/node/nexus_config.hpp>
#include <stoq/node/stoq_config.hpp>

#include "configuration/configuration.hpp"
#include "configuration/shared_layer.hpp"

namespace apps {

const std::vector<base::config::Layer>& all_layers() {
  static const std::vector<base::config::Layer> layers = {
      stoq::config_layer(), nexus::config_layer(), hypermesh::config_layer(), shared_layer()};
  return layers;
}

}  // namespace apps
