#pragma once
// Where a result was made: facts of the machine, for records outside fingerprints.

#include <cstdint>
#include <string>

namespace baton::device {

/// "localhost" where the machine has no name.
std::string host_name();

/// The time now, e.g. "2026-01-31T12:00:00Z".
std::string utc_time();
/// The same as seconds since 1970.
double utc_seconds();

/// The vector extensions of this CPU that can change floating-point results, in a fixed order, e.g.
/// "x86_64 avx2 fma avx512f avx512_bf16 amx_bf16".
std::string instruction_set();

/// The same from the text of a /proc/cpuinfo.
std::string instruction_set_of(const std::string& cpuinfo, const std::string& machine);

/// An id that is the same for all restarts of one batch job ("" outside of one): SLURM_JOB_ID.
std::string batch_job_id();

/// When a process of this machine began (in clock ticks since boot), 0 if there is none of this id.
std::uint64_t process_start(std::int64_t pid);

}  // namespace baton::device
