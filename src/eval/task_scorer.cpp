#include "baton/eval/task_scorer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/base/text.hpp"

namespace baton::eval {

namespace {

bool is_blank(const std::string& text) {
  return base::trim(text).empty();
}

// One text for each normal form, by it.
using Labels = std::map<std::string, std::string>;

Labels labels_of_entry(const data::TaskData& task) {
  Labels labels;
  for (const std::string& label : task.labels) {
    const auto [place, is_new] = labels.try_emplace(metrics::normal_form(label), label);
    if (!is_new) {
      throw base::Error(
          base::ErrorKind::kData, "two labels of a task cannot be told apart",
          {.where = fmt::format("dataset_info.json, entry \"{}\", key \"labels\"", task.name),
           .expected = "labels that differ by more than case, punctuation and white space",
           .found = fmt::format("\"{}\" and \"{}\"", place->second, label),
           .fix = "remove one of them"});
    }
  }
  return labels;
}

Labels labels_of_rows(const data::TaskData& task) {
  Labels labels;
  const auto add = [&labels](const std::string& label) {
    if (!is_blank(label)) {
      labels.try_emplace(metrics::normal_form(label), label);
    }
  };
  for (const std::vector<data::Example>* rows : {&task.train, &task.eval}) {
    for (const data::Example& row : *rows) {
      std::for_each(row.references.begin(), row.references.end(), add);
      std::for_each(row.options.begin(), row.options.end(), add);
    }
  }
  return labels;
}

// A task of free text has nearly as many answers as rows.
void warn_of_labels(const data::TaskData& task, std::size_t num_labels) {
  const std::size_t num_rows = task.train.size() + task.eval.size();
  if (num_labels == 1) {
    base::log_warning("eval", fmt::format("task {}: accuracy over one label: whoever answers it "
                                          "always is always right",
                                          task.name));
  } else if (num_labels > 20 && 2 * num_labels > num_rows) {
    base::log_warning("eval", fmt::format("task {}: accuracy over {} labels of {} rows: these "
                                          "answers look like free text; rouge_l scores such",
                                          task.name, num_labels, num_rows));
  }
}

}  // namespace

std::shared_ptr<const metrics::Scorer> scorer_of(const data::TaskData& task,
                                                 const std::string& usual_metric) {
  const std::string& name = task.metric.empty() ? usual_metric : task.metric;
  std::vector<std::string> labels;
  if (name == "accuracy") {
    for (const auto& [normal, label] :
         task.labels.empty() ? labels_of_rows(task) : labels_of_entry(task)) {
      labels.push_back(label);
    }
    warn_of_labels(task, labels.size());
  }
  std::shared_ptr<const metrics::Scorer> scorer = metrics::make_scorer(name, std::move(labels));
  for (const data::Example& row : task.eval) {
    std::vector<std::string> references = row.references;
    std::erase_if(references, is_blank);
    if (!references
             .empty()) {  // rows without an answer were warned of: nothing scores against them
      scorer->check({references, row.options}, row.origin);
    }
  }
  return scorer;
}

}  // namespace baton::eval
