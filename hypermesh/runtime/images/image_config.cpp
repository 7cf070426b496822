#include "runtime/images/image_config.hpp"

#include <fmt/format.h>

#include "runtime/images/bounded_json.hpp"
#include "runtime/images/manifest.hpp"

namespace hypermesh {
namespace {

using nlohmann::json;

constexpr std::size_t kListMax = 10'000;

base::Result<> parse_run_settings(const json& value, const std::string& what, ImageConfig& out) {
  TRY(const JsonObject config, JsonObject::open(value, what + ": config"));
  TRY(out.entrypoint, config.texts("Entrypoint", kListMax, 128 << 10));
  TRY(out.command, config.texts("Cmd", kListMax, 128 << 10));
  TRY(out.env, config.texts("Env", kListMax, 128 << 10));
  for (std::size_t i = 0; i < out.env.size(); ++i) {
    if (const auto equals = out.env[i].find('='); equals == 0 || equals == std::string::npos) {
      return std::unexpected(
          config.wrong(fmt::format("Env[{}]", i).c_str(),
                       fmt::format("is \"{}\"; must be NAME=VALUE", out.env[i].substr(0, 100))));
    }
  }
  TRY(out.user, config.text("User", 256));
  TRY(out.working_directory, config.text("WorkingDir"));
  TRY(out.stop_signal, config.text("StopSignal", 32));
  TRY(out.exposed_ports, config.keys("ExposedPorts", kListMax));
  TRY(out.volumes, config.keys("Volumes", kListMax));
  TRY(out.labels, config.pairs("Labels", kListMax));
  return {};
}

}  // namespace

base::Result<ImageConfig> parse_image_config(std::string_view text, std::string_view what) {
  TRY(const json document,
      parse_bounded_json(text, what, JsonLimits{.bytes_max = kConfigBytesMax}));
  const std::string name(what);
  TRY(const JsonObject object, JsonObject::open(document, name));
  ImageConfig out;
  TRY(out.platform.os, object.required_text("os", 64));
  TRY(out.platform.architecture, object.required_text("architecture", 64));
  TRY(out.platform.variant, object.text("variant", 64));
  if (out.platform.os != "linux") {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("{}: it is an image for {}; only linux images run here", what,
                                  out.platform.text()));
  }
  TRY(const std::string created, object.text("created", 64));
  // Only shown, and often nonsense: no reason to refuse an image.
  if (auto time = base::parse_rfc3339(created)) out.created = *time;
  if (const json* config = object.member("config")) TRY_DO(parse_run_settings(*config, name, out));

  const json* rootfs = object.member("rootfs");
  if (!rootfs) return std::unexpected(object.wrong("rootfs", "is missing"));
  TRY(const JsonObject root, JsonObject::open(*rootfs, name + ": rootfs"));
  TRY(const std::string type, root.required_text("type", 64));
  if (type != "layers")
    return std::unexpected(root.wrong("type", fmt::format("is \"{}\"; must be \"layers\"", type)));
  TRY(const auto diff_ids, root.texts("diff_ids", kLayersMax, 255));
  for (std::size_t i = 0; i < diff_ids.size(); ++i) {
    auto digest = parse_digest(diff_ids[i]);
    if (!digest)
      return std::unexpected(
          root.wrong(fmt::format("diff_ids[{}]", i).c_str(), "is " + digest.error().message));
    out.diff_ids.push_back(*digest);
  }
  return out;
}

std::vector<ContentDigest> chain_ids(const std::vector<ContentDigest>& diff_ids) {
  std::vector<ContentDigest> chain;
  chain.reserve(diff_ids.size());
  for (const auto& diff_id : diff_ids) {
    chain.push_back(chain.empty() ? diff_id
                                  : digest_of(chain.back().text() + " " + diff_id.text()));
  }
  return chain;
}

}  // namespace hypermesh
