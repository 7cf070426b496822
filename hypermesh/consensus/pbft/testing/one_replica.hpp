#pragma once

// One replica, told what others would say.

#include <gtest/gtest.h>

#include "consensus/pbft/key_signer.hpp"

namespace hypermesh::consensus::pbft::testing {

class OneReplica : public ::testing::Test {
 protected:
  /// It is the fourth of so many keys.
  explicit OneReplica(int keys) : keys_(make_keys(keys)) {
    options_.cluster = base::sha256("cluster");
  }
  /// With the records of its lives before.
  void begin(const EpochBegun& genesis, const Position& position) {
    replica_.emplace(options_, signer_, keys_[3].public_key(), recover(genesis, records_), position,
                     MonotonicTime());
    step(Tick{});
  }
  void tell(Message message) {
    step(Received{1, std::make_shared<const Message>(std::move(message))});
  }
  /// Signatures are checked at once; records are not durable before it is told.
  void step(const Input& input) {
    Outputs outputs;
    replica_->step(input, MonotonicTime(), 1, outputs);
    for (auto& output : outputs.list) {
      if (const auto* made = std::get_if<Persist>(&output)) records_.push_back(*made);
      if (const auto* wanted = std::get_if<Check>(&output)) {
        Checked checked{wanted->ticket, {}};
        for (const auto& item : wanted->items)
          checked.good.push_back(base::verify(item.key, item.bytes, item.signature));
        step(checked);
      }
      on_output(output);
    }
  }
  virtual void on_output(const Output& output) = 0;

  Options options_;
  std::vector<base::SigningKey> keys_;
  std::vector<Persist> records_;
  std::optional<Replica> replica_;

 private:
  static std::vector<base::SigningKey> make_keys(int count) {
    std::vector<base::SigningKey> keys;
    for (int i = 0; i < count; ++i)
      keys.push_back(*base::SigningKey::from_seed(base::sha256(std::to_string(i))));
    return keys;
  }

  KeySigner signer_{keys_[3]};
};

}  // namespace hypermesh::consensus::pbft::testing
