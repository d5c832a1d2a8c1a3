#include "template_form.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace baton::tokenizer {
namespace {

constexpr const char* kQwenSystem =
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
// The message that the makers of Llama 2 gave it first, and took back later.
constexpr const char* kLlama2System =
    "You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, "
    "while being safe.  Your answers should not include any harmful, unethical, racist, sexist, "
    "toxic, dangerous, or illegal content. Please ensure that your responses are socially unbiased "
    "and positive in nature.\n\nIf a question does not make any sense, or is not factually "
    "coherent, explain why instead of answering something not correct. If you don't know the "
    "answer to a question, please don't share false information.";
constexpr const char* kAlpacaSystem =
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request.";
// The day is the one that the template itself falls back on: a prompt must not change overnight.
constexpr const char* kLlama31Dates =
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";

// Every role alike: <|im_start|>role, text, <|im_end|>.
TemplateForm chatml(std::string name) {
  const auto turn = [](const char* role) {
    return Turn{fmt::format("<|im_start|>{}\n", role), "<|im_end|>\n"};
  };
  return {.name = std::move(name),
          .begin = "",
          .system = turn("system"),
          .user = turn("user"),
          .assistant = turn("assistant"),
          .answer_start = turn("assistant").before,
          .end_of_answer = "<|im_end|>",
          .special_tokens = {"<|im_start|>", "<|im_end|>"}};
}

TemplateForm chatml_of_any_system() {
  TemplateForm form = chatml("chatml");
  form.has_any_default_system = true;
  return form;
}

TemplateForm qwen() {
  TemplateForm form = chatml("qwen");
  form.default_system = kQwenSystem;
  return form;
}

// The last " [/INST]" is all that asks for an answer. BOS opens every turn of the user.
TemplateForm llama2() {
  return {.name = "llama2",
          .begin = "",
          .system_place = SystemPlace::kFirstUserTurn,
          .system = {"<s>[INST] <<SYS>>\n", "\n<</SYS>>\n\n"},
          .user = {"<s>[INST] ", " [/INST]"},
          .assistant = {" ", " </s>"},
          .trims_texts = true,
          .end_of_answer = "</s>",
          .special_tokens = {"<s>", "</s>"}};
}

TemplateForm llama2_system() {
  TemplateForm form = llama2();
  form.name = "llama2_system";
  form.default_system = kLlama2System;
  return form;
}

TemplateForm llama3() {
  const auto turn = [](const char* role) {
    return Turn{fmt::format("<|start_header_id|>{}<|end_header_id|>\n\n", role), "<|eot_id|>"};
  };
  return {.name = "llama3",
          .begin = "<|begin_of_text|>",
          .system = turn("system"),
          .user = turn("user"),
          .assistant = turn("assistant"),
          .answer_start = turn("assistant").before,
          .trims_texts = true,
          .end_of_answer = "<|eot_id|>",
          .special_tokens = {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
                             "<|eot_id|>"}};
}

TemplateForm llama3_1() {
  TemplateForm form = llama3();
  form.name = "llama3_1";
  form.system.before += kLlama31Dates;
  form.default_system = "";
  return form;
}

// Mistral 7B Instruct 0.1 and 0.2, Mixtral.
TemplateForm mistral() {
  return {.name = "mistral",
          .begin = "<s>",
          .system_place = SystemPlace::kFirstUserTurn,
          .system = {" [INST] ", "\n\n"},
          .user = {" [INST] ", " [/INST]"},
          .assistant = {" ", "</s>"},
          .end_of_answer = "</s>",
          .special_tokens = {"<s>", "</s>"}};
}

// The same as its first files had it.
TemplateForm mistral_first() {
  TemplateForm form = mistral();
  form.name = "mistral_first";
  form.system.before = form.user.before = "[INST] ";
  form.assistant.before = "";
  return form;
}

// Mistral 7B Instruct 0.3.
TemplateForm mistral_v3() {
  TemplateForm form = mistral();
  form.name = "mistral_v3";
  form.system_place = SystemPlace::kLastUserTurn;
  form.system.before = form.user.before = "[INST] ";
  form.user.after = "[/INST]";
  return form;
}

// Mistral Nemo and others with the vocabulary called tekken.
TemplateForm mistral_tekken() {
  TemplateForm form = mistral_v3();
  form.name = "mistral_tekken";
  form.system.before = form.user.before = "[INST]";
  form.assistant.before = "";
  return form;
}

// Gemma 2 has no system message; Gemma 3 puts it before the first text, which is what happens here.
TemplateForm gemma() {
  return {.name = "gemma",
          .begin = "<bos>",
          .system_place = SystemPlace::kFirstUserTurn,
          .system = {"<start_of_turn>user\n", "\n\n"},
          .user = {"<start_of_turn>user\n", "<end_of_turn>\n"},
          .assistant = {"<start_of_turn>model\n", "<end_of_turn>\n"},
          .answer_start = "<start_of_turn>model\n",
          .trims_texts = true,
          .end_of_answer = "<end_of_turn>",
          .special_tokens = {"<bos>", "<start_of_turn>", "<end_of_turn>"}};
}

// As Alpaca publishes it for an instruction without input; later turns follow it in the same way.
TemplateForm alpaca() {
  return {.name = "alpaca",
          .system = {"", "\n\n"},
          .user = {"### Instruction:\n", "\n\n"},
          .assistant = {"### Response:", "\n\n"},
          .answer_start = "### Response:",
          .default_system = kAlpacaSystem};
}

}  // namespace

const std::vector<TemplateForm>& template_forms() {
  static const std::vector<TemplateForm> kForms = {
      chatml_of_any_system(), llama2(),     llama2_system(),  llama3(), llama3_1(), mistral(),
      mistral_first(),        mistral_v3(), mistral_tekken(), alpaca(), qwen(),     gemma()};
  return kForms;
}

const TemplateForm* find_template_form(std::string_view name) {
  const auto& forms = template_forms();
  const auto found = std::find_if(forms.begin(), forms.end(),
                                  [&](const TemplateForm& form) { return form.name == name; });
  return found == forms.end() ? nullptr : &*found;
}

}  // namespace baton::tokenizer
