#pragma once

// Records outside Space::User, of which the consensus layer changes some with every operation.
// Their newest values are in memory, and most reach their rows only when the tree is stored: until
// then a slot's list has them.

#include <unordered_map>
#include <vector>

#include "state/keys.hpp"
#include "state/storage.hpp"

namespace hypermesh::state {

/// What a slot did to one record.
struct RecordChange {
  enum class Kind : std::uint8_t {
    Removed = 0,
    InRow = 1,   ///< Its row has it.
    InList = 2,  ///< The list has it; its row is yet to be written.
  };
  Kind kind = Kind::Removed;
  std::string key;  ///< Full.
  Stamp created = 0;
  std::string value;  ///< Of InList.
  bool operator==(const RecordChange&) const = default;
};
void append_change(std::string& list, RecordChange::Kind kind, std::string_view full, Stamp created,
                   std::string_view value);
/// Errors: DataLoss.
base::Result<std::vector<RecordChange>> decode_changes(std::string_view list);

/// The newest values of records.
class Records {
 public:
  struct Record {
    std::string value;
    Stamp created = 0, modified = 0;
    Stamp row = 0;  ///< Of its newest row in the storage; 0: it has none.
    bool unwritten = false;
  };

  /// Null: not here.
  const Record* find(std::string_view full) const;
  void set(std::string_view full, Record record);
  void erase(std::string_view full);
  void clear();
  bool has_unwritten() const { return unwritten_ != 0; }

  /// Puts the rows that are missing. `replaced(row key, stamp)`: a row that is no longer the
  /// newest.
  void write(Storage::Batch& batch, const std::function<void(std::string, Stamp)>& replaced);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  std::unordered_map<std::string, Record, Hash, std::equal_to<>> records_;
  std::size_t bytes_ = 0, unwritten_ = 0;
};

}  // namespace hypermesh::state
