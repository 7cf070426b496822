#include "runtime/images/bounded_json.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh {
namespace {

using nlohmann::json;

class BoundedBuilder final : public nlohmann::json_sax<json> {
 public:
  BoundedBuilder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return refuse("binary values are not JSON"); }
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& value) override {
    if (stack_.back()->contains(value)) {
      return refuse(
          fmt::format("the key \"{}\" is there twice in one object", value.substr(0, 100)));
    }
    key_ = std::move(value);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return refuse(fmt::format("it is not JSON at byte {}", position));
  }

  json root;
  std::string problem;

 private:
  bool refuse(std::string why) {
    if (problem.empty()) problem = std::move(why);
    return false;
  }
  json* place(json value) {
    if (++values_ > limits_.values_max) {
      refuse(fmt::format("it has more than {} values", limits_.values_max));
      return nullptr;
    }
    if (stack_.empty()) return &(root = std::move(value));
    json& parent = *stack_.back();
    if (parent.is_object()) return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }
  bool add(json value) { return place(std::move(value)) != nullptr; }
  bool open(json value) {
    if (stack_.size() >= limits_.depth_max) {
      return refuse(fmt::format("it is nested deeper than {} levels", limits_.depth_max));
    }
    json* placed = place(std::move(value));
    if (!placed) return false;
    // Safe: a container that is open is the last thing in its parent until it is closed.
    stack_.push_back(placed);
    return true;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  const JsonLimits& limits_;
  std::vector<json*> stack_;
  std::string key_;
  std::size_t values_ = 0;
};

}  // namespace

base::Result<json> parse_bounded_json(std::string_view text, std::string_view what,
                                      const JsonLimits& limits) {
  if (text.size() > limits.bytes_max) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("{}: it has {} bytes; at most {} are allowed", what, text.size(),
                                  limits.bytes_max));
  }
  BoundedBuilder builder(limits);
  if (!json::sax_parse(text, &builder)) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("{}: {}", what, builder.problem.empty() ? "it is not JSON" : builder.problem));
  }
  return std::move(builder.root);
}

base::Result<JsonObject> JsonObject::open(const json& value, std::string path) {
  if (!value.is_object()) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("{}: found {}; must be an object", path, value.type_name()));
  }
  return JsonObject(value, std::move(path));
}

const json* JsonObject::member(const char* key) const {
  const auto it = value_->find(key);
  return it == value_->end() || it->is_null() ? nullptr : &*it;
}

std::string JsonObject::at(const char* key) const {
  return path_.find(": ") == std::string::npos ? fmt::format("{}: {}", path_, key)
                                               : fmt::format("{}.{}", path_, key);
}

base::Error JsonObject::wrong(const char* key, std::string_view found_and_wanted) const {
  return base::make_error(base::Errc::InvalidArgument,
                          fmt::format("{} {}", at(key), found_and_wanted));
}

base::Result<std::string> JsonObject::text(const char* key, std::size_t bytes_max) const {
  const json* found = member(key);
  if (!found) return std::string();
  if (!found->is_string())
    return std::unexpected(wrong(key, fmt::format("is {}; must be a string", found->type_name())));
  const auto& text = found->get_ref<const std::string&>();
  if (text.size() > bytes_max) {
    return std::unexpected(
        wrong(key, fmt::format("has {} bytes; at most {} are allowed", text.size(), bytes_max)));
  }
  // It becomes a C string in an argument, a path or an environment.
  if (text.find('\0') != std::string::npos)
    return std::unexpected(wrong(key, "holds a NUL character"));
  return text;
}

base::Result<std::string> JsonObject::required_text(const char* key, std::size_t bytes_max) const {
  if (!has(key)) return std::unexpected(wrong(key, "is missing"));
  TRY(std::string value, text(key, bytes_max));
  if (value.empty()) return std::unexpected(wrong(key, "is empty"));
  return value;
}

base::Result<std::uint64_t> JsonObject::number(const char* key, std::uint64_t max) const {
  const json* found = member(key);
  if (!found) return 0;
  if (!found->is_number_unsigned()) {
    return std::unexpected(wrong(
        key, found->is_number() ? "must be a whole number, 0 or more"
                                : fmt::format("is {}; must be a number", found->type_name())));
  }
  const auto value = found->get<std::uint64_t>();
  if (value > max)
    return std::unexpected(wrong(key, fmt::format("is {}; at most {} is allowed", value, max)));
  return value;
}

base::Result<std::uint64_t> JsonObject::required_number(const char* key, std::uint64_t max) const {
  if (!has(key)) return std::unexpected(wrong(key, "is missing"));
  return number(key, max);
}

base::Result<const json*> JsonObject::array(const char* key, std::size_t count_max) const {
  const json* found = member(key);
  if (!found) return nullptr;
  if (!found->is_array())
    return std::unexpected(wrong(key, fmt::format("is {}; must be an array", found->type_name())));
  if (found->size() > count_max) {
    return std::unexpected(wrong(
        key, fmt::format("has {} elements; at most {} are allowed", found->size(), count_max)));
  }
  return found;
}

base::Result<std::vector<std::string>> JsonObject::texts(const char* key, std::size_t count_max,
                                                         std::size_t bytes_max) const {
  TRY(const json* found, array(key, count_max));
  std::vector<std::string> out;
  if (!found) return out;
  for (std::size_t i = 0; i < found->size(); ++i) {
    const json& element = (*found)[i];
    const auto bad = [&](std::string_view why) {
      return std::unexpected(wrong(fmt::format("{}[{}]", key, i).c_str(), why));
    };
    if (!element.is_string())
      return bad(fmt::format("is {}; must be a string", element.type_name()));
    const auto& text = element.get_ref<const std::string&>();
    if (text.size() > bytes_max)
      return bad(fmt::format("has {} bytes; at most {} are allowed", text.size(), bytes_max));
    if (text.find('\0') != std::string::npos) return bad("holds a NUL character");
    out.push_back(text);
  }
  return out;
}

base::Result<std::vector<std::string>> JsonObject::keys(const char* key,
                                                        std::size_t count_max) const {
  const json* found = member(key);
  std::vector<std::string> out;
  if (!found) return out;
  if (!found->is_object())
    return std::unexpected(wrong(key, fmt::format("is {}; must be an object", found->type_name())));
  if (found->size() > count_max) {
    return std::unexpected(wrong(
        key, fmt::format("has {} members; at most {} are allowed", found->size(), count_max)));
  }
  for (const auto& item : found->items()) {
    if (item.key().find('\0') != std::string::npos)
      return std::unexpected(wrong(key, "has a name with a NUL character"));
    out.push_back(item.key());
  }
  return out;
}

base::Result<std::vector<std::pair<std::string, std::string>>> JsonObject::pairs(
    const char* key, std::size_t count_max) const {
  TRY(const auto names, keys(key, count_max));
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& name : names) {
    const json& value = (*member(key))[name];
    if (value.is_null()) continue;
    if (!value.is_string()) {
      return std::unexpected(wrong(fmt::format("{}[\"{}\"]", key, name.substr(0, 100)).c_str(),
                                   fmt::format("is {}; must be a string", value.type_name())));
    }
    out.emplace_back(name, value.get<std::string>());
  }
  return out;
}

}  // namespace hypermesh
