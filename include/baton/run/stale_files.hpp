#pragma once
// What writers that died left in a run folder.

#include <filesystem>
#include <vector>

namespace baton::run {

/// Removes unfinished files of processes that are gone: names that this program's writers give
/// ("NAME.tmp.PID", "failure.json.HOST.PID", "step-00000012.tmp.PID") in the folders of a run, and
/// nothing else; no link is followed. To be called by the holder of the run lock before anyone
/// writes into the folder: then what bears this process's own id is left over too. Of another
/// machine's processes only this is known: the lock is free, so their run ended. Returns what was
/// removed. Never throws: what cannot be removed is logged and stays.
std::vector<std::filesystem::path> remove_stale_temporaries(
    const std::filesystem::path& run_root) noexcept;

}  // namespace baton::run
