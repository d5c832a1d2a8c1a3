#include "baton/eval/margins.hpp"

#include <fmt/format.h>

#include <cmath>

#include "batches.hpp"
#include "baton/base/error.hpp"

namespace baton::eval {

std::vector<std::vector<std::size_t>> margin_batches(std::span<const Prompt> prompts,
                                                     std::int64_t batch_size) {
  std::vector<std::int64_t> lengths;
  for (const Prompt& prompt : prompts) {
    lengths.push_back(static_cast<std::int64_t>(prompt.size()));
  }
  return batches_by_length(lengths, batch_size);
}

std::vector<double> margins(const model::Decoder& model,
                            const model::Adapter& adapter,
                            std::span<const Prompt> prompts,
                            std::span<const std::size_t> batch,
                            const expert::Indicators& indicators) {
  std::vector<Prompt> rows;
  for (const std::size_t index : batch) {
    rows.push_back(prompts[index]);
  }
  const model::AdapterUses adapters(adapter);
  std::vector<double> values =
      margins_of(model, last_hidden(model, rows, &adapters), indicators.accept, indicators.pass);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!std::isfinite(values[i])) {
      throw base::Error(base::ErrorKind::kNonFinite, "an expert's margin is not a number",
                        {.where = fmt::format("expert {}, prompt {} of {}", adapter.name,
                                              batch[i] + 1, prompts.size()),
                         .expected = "a finite logit(accept) - logit(pass)",
                         .found = fmt::format("{}", values[i]),
                         .fix = "train this expert again, with a smaller learning rate"});
    }
  }
  return values;
}

}  // namespace baton::eval
