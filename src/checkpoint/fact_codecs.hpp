#pragma once
// Visitors of a struct's fields (baton/base/wire.hpp): attributes of an HDF5 file, one a field under
// its name, written and read, and the canonical form for the SHA-256 of a file's content. A list of
// structs of numbers is one attribute, the numbers of one element after those of the other; an
// identity is what write_identity makes of it.

#include <concepts>
#include <cstdint>
#include <string>
#include <vector>

#include "baton/base/wire.hpp"
#include "baton/checkpoint/file_parts.hpp"
#include "baton/checkpoint/h5_file.hpp"
#include "baton/expert/expert_state.hpp"
#include "content_digest.hpp"

namespace baton::checkpoint {

/// The numbers of a list of structs, one element after the other.
template <base::HasFields T>
std::vector<double> flat_numbers(const std::vector<T>& list) {
  std::vector<double> numbers;
  for (const T& element : list) {
    T::fields(element, [&](const char* /*name*/, double number) { numbers.push_back(number); });
  }
  return numbers;
}

class FactWriter {
 public:
  explicit FactWriter(H5File& file) : file_(file) {}

  void operator()(const char* name, const std::string& value) const { file_.set_text(name, value); }
  void operator()(const char* name, std::int64_t value) const { file_.set_int(name, value); }
  void operator()(const char* name, std::uint64_t value) const { file_.set_unsigned(name, value); }
  void operator()(const char* name, double value) const { file_.set_real(name, value); }
  void operator()(const char* name, const std::vector<std::string>& value) const {
    file_.set_texts(name, value);
  }
  void operator()(const char* name, const std::vector<std::int64_t>& value) const {
    file_.set_ints(name, value);
  }
  template <base::HasFields T>
  void operator()(const char* name, const std::vector<T>& value) const {
    file_.set_reals(name, flat_numbers(value));
  }
  void operator()(const char* /*name*/, const expert::Identity& value) const {
    write_identity(file_, value);
  }

 private:
  H5File& file_;
};

class FactReader {
 public:
  explicit FactReader(const H5File& file) : file_(file) {}

  void operator()(const char* name, std::string& value) const { value = file_.text(name); }
  void operator()(const char* name, std::int64_t& value) const { value = file_.integer(name); }
  void operator()(const char* name, std::uint64_t& value) const {
    value = file_.unsigned_integer(name);
  }
  void operator()(const char* name, double& value) const { value = file_.real(name); }
  void operator()(const char* name, std::vector<std::string>& value) const {
    value = file_.texts(name);
  }
  void operator()(const char* name, std::vector<std::int64_t>& value) const {
    value = file_.integers(name);
  }
  template <base::HasFields T>
  void operator()(const char* name, std::vector<T>& value) const {
    const std::vector<double> numbers = file_.reals(name);
    const std::size_t size = flat_numbers(std::vector<T>(1)).size();
    if (numbers.size() % size != 0) {
      refuse_content(file_.path(), std::string("attribute ") + name,
                     std::to_string(size) + " numbers an element",
                     std::to_string(numbers.size()) + " numbers");
    }
    value.assign(numbers.size() / size, {});
    std::size_t next = 0;
    for (T& element : value) {
      T::fields(element, [&](const char* /*name*/, double& number) { number = numbers[next++]; });
    }
  }
  void operator()(const char* /*name*/, expert::Identity& value) const {
    value = read_identity(file_);
  }

 private:
  const H5File& file_;
};

/// A list is its elements, each under the list's name.
class FactDigest {
 public:
  explicit FactDigest(ContentDigest& digest) : digest_(digest) {}

  void operator()(const char* name, const std::string& value) const { digest_.add(name, value); }
  void operator()(const char* name, std::int64_t value) const { digest_.add_int(name, value); }
  void operator()(const char* name, std::uint64_t value) const {
    digest_.add_unsigned(name, value);
  }
  void operator()(const char* name, double value) const { digest_.add_real(name, value); }
  template <typename T>
  void operator()(const char* name, const std::vector<T>& list) const {
    if constexpr (base::HasFields<T>) {
      (*this)(name, flat_numbers(list));
    } else {
      for (const T& element : list) {
        (*this)(name, element);
      }
    }
  }
  void operator()(const char* name, const expert::Identity& value) const {
    for (const auto& [fact, text] : value.facts()) {
      digest_.add(std::string(name) + " " + fact, text);
    }
  }

 private:
  ContentDigest& digest_;
};

}  // namespace baton::checkpoint
