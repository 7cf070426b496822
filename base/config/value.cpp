#include <fmt/format.h>

#include <base/config/value.hpp>
#include <cerrno>
#include <fstream>

#include "config/readers.hpp"

namespace base::config {

Result<Format> format_of(std::string_view file_name) {
  if (file_name.ends_with(".yaml") || file_name.ends_with(".yml")) return Format::Yaml;
  if (file_name.ends_with(".toml")) return Format::Toml;
  return fail(Errc::InvalidArgument,
              fmt::format("{}: a configuration file ends in .yaml, .yml or .toml", file_name));
}

Result<Value> parse_text(std::string_view text, Format format, std::string_view file_name) {
  if (text.size() > kConfigBytesMax) {
    return fail(Errc::InvalidArgument, fmt::format("{}: has {} bytes; at most {} are read",
                                                   file_name, text.size(), kConfigBytesMax));
  }
  return format == Format::Yaml ? parse_yaml(text, file_name) : parse_toml(text, file_name);
}

Result<Value> read_file(const std::string& path) {
  TRY(const Format format, format_of(path));
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno(errno, path);
  std::string text(kConfigBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return parse_text(text, format, path);
}

}  // namespace base::config
