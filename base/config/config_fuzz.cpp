// Configuration texts of both formats: the first byte chooses.
#include <base/config/effective.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace base::config;
  if (size == 0) return 0;
  static const std::vector<Layer> layers = [] {
    Layer layer;
    layer.name = "low";
    layer.keys = {choice("mode", {{"member", {}}}, "member", "")};
    layer.sections = {Section{"wire",
                              "",
                              "protocol",
                              {text("protocol", "", ""),
                               duration("rotation", std::chrono::hours(1), std::chrono::seconds(0),
                                        std::chrono::hours(9), ""),
                               base::config::size("bytes", 1, 0, 1000, ""),
                               endpoint("bind", "[::]:1", ""), text_list("names", {}, "")}}};
    return std::vector{layer};
  }();
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  if (auto value = parse_text(text, data[0] & 1 ? Format::Yaml : Format::Toml, "f")) {
    const Loaded loaded = load(layers, {*value}, {});
    if (loaded.ok()) loaded.effective.to_json(true);
  }
  return 0;
}
