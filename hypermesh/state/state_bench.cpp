// Slots of puts on RocksDB with the tree on: what one put costs.
//
//   hypermesh_state_bench FOLDER|memory [keys] [slots] [puts a slot]
//   hypermesh_state_bench transfer [keys] [value bytes]   what 1 % of changed keys costs to fetch

#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "at_rest/testing/fixed_key_cipher.hpp"
#include "state/machine.hpp"
#include "state/memory_storage.hpp"
#include "state/rocksdb_storage.hpp"
#include "state/transfer_fetcher.hpp"
#include "state/transfer_source.hpp"
#include "state/view.hpp"

namespace {

using namespace hypermesh::state;

double cpu_seconds(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Counts the time below the machine.
class Timed final : public Storage {
 public:
  explicit Timed(Storage& storage) : storage_(storage) {}
  base::Result<std::optional<std::string>> get(std::string_view key) const override {
    ++gets;
    const Span span(get_seconds);
    return storage_.get(key);
  }
  base::Result<> scan(std::string_view from, std::string_view end,
                      const Visit& visit) const override {
    const Span span(get_seconds);
    return storage_.scan(from, end, visit);
  }
  std::unique_ptr<Reader> snapshot() const override { return storage_.snapshot(); }
  base::Result<> write(const Batch& batch) override {
    for (const auto& [key, value] : batch.writes) {
      ++(value ? puts : removes);
      bytes += key.size() + (value ? value->size() : 0);
    }
    const Span span(write_seconds);
    return storage_.write(batch);
  }
  base::Result<> flush() override { return storage_.flush(); }
  base::Result<> reopen() override { return storage_.reopen(); }

  mutable std::uint64_t gets = 0;
  std::uint64_t puts = 0, removes = 0, bytes = 0;
  mutable double get_seconds = 0, write_seconds = 0;

 private:
  struct Span {
    explicit Span(double& sum) : sum(sum), begin(cpu_seconds(RUSAGE_THREAD)) {}
    ~Span() { sum += cpu_seconds(RUSAGE_THREAD) - begin; }
    double& sum;
    double begin;
  };
  Storage& storage_;
};

// What the storage alone takes for the values alone.
bool measure_floor(Storage& storage, std::uint64_t keys, std::uint64_t slots,
                   std::uint64_t per_slot) {
  base::SeededRng rng(2);
  const double begin = cpu_seconds(RUSAGE_THREAD);
  for (std::uint64_t slot = 0; slot < slots; ++slot) {
    Storage::Batch batch;
    for (std::uint64_t i = 0; i < per_slot; ++i)
      batch.put(fmt::format("floor/{:016x}", rng.below(keys) * 0x9e3779b97f4a7c15),
                std::string(256, 'v'));
    if (!storage.write(batch)) return false;
  }
  const double puts = static_cast<double>(slots * per_slot);
  fmt::print("values alone, no tree, no history: {:.1f} CPU us a put\n",
             (cpu_seconds(RUSAGE_THREAD) - begin) / puts * 1e6);
  Storage::Batch clean;
  clean.delete_ranges.emplace_back("floor/", "floor0");
  return storage.write(clean).has_value();
}

// Gets of random keys, some from each view.
bool measure_reads(const Storage& storage, std::uint64_t keys) {
  base::SeededRng rng(3);
  for (const std::uint64_t from_view : {1u, 64u}) {
    constexpr std::uint64_t kReads = 100'000;
    const double begin = cpu_seconds(RUSAGE_THREAD);
    for (std::uint64_t i = 0; i < kReads; i += from_view) {
      const auto view = View::of(storage);
      if (!view) return false;
      for (std::uint64_t k = 0; k < from_view; ++k) {
        const auto value =
            view->get(fmt::format("/bench/{:016x}", rng.below(keys) * 0x9e3779b97f4a7c15));
        if (!value || !*value) return false;
      }
    }
    fmt::print("{} gets from each view: {:.2f} CPU us a get\n", from_view,
               (cpu_seconds(RUSAGE_THREAD) - begin) / kReads * 1e6);
  }
  return true;
}

int run(const std::filesystem::path& folder, std::uint64_t keys, std::uint64_t slots,
        std::uint64_t per_slot) {
  hypermesh::at_rest::FixedKeyCipher cipher;
  std::unique_ptr<Storage> below;
  if (folder == "memory") {
    below = std::make_unique<MemoryStorage>();
  } else {
    auto opened = open_rocksdb_storage(
        folder, {.cache_bytes = 256u << 20, .write_buffer_bytes = 32u << 20}, cipher, {});
    if (!opened) return 1;
    below = std::move(*opened);
  }
  if (!measure_floor(*below, keys, slots, per_slot)) return 1;
  Timed storage(*below);
  auto machine = Machine::open(storage, {.tree_cache_bytes = 128u << 20});
  if (!machine) return 1;
  base::SeededRng rng(1);
  Slot slot = (*machine)->applied();
  const auto life = [&](const char* what, std::uint64_t count, bool fill) {
    storage.gets = storage.puts = storage.removes = storage.bytes = 0;
    storage.get_seconds = storage.write_seconds = 0;
    const double thread = cpu_seconds(RUSAGE_THREAD), process = cpu_seconds(RUSAGE_SELF);
    const auto begin = std::chrono::steady_clock::now();
    std::string value(256, 'v');
    std::uint64_t next = 0;
    double checkpoints = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      std::vector<Operation> operations;
      for (std::uint64_t k = 0; k < per_slot; ++k) {
        rng.fill(std::span(reinterpret_cast<std::uint8_t*>(value.data()), 16));
        const std::uint64_t key = fill ? next++ : rng.below(keys);
        operations.push_back(
            {.action = Transaction{
                 {}, {{fmt::format("/bench/{:016x}", key * 0x9e3779b97f4a7c15), value}}}});
      }
      ++slot;
      if (!(*machine)->apply(slot, slot, operations)) return false;
      if (slot % 1000 == 0) {
        const double at = cpu_seconds(RUSAGE_SELF);
        if (!(*machine)->checkpoint() || !(*machine)->flush()) return false;
        checkpoints += cpu_seconds(RUSAGE_SELF) - at;
      }
    }
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const double puts = static_cast<double>(count * per_slot);
    const auto per = [&](double sum) { return sum / puts * 1e6; };
    fmt::print(
        "{}: {:.0f} puts/s; CPU us a put: {:.1f} in all, {:.1f} applying (reads {:.1f}, writes "
        "{:.1f}), {:.1f} at checkpoints; a put reads {:.2f} records, writes {:.2f} and removes "
        "{:.2f}, {:.0f} bytes\n",
        what, puts / seconds, per(cpu_seconds(RUSAGE_SELF) - process),
        per(cpu_seconds(RUSAGE_THREAD) - thread), per(storage.get_seconds),
        per(storage.write_seconds), per(checkpoints), static_cast<double>(storage.gets) / puts,
        static_cast<double>(storage.puts) / puts, static_cast<double>(storage.removes) / puts,
        static_cast<double>(storage.bytes) / puts);
    return true;
  };
  if (slot == 0 && !life("fill", keys / per_slot, true)) return 1;
  for (int round = 0; round < 3; ++round) {
    if (!life("random puts", slots, false)) return 1;
  }
  return measure_reads(storage, keys) ? 0 : 1;
}

int transfer(std::uint64_t keys, std::uint64_t value_bytes) {
  struct Replica {
    MemoryStorage storage;
    std::unique_ptr<Machine> machine =
        *Machine::open(storage, {.history_revisions_max = 10, .tree_cache_bytes = 1u << 30});
  };
  Replica ahead, behind;
  base::SeededRng rng(1);
  Slot slot = 0;
  const auto put = [&](std::uint64_t from, std::uint64_t count, bool random, bool both) {
    Transaction transaction;
    for (std::uint64_t i = 0; i < count; ++i) {
      Write write{
          fmt::format("/bench/{:016x}", random ? rng.below(keys / count) * count + i : from + i),
          std::string(value_bytes, 'v')};
      rng.fill(std::span(reinterpret_cast<std::uint8_t*>(write.value->data()), 16));
      transaction.writes.push_back(std::move(write));
    }
    const Operation operation{.action = std::move(transaction)};
    ++slot;
    return ahead.machine->apply(slot, slot, std::span(&operation, 1)).has_value() &&
           (!both || behind.machine->apply(slot, slot, std::span(&operation, 1)).has_value());
  };
  const std::uint64_t each = std::min<std::uint64_t>(500, (3u << 20) / value_bytes);
  for (std::uint64_t key = 0; key < keys; key += each)
    if (!put(key, each, false, true)) return 1;
  std::uint64_t changed = 0;
  for (; changed < keys / 100; changed += each)
    if (!put(0, each, true, false)) return 1;
  const auto checkpoint = ahead.machine->checkpoint();
  if (!checkpoint || !behind.machine->flush()) return 1;
  const double begin = cpu_seconds(RUSAGE_SELF);
  auto fetcher = Fetcher::start(behind.storage, {checkpoint->slot, checkpoint->tree.root}, {});
  const auto view = View::of(ahead.storage);
  while (fetcher && !(*fetcher)->complete()) {
    const auto requests = (*fetcher)->next_requests();
    if (!requests) return 1;
    for (const auto& request : *requests) {
      const auto answer = answer_transfer(*view, *decode_transfer_request(request.bytes));
      if (!answer || !(*fetcher)->on_answer(request.id, encode(*answer))) return 1;
    }
  }
  if (!(*fetcher)->finish() || !behind.machine->reload()) return 1;
  const auto& progress = (*fetcher)->progress();
  const double difference = static_cast<double>(changed * (value_bytes + 23));
  fmt::print(
      "{} keys of {} bytes, {} changed: {:.2f} MB asked and {:.2f} MB received for a difference of "
      "{:.2f} MB (ratio {:.2f}), {} leaves, {:.2f} CPU s at both ends; roots {}\n",
      keys, value_bytes, changed, static_cast<double>(progress.bytes_asked) / 1e6,
      static_cast<double>(progress.bytes_received) / 1e6, difference / 1e6,
      static_cast<double>(progress.bytes_asked + progress.bytes_received) / difference,
      progress.leaves, cpu_seconds(RUSAGE_SELF) - begin,
      behind.machine->root().value() == ahead.machine->root().value() ? "agree" : "DIFFER");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: {} FOLDER|memory [keys] [slots] [puts a slot]\n", argv[0]);
    return 2;
  }
  const auto number = [&](int index, std::uint64_t otherwise) {
    return argc > index ? std::strtoull(argv[index], nullptr, 10) : otherwise;
  };
  if (std::string_view(argv[1]) == "transfer") return transfer(number(2, 250'000), number(3, 4096));
  return run(argv[1], number(2, 1'000'000), number(3, 1000), number(4, 100));
}
