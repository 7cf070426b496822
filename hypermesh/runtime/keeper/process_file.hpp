#pragma once

#include "runtime/core/oci_spec.hpp"
#include "runtime/core/wire.hpp"
#include "runtime/keeper/os.hpp"

namespace hypermesh::keeper {

template <>
struct Members<OciProcess> {
  static auto of(auto& v) {
    return std::tie(v.args, v.env, v.cwd, v.uid, v.gid, v.groups, v.capabilities,
                    v.no_new_privileges, v.terminal, v.rows, v.columns, v.files_soft, v.files_hard);
  }
};

/// How a container's process was started, kept in memory files for exec: environments hold secrets.
inline base::Result<> write_process_file(const std::string& path, const OciProcess& process) {
  return write_whole(path, encode(process));
}
inline base::Result<OciProcess> read_process_file(const std::string& path) {
  constexpr std::size_t kBytesMax = 64u << 20;
  TRY(const std::string bytes, read_file(path, kBytesMax));
  return decode<OciProcess>(base::as_bytes(bytes));
}

}  // namespace hypermesh::keeper
