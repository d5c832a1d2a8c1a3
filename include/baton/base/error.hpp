#pragma once
// Errors that end the work. Every error a user can cause is one `Error` that says what happened,
// where, what was expected, what was found and what to do; its kind decides the process's exit
// code. What only we can cause is BATON_ASSERT, an internal error (exit code 70).

#include <source_location>
#include <stdexcept>
#include <string>

namespace baton::base {

enum class ErrorKind {
  kUsage,          // exit 2: command line, config, a run folder that belongs to other settings
  kData,           // exit 3: task files
  kModel,          // exit 4: model folder, tokenizer, expert or checkpoint file
  kStorage,        // exit 5: no space, quota, permission
  kCommunication,  // exit 6: MPI, NCCL, a lost rank
  kNonFinite,      // exit 7: loss or gradient is not finite
  kHang,           // exit 8: no progress within the time limit
  kStopped,        // exit 75: asked to stop, state saved
  kInternal        // exit 70: our own bug
};

/// The process exit code of a kind.
int exit_code(ErrorKind kind) noexcept;

/// A short lower-case name of a kind ("usage", "data", ...), as written into status.json.
const char* kind_name(ErrorKind kind) noexcept;

/// The inverse of kind_name; unknown names give kInternal.
ErrorKind kind_from_name(const std::string& name) noexcept;

/// The parts of a message beyond its first sentence. Empty parts are not shown.
struct ErrorDetails {
  std::string where = {};  // file and line, tensor name, config key
  std::string expected = {};
  std::string found = {};
  std::string fix = {};  // what the reader can do now
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& what_happened, ErrorDetails details = {});

  ErrorKind kind() const noexcept { return kind_; }
  const std::string& summary() const noexcept { return summary_; }
  const ErrorDetails& details() const noexcept { return details_; }

 private:
  ErrorKind kind_;
  std::string summary_;
  ErrorDetails details_;
};

/// The exception being handled as an Error; what is none of ours becomes kInternal. Call inside a
/// catch block only.
Error current_error();

/// Throws the internal error of a broken promise of ours.
[[noreturn]] void fail_assertion(const char* expression,
                                 const std::string& values,
                                 std::source_location place = std::source_location::current());

}  // namespace baton::base

// Checked in every build. For our own mistakes only; `values` is any std::string expression.
#define BATON_ASSERT(condition, values)                    \
  do {                                                     \
    if (!(condition)) {                                    \
      ::baton::base::fail_assertion(#condition, (values)); \
    }                                                      \
  } while (false)
