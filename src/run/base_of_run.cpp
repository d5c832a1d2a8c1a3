#include "baton/run/base_of_run.hpp"

#include "baton/base/error.hpp"
#include "baton/weights/decoder_config.hpp"

namespace baton::run {

std::optional<expert::BaseSizes> base_sizes_of(const RunRecord& record) {
  const auto folder = record.config.find("model.model_name_or_path");
  if (folder == record.config.end()) {
    return std::nullopt;
  }
  try {
    return weights::base_sizes_of(weights::read_decoder_config(folder->second));
  } catch (const base::Error&) {
    return std::nullopt;
  }
}

}  // namespace baton::run
