#pragma once

#include "process/launch.hpp"

namespace nexus::process {

/// Descriptors that a helper process is started with, after its standard ones.
inline constexpr int kLaunchFd = 3;  ///< A memory file that holds the Launch.
/// A pipe. Closed without a word: the program runs; else it holds a StartFailure.
inline constexpr int kReportFd = 4;
inline constexpr int kLockFd = 5;  ///< The lock of the attempt, held.

/// Errors: DataLoss.
base::Result<Launch> read_launch();
void report(const StartFailure& failure);

/// Turns this process, which has one thread, into the program: a session of its own, that dies with
/// `parent`. Reports and ends the process when it cannot. Every other descriptor than the standard
/// ones is marked to be closed.
[[noreturn]] void become(const Launch& launch, std::int32_t parent);

}  // namespace nexus::process
