#include "baton/base/error.hpp"

#include <array>
#include <new>
#include <utility>

#include "baton/base/text.hpp"

namespace baton::base {

namespace {

struct KindFacts {
  ErrorKind kind;
  int exit_code;
  const char* name;
};

constexpr std::array<KindFacts, 9> kKinds{{
    {ErrorKind::kUsage, 2, "usage"},
    {ErrorKind::kData, 3, "data"},
    {ErrorKind::kModel, 4, "model"},
    {ErrorKind::kStorage, 5, "storage"},
    {ErrorKind::kCommunication, 6, "communication"},
    {ErrorKind::kNonFinite, 7, "non-finite"},
    {ErrorKind::kHang, 8, "hang"},
    {ErrorKind::kStopped, 75, "stopped"},
    {ErrorKind::kInternal, 70, "internal"},
}};

const KindFacts& facts_of(ErrorKind kind) noexcept {
  for (const KindFacts& facts : kKinds) {
    if (facts.kind == kind) {
      return facts;
    }
  }
  return kKinds.back();
}

std::string compose(const std::string& what_happened, const ErrorDetails& details) {
  std::string text = printable(what_happened);
  const auto add = [&text](const char* label, const std::string& value) {
    if (!value.empty()) {
      text += "\n  ";
      text += label;
      text += printable(value);
    }
  };
  add("where:    ", details.where);
  add("expected: ", details.expected);
  add("found:    ", details.found);
  add("what to do: ", details.fix);
  return text;
}

}  // namespace

int exit_code(ErrorKind kind) noexcept {
  return facts_of(kind).exit_code;
}

const char* kind_name(ErrorKind kind) noexcept {
  return facts_of(kind).name;
}

ErrorKind kind_from_name(const std::string& name) noexcept {
  for (const KindFacts& facts : kKinds) {
    if (name == facts.name) {
      return facts.kind;
    }
  }
  return ErrorKind::kInternal;
}

Error::Error(ErrorKind kind, const std::string& what_happened, ErrorDetails details)
    : std::runtime_error(compose(what_happened, details)),
      kind_(kind),
      summary_(what_happened),
      details_(std::move(details)) {}

Error current_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(
        ErrorKind::kInternal, "out of memory",
        {.fix = "lower train.micro_batch_size, eval.eval_batch_size or the ranks on this machine"});
  } catch (const std::exception& error) {
    return Error(ErrorKind::kInternal, error.what());
  } catch (...) {
    return Error(ErrorKind::kInternal, "an exception of an unknown type");
  }
}

void fail_assertion(const char* expression, const std::string& values, std::source_location place) {
  throw Error(ErrorKind::kInternal,
              "a promise inside the program was broken: " + std::string(expression),
              {.where = std::string(place.file_name()) + ":" + std::to_string(place.line()),
               .expected = "",
               .found = values,
               .fix = "this is a bug of the program; please report it with this message"});
}

}  // namespace baton::base
