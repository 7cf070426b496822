#pragma once

#include <fcntl.h>

#include <base/async/blocking_pool.hpp>

#include "runtime/images/layer_store.hpp"
#include "runtime/images/layer_unpacker.hpp"

namespace hypermesh::testing {

/// A LayerStore in this process, for tests that run as root.
class LocalLayerUnpacker final : public LayerUnpacker {
 public:
  LocalLayerUnpacker(LayerStore& store, base::BlockingPool& pool) : store_(store), pool_(pool) {}

  base::Task<base::Result<LayerRecord>> unpack(UnpackRequest request) override {
    co_return co_await pool_.run([&]() -> base::Result<LayerRecord> {
      const Fd blob(::open(request.blob_path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
      if (!blob) return base::fail_errno(errno, "cannot open " + request.blob_path);
      return store_.install(blob.get(), request.diff_id, request.parents);
    });
  }
  base::Task<base::Result<std::vector<LayerRecord>>> list() override {
    co_return co_await pool_.run([&] { return store_.list(); });
  }
  base::Task<base::Result<std::uint64_t>> remove(LayerId id) override {
    co_return co_await pool_.run([&] { return store_.remove(id); });
  }

 private:
  LayerStore& store_;
  base::BlockingPool& pool_;
};

}  // namespace hypermesh::testing
