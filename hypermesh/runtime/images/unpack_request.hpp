#pragma once

// What run_unpacker tells the program, and the numbers of the descriptors that it leaves open.

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/images/unpack_limits.hpp"
#include "runtime/images/unpack_report.hpp"

namespace hypermesh {

inline constexpr int kUnpackBlobFd = 0;
inline constexpr int kUnpackOutcomeFd = 1;  ///< A pipe.
inline constexpr int kUnpackRequestFd = 3;
inline constexpr int kUnpackTargetFd = 4;
inline constexpr int kUnpackParentsFd = 5;  ///< The first of as many as the request says.

struct UnpackerRequest {
  std::uint32_t id_base = 0;
  ContentDigest diff_id;
  UnpackLimits limits;
  std::vector<std::vector<std::string>> parents;  ///< Opaque folders of each.
};

base::Bytes encode_unpacker_request(const UnpackerRequest& request);
base::Result<UnpackerRequest> decode_unpacker_request(base::BytesView bytes);

}  // namespace hypermesh
