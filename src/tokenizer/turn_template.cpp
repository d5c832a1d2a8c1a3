#include "turn_template.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "baton/base/error.hpp"
#include "baton/base/utf8.hpp"
#include "prompt_builder.hpp"

namespace baton::tokenizer {
namespace {

struct Piece {
  enum class Kind { kPart, kText, kUserText };
  Kind kind;
  std::string text;
};

// White space as Python's strip() has it: Unicode's and four separators.
bool is_stripped(char32_t point) {
  return base::is_white_space(point) || (point >= 0x1C && point <= 0x1F);
}

std::string_view stripped(std::string_view text) {
  std::size_t begin = 0;
  for (std::size_t next = 0; begin < text.size(); begin = next) {
    if (!is_stripped(base::next_code_point(text, next))) {
      break;
    }
  }
  std::size_t end = text.size();
  while (end > begin) {
    std::size_t start = base::previous_start(text, end);
    const std::size_t before = start;
    if (!is_stripped(base::next_code_point(text, start))) {
      break;
    }
    end = before;
  }
  return text.substr(begin, end - begin);
}

// The walk: parts that follow one another are one, so that they are encoded as they stand.
class Walk {
 public:
  explicit Walk(const TemplateForm& form) : form_(form) {}

  std::vector<Piece> run(std::span<const Message> conversation) {
    part(form_.begin.value_or(""));
    if (form_.default_system && conversation.front().role != "system") {
      part(form_.system.before + *form_.default_system + form_.system.after);
      is_open_ = form_.system_place != SystemPlace::kOwnTurn;
    }
    for (const Message& message : with_system_in_place(conversation)) {
      add(message);
    }
    close_turn();
    return std::move(pieces_);
  }

 private:
  std::vector<Message> with_system_in_place(std::span<const Message> conversation) const {
    std::vector<Message> messages(conversation.begin(), conversation.end());
    if (form_.system_place == SystemPlace::kLastUserTurn && messages.front().role == "system") {
      auto last = messages.end() - 1;
      while (last != messages.begin() && last->role != "user") {
        --last;
      }
      if (last != messages.begin()) {
        std::rotate(messages.begin(), messages.begin() + 1, last);
      }
    }
    return messages;
  }

  void add(const Message& message) {
    const bool is_user = message.role == "user";
    const bool is_system = message.role == "system";
    const Turn& turn = is_user ? form_.user : is_system ? form_.system : form_.assistant;
    if (!is_user) {
      close_turn();
    }
    if (!is_open_) {
      part(turn.before);
    }
    const bool trims =
        form_.trims_texts && (!is_system || form_.system_place == SystemPlace::kOwnTurn);
    text(trims ? stripped(message.text) : message.text, is_user);
    part(turn.after);
    is_open_ = is_system && form_.system_place != SystemPlace::kOwnTurn;
  }

  // A system message that no user's text follows.
  void close_turn() {
    if (is_open_) {
      part(form_.user.after);
      is_open_ = false;
    }
  }

  void part(std::string_view text) {
    if (text.empty()) {
      return;
    }
    if (pieces_.empty() || pieces_.back().kind != Piece::Kind::kPart) {
      pieces_.push_back({Piece::Kind::kPart, ""});
    }
    pieces_.back().text += text;
  }

  void text(std::string_view text, bool is_user) {
    std::string whole(text);
    if (!pieces_.empty() && pieces_.back().kind == Piece::Kind::kPart &&
        pieces_.back().text.ends_with(' ')) {
      pieces_.back().text.pop_back();
      whole.insert(0, 1, ' ');
    }
    pieces_.push_back({is_user ? Piece::Kind::kUserText : Piece::Kind::kText, std::move(whole)});
  }

