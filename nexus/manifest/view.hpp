#pragma once

// Reading a JSON value that may have any shape, and saying what is wrong with it. Private to
// admission.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/label_selector.hpp"
#include "manifest/position_tree.hpp"
#include "manifest/problem.hpp"
#include "manifest/quantity.hpp"

namespace nexus::manifest {

using Json = nlohmann::json;

/// A value and where it stands. What is absent or of another type reads as absent: the structural
/// check has complained already. Borrows the object.
class View {
 public:
  View(const Json* json, FieldPath path) : json_(json), path_(std::move(path)) {}

  View operator[](std::string_view key) const;
  /// Elements of a list; none when it is not one.
  std::vector<View> items() const;
  /// Keys of an object in order.
  std::vector<std::string_view> keys() const;

  bool present() const { return json_ != nullptr && !json_->is_null(); }
  bool is_object() const { return present() && json_->is_object(); }
  bool is_string() const { return present() && json_->is_string(); }
  std::string_view text(std::string_view otherwise = {}) const;
  std::optional<std::int64_t> integer() const;
  bool truth(bool otherwise = false) const;
  std::optional<Quantity> amount() const;
  std::size_t size() const { return present() ? json_->size() : 0; }
  const Json& json() const { return *json_; }
  const FieldPath& path() const { return path_; }

 private:
  const Json* json_;
  FieldPath path_;
};

/// Collects problems with their places.
class Report {
 public:
  Report(const PositionTree* positions, std::string_view file)
      : positions_(positions), file_(file) {}

  void error(const FieldPath& path, Reason reason, std::string message,
             std::vector<std::string> hints = {});
  void note(const FieldPath& path, std::string message, std::vector<std::string> hints = {});
  void required(const View& view, std::string message = "is required",
                std::vector<std::string> hints = {}) {
    error(view.path(), Reason::Required, std::move(message), std::move(hints));
  }
  void invalid(const View& view, std::string message, std::vector<std::string> hints = {}) {
    error(view.path(), Reason::Invalid, std::move(message), std::move(hints));
  }
  void forbidden(const View& view, std::string message, std::vector<std::string> hints = {}) {
    error(view.path(), Reason::Forbidden, std::move(message), std::move(hints));
  }
  void unsupported(const View& view, std::string message, std::vector<std::string> hints = {}) {
    error(view.path(), Reason::Unsupported, std::move(message), std::move(hints));
  }
  /// How a value was written in the file when it is a plain scalar, else empty.
  std::string_view plain_text(const FieldPath& path) const;

  /// Further errors are dropped: spare the work of explaining them.
  bool is_full() const { return errors_.size() >= kProblemsKeptMax; }

  std::vector<Problem> take_errors();
  std::vector<Problem> take_notes();

 private:
  Problem make(const FieldPath& path, Reason reason, std::string message,
               std::vector<std::string> hints) const;

  const PositionTree* positions_;
  std::string_view file_;
  std::vector<Problem> errors_, notes_;
};

}  // namespace nexus::manifest
