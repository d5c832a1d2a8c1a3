#pragma once
// `baton doctor [--run DIR | --dir DIR] [--json]`: looks at this machine, or under mpirun or srun
// at all machines of the world, and says what is wrong and what to do. Trains nothing and leaves
// nothing behind.

#include "baton/config/cli.hpp"

namespace baton::doctor {

/// Starts and ends the world itself: one that cannot start is a finding. Rank 0 prints. Returns 0
/// when nothing is bad, otherwise the exit code that a run would end with because of the first bad
/// finding: 5 for storage, 6 for communication. Warnings do not change it.
int run_doctor(const config::Command& command, int* argc, char*** argv);

}  // namespace baton::doctor
