#pragma once
// Which build of the program this process runs, so that ranks with different ones are found out.

#include <string>

namespace baton::base {

/// "0.1.0 3f9a0c417be2d865": `version` and the first 16 hexadecimal digits of the SHA-256 of this
/// process's own executable file. kStorage when that cannot be read.
std::string build_identity(const std::string& version);

}  // namespace baton::base
