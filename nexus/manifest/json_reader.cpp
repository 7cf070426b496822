// read_json(): nlohmann's parser keeps no recursion, yet what it builds is copied, compared and
// written by recursive functions, so depth is bounded here, before anything is built.

#include <fmt/format.h>

#include <base/error.hpp>
#include <string>
#include <vector>

#include "manifest/yaml_document.hpp"

namespace nexus::manifest {

namespace {

class BoundedBuilder final : public nlohmann::json_sax<Json> {
 public:
  explicit BoundedBuilder(const ReadLimits& limits) : limits_(limits) {}

  base::Error error = base::make_error(base::Errc::InvalidArgument, "not JSON");
  Json root;

  bool null() override { return add(Json()); }
  bool boolean(bool value) override { return add(Json(value)); }
  bool number_integer(number_integer_t value) override { return add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    // One form for one number, so that equal objects are equal.
    return add(value <= INT64_MAX ? Json(static_cast<std::int64_t>(value)) : Json(value));
  }
  bool number_float(number_float_t value, const string_t&) override { return add(Json(value)); }
  bool string(string_t& value) override { return add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    Json& object = *open_.back();
    if (object.contains(name)) {
      error = base::make_error(
          base::Errc::InvalidArgument,
          fmt::format("key \"{}\" appears twice in one object", name.substr(0, 100)));
      return false;
    }
    slot_ = &object[name];
    return true;
  }
  bool parse_error(std::size_t byte, const std::string&,
                   const nlohmann::detail::exception&) override {
    error = base::make_error(base::Errc::InvalidArgument,
                             fmt::format("not JSON: unexpected text at byte {}", byte));
    return false;
  }

 private:
  Json* place(Json value) {
    if (++nodes_ > limits_.nodes_max) {
      error = base::make_error(base::Errc::ResourceExhausted,
                               fmt::format("the text has more than {} values", limits_.nodes_max));
      return nullptr;
    }
    if (open_.empty()) {
      root = std::move(value);
      return &root;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) return &parent.emplace_back(std::move(value));
    *slot_ = std::move(value);
    return slot_;
  }
  bool add(Json value) { return place(std::move(value)) != nullptr; }
  bool open(Json container) {
    if (open_.size() == limits_.depth_max) {
      error = base::make_error(
          base::Errc::ResourceExhausted,
          fmt::format("the text is nested deeper than {} levels", limits_.depth_max));
      return false;
    }
    Json* placed = place(std::move(container));
    if (placed) open_.push_back(placed);
    return placed != nullptr;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const ReadLimits& limits_;
  // Containers that are still open. Adding to one moves no other open one.
  std::vector<Json*> open_;
  Json* slot_ = nullptr;
  std::size_t nodes_ = 0;
};

}  // namespace

base::Result<Json> read_json(std::string_view text, const ReadLimits& limits) {
  if (text.size() > limits.text_bytes_max) {
    return base::fail(base::Errc::ResourceExhausted,
                      fmt::format("the text has {} bytes; at most {} are read", text.size(),
                                  limits.text_bytes_max));
  }
  BoundedBuilder builder(limits);
  if (!Json::sax_parse(text, &builder)) return std::unexpected(std::move(builder.error));
  return std::move(builder.root);
}

}  // namespace nexus::manifest
