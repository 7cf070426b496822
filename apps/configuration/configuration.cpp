#include "configuration/configuration.hpp"

#include <unistd.h>

#include <filesystem>

namespace apps {

using namespace base::config;

Environment process_environment() {
  Environment environment;
  for (char** variable = environ; *variable; ++variable) {
    const std::string_view text(*variable);
    const std::size_t equals = text.find('=');
    if (equals != text.npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

base::Result<Loaded> load_configuration(const std::vector<std::string>& files,
                                        const Environment& environment) {
  std::vector<Value> documents;
  for (const std::string& file : files) {
    TRY(Value document, read_file(file));
    documents.push_back(std::move(document));
  }
  return load(all_layers(), documents, environment);
}

std::vector<std::string> configuration_files(const std::string& folder) {
  std::vector<std::string> files;
  for (const char* layer : {"stoq", "nexus", "hypermesh"}) {
    for (const char* ending : {".yaml", ".yml", ".toml"}) {
      std::string file = folder + "/" + layer + ending;
      std::error_code ignored;
      if (std::filesystem::exists(file, ignored)) files.push_back(std::move(file));
    }
  }
  return files;
}

}  // namespace apps
