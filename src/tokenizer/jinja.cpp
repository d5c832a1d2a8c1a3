#include "jinja.hpp"

#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <vector>

#include <minja/minja.hpp>

namespace baton::tokenizer {
namespace {

using minja::ArgumentsValue;
using minja::Context;
using minja::Value;

constexpr std::size_t kMaxTemplateBytes = std::size_t{64} << 10;
constexpr int kMaxTags = 400;
constexpr std::size_t kMaxTagBytes = 512;  // string literals aside
constexpr std::int64_t kMaxRange = 4096;

// Behind a string literal that begins at `position`, or the end of the text.
std::size_t behind_literal(std::string_view source, std::size_t position) {
  const char quote = source[position];
  for (++position; position < source.size() && source[position] != quote; ++position) {
    position += source[position] == '\\' ? 1U : 0U;
  }
  return position + 1;
}

// The engine goes down one level of the stack for each operator and block, and reads a tag in time
// that grows with its square. Published templates have up to 290 tags of up to 180 bytes.
std::string_view fault_of_size(std::string_view source) {
  int num_tags = 0;
  for (std::size_t i = 0; i + 1 < source.size(); ++i) {
    if (source[i] != '{' || (source[i + 1] != '{' && source[i + 1] != '%')) {
      continue;
    }
    const std::string_view close = source[i + 1] == '{' ? "}}" : "%}";
    std::size_t size = 0;
    for (i += 2; i < source.size() && source.substr(i, 2) != close; ++size) {
      i = source[i] == '"' || source[i] == '\'' ? behind_literal(source, i) : i + 1;
    }
    if (++num_tags > kMaxTags || size > kMaxTagBytes) {
      return num_tags > kMaxTags ? "it has more than 400 tags" : "one of its tags is too long";
    }
  }
  return {};
}

Value bounded_range(const std::shared_ptr<Context>& /*context*/, ArgumentsValue& arguments) {
  std::vector<std::int64_t> numbers;
  for (const Value& argument : arguments.args) {
    numbers.push_back(argument.get<std::int64_t>());
  }
  if (numbers.empty() || numbers.size() > 3) {
    throw std::runtime_error("range() takes one to three numbers");
  }
  const std::int64_t begin = numbers.size() > 1 ? numbers[0] : 0;
  const std::int64_t end = numbers.size() > 1 ? numbers[1] : numbers[0];
  const std::int64_t step = numbers.size() > 2 ? numbers[2] : 1;
  Value result = Value::array();
  if (step == 0) {
    throw std::runtime_error("range() with a step of 0");
  }
  std::int64_t count = 0;
  for (std::int64_t i = begin; step > 0 ? i < end : i > end; i += step) {
    if (++count > kMaxRange) {
      throw std::runtime_error("range() is longer than a chat template may ask for");
    }
    result.push_back(Value(i));
  }
  return result;
}

// The first line says what; the others repeat the template.
std::string first_line(const std::exception& failure) {
  const std::string_view text(failure.what());
  return std::string(text.substr(0, text.find('\n')));
}

std::string fault_of(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    return "it is longer than 64 KiB";
  }
  if (source.find("macro") != std::string_view::npos) {  // one that calls itself has no end
    return "it has macros, which are not run";
  }
  return std::string(fault_of_size(source));
}

}  // namespace

JinjaTemplate::JinjaTemplate(std::string_view source) : error_(fault_of(source)) {
  if (!error_.empty()) {
    return;
  }
  const minja::Options options{
      .trim_blocks = true, .lstrip_blocks = true, .keep_trailing_newline = false};
  try {
    root_ = minja::Parser::parse(std::string(source), options);
  } catch (const std::exception& failure) {
    error_ = first_line(failure);
  }
}

JinjaResult JinjaTemplate::render(std::span<const Message> conversation,
                                  const JinjaTokens& tokens) const {
  if (root_ == nullptr) {
    return {.text = "", .error = error_};
  }
  auto messages = nlohmann::ordered_json::array();
  for (const Message& message : conversation) {
    messages.push_back({{"role", message.role}, {"content", message.text}});
  }
  const nlohmann::ordered_json values = {{"messages", messages},
                                         {"add_generation_prompt", true},
                                         {"bos_token", tokens.bos},
                                         {"eos_token", tokens.eos}};
  try {
    const auto context = Context::make(Value(values));
    context->set("range", Value::callable(bounded_range));
    return {.text = root_->render(context), .error = ""};
  } catch (const std::exception& failure) {
    return {.text = "", .error = first_line(failure)};
  }
}

}  // namespace baton::tokenizer
