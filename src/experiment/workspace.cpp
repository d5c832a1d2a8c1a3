#include "baton/experiment/workspace.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "baton/base/error.hpp"
#include "baton/base/log.hpp"
#include "baton/base/seed.hpp"
#include "baton/device/cpu_facts.hpp"
#include "baton/experiment/rank_facts.hpp"
#include "baton/experiment/versions.hpp"
#include "baton/weights/decoder_config.hpp"
#include "baton/weights/safetensors.hpp"
#include "baton/weights/tensor_names.hpp"

namespace baton::experiment {

namespace {

// Activations of a few megabytes come and go by the thousand: without this glibc maps and unmaps
// each of them, and the kernel's zeroing of fresh pages takes a good part of a step.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 512 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

void warn_of_unused_tensors(const std::string& folder, const weights::DecoderConfig& config) {
  const std::string warning =
      weights::unused_tensors_warning(weights::ModelWeights(folder), config);
  if (!warning.empty()) {
    base::log_warning("model", folder + ": " + warning);
  }
}

tokenizer::TokenId resolve_indicator(const std::string& value,
                                     const std::string& key,
                                     const tokenizer::Tokenizer& tokenizer) {
  if (value.starts_with("id:")) {
    tokenizer::TokenId id = -1;
    const auto [end, error] = std::from_chars(value.data() + 3, value.data() + value.size(), id);
    if (error != std::errc() || end != value.data() + value.size() || id < 0 ||
        id >= tokenizer.vocabulary_size()) {
      throw base::Error(
          base::ErrorKind::kUsage, "an indicator is not a token id",
          {.where = key,
           .expected = fmt::format("id:N with N below {}", tokenizer.vocabulary_size()),
           .found = value,
           .fix = "give a word of one token, or an id of the vocabulary"});
    }
    return id;
  }
  const std::vector<tokenizer::TokenId> ids = tokenizer.encode(value);
  if (ids.size() != 1) {
    throw base::Error(
        base::ErrorKind::kUsage, "an indicator is not a single token of this model's vocabulary",
        {.where = key,
         .expected = "a word that is one token",
         .found = fmt::format("\"{}\", which is {} tokens [{}]", value, ids.size(),
                              fmt::join(ids, ", ")),
         .fix = "choose another word (see `baton tokenize`), or give a token as id:N"});
  }
  return ids[0];
}

// The median distance between the head's rows, over a fixed sample of pairs.
double median_row_distance(const model::Decoder& model) {
  constexpr std::size_t kPairs = 512;
  base::Random random(base::seed_for(0, {"indicator distance"}));
  const auto vocabulary = static_cast<std::uint64_t>(model.config().vocab_size);
  std::vector<std::int64_t> first(kPairs);
  std::vector<std::int64_t> second(kPairs);
  for (std::size_t i = 0; i < kPairs; ++i) {
    first[i] = static_cast<std::int64_t>(random.below(vocabulary));
    second[i] = static_cast<std::int64_t>(random.below(vocabulary));
  }
  const at::Tensor distances = (model.head_rows(first) - model.head_rows(second)).norm(2, 1);
  return distances.median().item<double>();
}

void check_indicator_distance(const config::MethodConfig& method, const Workspace& workspace) {
  if (method.accept_indicator.starts_with("id:") || method.pass_indicator.starts_with("id:")) {
    return;  // asked for by number: the user knows
  }
  const std::vector<std::int64_t> ids{workspace.indicators->accept, workspace.indicators->pass};
  const at::Tensor rows = workspace.model->head_rows(ids);
  const double distance = (rows[0] - rows[1]).norm().item<double>();
  const double median = median_row_distance(*workspace.model);
  if (distance < 0.25 * median) {
    throw base::Error(
        base::ErrorKind::kUsage,
        "the two indicators are too close in the model's head to be told apart",
        {.where = "method.accept_indicator, method.pass_indicator",
         .expected = fmt::format("head rows at least {:.3g} apart (a quarter of the median)",
                                 0.25 * median),
         .found = fmt::format("\"{}\" and \"{}\" are {:.3g} apart", method.accept_indicator,
                              method.pass_indicator, distance),
         .fix = "choose two ordinary words; to insist on this pair give both as id:N"});
  }
}

expert::Indicators resolve_indicators(const config::MethodConfig& method,
                                      const tokenizer::Tokenizer& tokenizer) {
  const expert::Indicators indicators{
      resolve_indicator(method.accept_indicator, "method.accept_indicator", tokenizer),
      resolve_indicator(method.pass_indicator, "method.pass_indicator", tokenizer)};
  if (indicators.accept == indicators.pass) {
    throw base::Error(base::ErrorKind::kUsage, "both indicators are the same token",
                      {.where = "method.accept_indicator, method.pass_indicator",
                       .expected = "two different tokens",
                       .found = fmt::format("token {} twice", indicators.accept),
                       .fix = "choose two different words"});
  }
  return indicators;
}

}  // namespace

std::vector<std::int64_t> Workspace::stop_ids() const {
  std::vector<std::int64_t> ids{prompt_template->end_of_answer_id()};
  for (const std::int64_t id : base_eos_ids) {
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) {
      ids.push_back(id);
    }
  }
  return ids;
}

