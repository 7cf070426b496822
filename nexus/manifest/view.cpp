#include "manifest/view.hpp"

#include <utility>

namespace nexus::manifest {

View View::operator[](std::string_view key) const {
  if (!is_object()) return {nullptr, path_.key(key)};
  const auto found = json_->find(key);
  return {found == json_->end() ? nullptr : &*found, path_.key(key)};
}

std::vector<View> View::items() const {
  std::vector<View> all;
  if (!present() || !json_->is_array()) return all;
  for (std::size_t i = 0; i < json_->size(); ++i) all.emplace_back(&(*json_)[i], path_.index(i));
  return all;
}

std::vector<std::string_view> View::keys() const {
  std::vector<std::string_view> all;
  if (!is_object()) return all;
  for (const auto& member : json_->items()) all.emplace_back(member.key());
  return all;
}

std::string_view View::text(std::string_view otherwise) const {
  return is_string() ? std::string_view(json_->get_ref<const std::string&>()) : otherwise;
}

std::optional<std::int64_t> View::integer() const {
  if (!present() || !json_->is_number_integer()) return std::nullopt;
  return json_->get<std::int64_t>();
}

bool View::truth(bool otherwise) const {
  return present() && json_->is_boolean() ? json_->get<bool>() : otherwise;
}

std::optional<Quantity> View::amount() const {
  if (!is_string()) return std::nullopt;
  auto parsed = Quantity::parse(text());
  if (!parsed) return std::nullopt;
  return *parsed;
}

Problem Report::make(const FieldPath& path, Reason reason, std::string message,
                     std::vector<std::string> hints) const {
  Problem problem{.reason = reason,
                  .field = path.text(),
                  .message = std::move(message),
                  .hints = std::move(hints)};
  problem.file = file_;
  if (positions_) problem.position = positions_->nearest(path).key;
  return problem;
}

void Report::error(const FieldPath& path, Reason reason, std::string message,
                   std::vector<std::string> hints) {
  if (errors_.size() < kProblemsKeptMax) {
    errors_.push_back(make(path, reason, std::move(message), std::move(hints)));
  }
}

void Report::note(const FieldPath& path, std::string message, std::vector<std::string> hints) {
  if (notes_.size() < kProblemsKeptMax) {
    notes_.push_back(make(path, Reason::Note, std::move(message), std::move(hints)));
  }
}

std::string_view Report::plain_text(const FieldPath& path) const {
  const PositionTree* place = positions_ ? positions_->find(path) : nullptr;
  return place ? std::string_view(place->plain) : std::string_view();
}

std::vector<Problem> Report::take_errors() {
  sort_by_position(errors_);
  return std::exchange(errors_, {});
}

std::vector<Problem> Report::take_notes() {
  sort_by_position(notes_);
  return std::exchange(notes_, {});
}

}  // namespace nexus::manifest