  const TemplateForm& form_;
  std::vector<Piece> pieces_;
  bool is_open_ = false;  // a system message has opened a user's turn
};

void require_special_tokens(const TemplateForm& form, const Tokenizer& tokenizer) {
  for (const std::string& token : form.special_tokens) {
    const auto ids = tokenizer.encode_with_special(token);
    if (ids.size() != 1 || tokenizer.encode(token) == ids) {
      throw base::Error(
          base::ErrorKind::kModel,
          fmt::format("the template {} needs a special token that this tokenizer does not have",
                      form.name),
          {.where = "tokenizer.json, part added_tokens",
           .expected = fmt::format("\"{}\" as a special token", token),
           .found = "none",
           .fix = "set template = none, or take a model made for chat"});
    }
  }
}

}  // namespace

TurnTemplate::TurnTemplate(TemplateForm form, FolderTokens folder, const Tokenizer& tokenizer)
    : form_(std::move(form)), folder_(std::move(folder)), tokenizer_(tokenizer) {
  require_special_tokens(form_, tokenizer_);
  end_of_answer_ = form_.end_of_answer.empty()
                       ? folder_.eos
                       : tokenizer_.encode_with_special(form_.end_of_answer).front();
  invocation_ = part_ids(form_.answer_start.empty() ? form_.user.after : form_.answer_start);
}

std::vector<TokenId> TurnTemplate::piece_ids(std::string_view text,
                                             SpecialTokens special,
                                             bool is_beginning) const {
  if (!is_beginning) {
    return tokenizer_.encode_after(text, special);
  }
  return special == SpecialTokens::kBecomeIds ? tokenizer_.encode_with_special(text)
                                              : tokenizer_.encode(text);
}

std::vector<TokenId> TurnTemplate::part_ids(std::string_view text) const {
  return tokenizer_.encode_after(text, SpecialTokens::kBecomeIds);
}

EncodedPrompt TurnTemplate::encode(std::span<const Message> conversation,
                                   std::int64_t max_tokens) const {
  check_conversation(conversation);
  PromptBuilder builder;
  if (!form_.begin) {
    builder.add_part(folder_.bos);
  }
  bool is_beginning = true;
  for (const Piece& piece : Walk(form_).run(conversation)) {
    const bool is_part = piece.kind == Piece::Kind::kPart;
    const std::vector<TokenId> ids = piece_ids(
        piece.text, is_part ? SpecialTokens::kBecomeIds : SpecialTokens::kStayText, is_beginning);
    if (is_part) {
      builder.add_part(ids);
    } else {
      builder.add_text(ids, piece.kind == Piece::Kind::kUserText);
    }
    is_beginning = false;
  }
  if (!form_.answer_start.empty()) {
    builder.add_part(invocation_);
  }
  return std::move(builder).finish(max_tokens);
}

QuestionFrame TurnTemplate::question_frame() const {
  constexpr std::string_view kAnyText = "text";
  QuestionFrame frame{.trims_text = form_.trims_texts, .is_beginning = true};
  if (!form_.begin) {
    frame.before = folder_.bos;
  }
  const Message question{"user", std::string(kAnyText)};
  std::vector<TokenId>* side = &frame.before;
  bool is_first = true;
  for (const Piece& piece : Walk(form_).run(std::span(&question, 1))) {
    if (piece.kind == Piece::Kind::kUserText) {
      frame.lead = piece.text.substr(0, piece.text.size() - kAnyText.size());
      frame.is_beginning = is_first;
      side = &frame.after;
    } else {
      const std::vector<TokenId> ids = piece_ids(piece.text, SpecialTokens::kBecomeIds, is_first);
      side->insert(side->end(), ids.begin(), ids.end());
    }
    is_first = false;
  }
  if (!form_.answer_start.empty()) {
    frame.after.insert(frame.after.end(), invocation_.begin(), invocation_.end());
  }
  return frame;
}

// Named so that an expert's facts can tell what changed; equal ends are told once.
std::vector<TemplatePart> TurnTemplate::parts() const {
  std::vector<TemplatePart> parts;
  const auto add = [&](const char* name, const std::string& text) {
    if (!text.empty()) {
      parts.push_back({name, part_ids(text)});
    }
  };
  if (!form_.begin) {
    parts.push_back({"bos", folder_.bos});
  } else {
    add("bos", *form_.begin);
  }
  const bool ends_alike =
      form_.user.after == form_.system.after && form_.user.after == form_.assistant.after;
  if (ends_alike) {
    add("turn_end", form_.user.after);
  } else {
    add("system_end", form_.system.after);
    add("user_end", form_.user.after);
    add("assistant_end", form_.assistant.after);
  }
  parts.push_back({"end_of_answer", {end_of_answer_}});
  add("system_start", form_.system.before);
  add("user_start", form_.user.before);
  add("assistant_start", form_.assistant.before);
  if (form_.answer_start != form_.assistant.before) {
    add("answer_start", form_.answer_start);
  }
  if (form_.default_system) {
    add("default_system", form_.system.before + *form_.default_system + form_.system.after);
  }
  return parts;
}

std::string TurnTemplate::render(std::span<const Message> conversation) const {
  check_conversation(conversation);
  std::string text;
  for (const TokenId id : form_.begin ? std::vector<TokenId>() : folder_.bos) {
    text += tokenizer_.id_to_token(id);
  }
  return text + render_turns(form_, conversation);
}

std::string render_turns(const TemplateForm& form, std::span<const Message> conversation) {
  std::string text;
  for (const Piece& piece : Walk(form).run(conversation)) {
    text += piece.text;
  }
  return text + form.answer_start;
}

}  // namespace baton::tokenizer