int set_threads(const config::ClusterConfig& cluster, int local_rank, int local_size) {
  const int cores = device::usable_cores();
  const int threads = cluster.threads_per_rank ? static_cast<int>(*cluster.threads_per_rank)
                                               : std::max(1, cores / local_size);
  at::set_num_threads(threads);
  keep_freed_memory();
  if (local_rank == 0 && threads * local_size > cores) {
    base::log_warning("main", fmt::format("{} ranks of {} threads on this machine, which has {} "
                                          "cores for them: expect it to be slow",
                                          local_size, threads, cores));
  }
  return threads;
}

void open_text_parts(const config::Config& config, Workspace& workspace) {
  const std::string& folder = config.model.model_name_or_path;
  workspace.tokenizer = tokenizer::load_tokenizer(folder);
  workspace.prompt_template =
      tokenizer::make_template(config.data.prompt_template, folder, *workspace.tokenizer);
}

void find_indicators(const config::MethodConfig& config,
                     const method::Method& method,
                     Workspace& workspace) {
  if (!method.uses_indicators()) {
    return;
  }
  workspace.indicators = resolve_indicators(config, *workspace.tokenizer);
  if (workspace.model) {
    check_indicator_distance(config, workspace);
  }
}

Workspace open_workspace_without_model(const config::Config& config) {
  const std::string& folder = config.model.model_name_or_path;
  Workspace workspace;
  workspace.dtype = config.model.dtype == "auto" ? "" : config.model.dtype;
  workspace.base_fingerprint = weights::ModelWeights(folder).fingerprint();
  workspace.base_eos_ids = weights::read_decoder_config(folder).eos_token_ids;
  open_text_parts(config, workspace);
  return workspace;
}

Workspace open_workspace(const config::Config& config, const device::Device& device) {
  Workspace workspace;
  workspace.device = device;
  if (const auto problem = device::library_problem(device, torch_sees_gpu())) {
    throw *problem;
  }
  if (!device.advice.empty()) {
    base::log_warning("device", device.advice);
  }
  workspace.dtype = choose_dtype(config.model.dtype, "", {facts_of_this_rank(device, {})}).dtype;
  const at::Device place =
      workspace.device.kind == device::DeviceKind::kCuda
          ? at::Device(at::kCUDA, static_cast<at::DeviceIndex>(workspace.device.index))
          : at::Device(at::kCPU);
  const at::ScalarType type = workspace.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
  workspace.model = model::Decoder::load(config.model.model_name_or_path, type, place);
  warn_of_unused_tensors(config.model.model_name_or_path, workspace.model->config());
  workspace.base_fingerprint = workspace.model->fingerprint();
  workspace.base_eos_ids = workspace.model->config().eos_token_ids;
  open_text_parts(config, workspace);
  return workspace;
}

std::string describe_base(const config::Config& config, const Workspace& workspace) {
  return fmt::format("{}, {:.1f} M weights, {}",
                     std::filesystem::path(config.model.model_name_or_path).filename().string(),
                     static_cast<double>(workspace.model->config().num_parameters()) / 1e6,
                     workspace.dtype);
}

}  // namespace baton::experiment
