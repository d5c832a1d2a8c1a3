#include "baton/eval/choices.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>

#include "baton/base/error.hpp"
#include "baton/method/calibration.hpp"

namespace baton::eval {

namespace {

std::vector<Prompt> prompts_of(std::span<const ChoiceQuestion* const> batch,
                               std::span<const std::size_t> rows) {
  std::vector<Prompt> prompts;
  for (const std::size_t row : rows) {
    prompts.push_back(batch[row]->prompt);
  }
  return prompts;
}

std::vector<std::vector<Prompt>> choices_of(std::span<const ChoiceQuestion* const> batch,
                                            std::span<const std::size_t> rows) {
  std::vector<std::vector<Prompt>> choices;
  for (const std::size_t row : rows) {
    choices.push_back(batch[row]->choices);
  }
  return choices;
}

/// Likelihoods of the choices of these questions by one voice, in their order.
std::vector<std::vector<double>> likelihoods_by(const Voice& voice,
                                                std::span<const ChoiceQuestion* const> batch,
                                                std::span<const std::size_t> rows) {
  const std::vector<std::vector<Prompt>> choices = choices_of(batch, rows);
  std::vector<std::vector<double>> found =
      voice.log_likelihoods(voice.read(prompts_of(batch, rows)), choices);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const double value : found[i]) {
      if (!std::isfinite(value)) {
        throw base::Error(base::ErrorKind::kNonFinite, "a likelihood is not a number",
                          {.where = "question " + batch[rows[i]]->id,
                           .expected = "a finite log likelihood of each choice",
                           .found = fmt::format("{}", value),
                           .fix = "train the expert again: its weights diverged or are damaged"});
      }
    }
  }
  return found;
}

/// [question][expert]; empty lists where the experts have no indicators.
std::vector<std::vector<double>> margins_of_all(const Answering& answering,
                                                std::span<const ChainExpert> experts,
                                                std::span<const ChoiceQuestion* const> batch,
                                                std::span<const std::size_t> everything) {
  std::vector<std::vector<double>> margins(batch.size());
  const std::vector<Prompt> prompts = prompts_of(batch, everything);
  for (const ChainExpert& expert : experts) {
    const Voice voice(answering, &expert);
    if (!voice.has_margins()) {
      continue;
    }
    const std::vector<double> found = voice.margins(
        voice.read(prompts), [&](std::size_t row) { return "question " + batch[row]->id; });
    for (std::size_t row = 0; row < batch.size(); ++row) {
      margins[row].push_back(found[row]);
    }
  }
  return margins;
}

bool is_right(const ChoiceQuestion& question, std::span<const double> scores) {
  const auto best = std::max_element(scores.begin(), scores.end());  // the first of equals
  return question.is_right[static_cast<std::size_t>(best - scores.begin())];
}

std::vector<double> by_bytes(const ChoiceQuestion& question, std::span<const double> likelihoods) {
  std::vector<double> scores;
  for (std::size_t choice = 0; choice < likelihoods.size(); ++choice) {
    scores.push_back(likelihoods[choice] / static_cast<double>(question.texts[choice].size()));
  }
  return scores;
}

/// Under the curve of points whose thresholds ascend, so that both rates fall; by trapezoids.
double area_under(std::span<const expert::RocPoint> points) {
  double area = 0;
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    area += (points[i].false_positive_rate - points[i + 1].false_positive_rate) *
            (points[i].true_positive_rate + points[i + 1].true_positive_rate) / 2;
  }
  return area;
}

}  // namespace

std::vector<ChoiceReply> answer_choices(const Answering& answering,
                                        std::span<const ChainExpert> experts,
                                        const method::Router& router,
                                        std::span<const ChoiceQuestion* const> batch) {
  std::vector<std::size_t> everything(batch.size());
  std::iota(everything.begin(), everything.end(), std::size_t{0});
  const std::vector<std::vector<double>> base =
      likelihoods_by(Voice(answering, nullptr), batch, everything);
  std::vector<std::vector<double>> margins = margins_of_all(answering, experts, batch, everything);
  const std::vector<method::PanelExpert> panel = panel_of(experts);
  std::vector<ChoiceReply> replies;
  std::map<int, std::vector<std::size_t>> rows_of;
  for (std::size_t row = 0; row < batch.size(); ++row) {
    const method::Route route = method::route(
        router, {.id = batch[row]->id, .features = batch[row]->features}, panel,
        [&](int expert) { return margins[row].at(static_cast<std::size_t>(expert)); });
    const int answerer = route.answerers.front().expert;
    replies.push_back({answerer, std::move(margins[row]), base[row], base[row]});
    if (answerer != method::kBase) {
      rows_of[answerer].push_back(row);
    }
  }
  for (const auto& [answerer, rows] : rows_of) {
    const Voice voice(answering, &experts[static_cast<std::size_t>(answerer)]);
    std::vector<std::vector<double>> found = likelihoods_by(voice, batch, rows);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      replies[rows[i]].chain = std::move(found[i]);
    }
  }
  return replies;
}

SetScores score_set(const QuestionSet& set,
                    std::span<const ChoiceReply> replies,
                    std::size_t num_experts) {
  SetScores scores;
  scores.name = set.name;
  scores.answered_by.assign(num_experts + 1, 0);
  scores.num_questions = static_cast<std::int64_t>(replies.size());
  const double share = 100.0 / static_cast<double>(replies.size());
  double sum = 0;
  double squares = 0;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    const ChoiceQuestion& question = set.questions[i];
    const ChoiceReply& reply = replies[i];
    const double base = is_right(question, reply.base) ? 1 : 0;
    const double chain = is_right(question, reply.chain) ? 1 : 0;
    scores.base.accuracy += share * base;
    scores.chain.accuracy += share * chain;
    scores.base.normalised += is_right(question, by_bytes(question, reply.base)) ? share : 0;
    scores.chain.normalised += is_right(question, by_bytes(question, reply.chain)) ? share : 0;
    sum += chain - base;
    squares += (chain - base) * (chain - base);
    ++scores
          .answered_by[reply.answerer == method::kBase ? num_experts
                                                       : static_cast<std::size_t>(reply.answerer)];
  }
  const auto count = static_cast<double>(replies.size());
  scores.left_to_base = static_cast<double>(scores.answered_by.back()) / count;
  if (count > 1) {
    const double variance = std::max(0.0, (squares - sum * sum / count) / (count - 1));
    scores.difference_error = 100.0 * std::sqrt(variance / count);
  }
  return scores;
}

double largest_surplus(std::span<const double> margins, std::span<const ChainExpert> experts) {
  BATON_ASSERT(!margins.empty() && margins.size() == experts.size(),
               fmt::format("{} margins of {} experts", margins.size(), experts.size()));
  double largest = margins[0] - experts[0].threshold;
  for (std::size_t expert = 1; expert < experts.size(); ++expert) {
    largest = std::max(largest, margins[expert] - experts[expert].threshold);
  }
  return largest;
}

ForeignCurve foreign_curve(std::span<const double> own, std::span<const double> foreign) {
  ForeignCurve curve;
  curve.points = method::calibrate(own, foreign).roc;
  curve.area = area_under(curve.points);
  curve.num_own = static_cast<std::int64_t>(own.size());
  curve.num_foreign = static_cast<std::int64_t>(foreign.size());
  return curve;
}

}  // namespace baton::eval
