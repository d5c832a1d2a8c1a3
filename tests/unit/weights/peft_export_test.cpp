#include "baton/weights/peft_export.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"
#include "baton/base/seed.hpp"
#include "baton/weights/safetensors.hpp"
#include "temporary_folder.hpp"

namespace baton::weights {
namespace {

using ::testing::HasSubstr;

// A model of D = 16, F = 24, four heads, two key/value heads: what check_peft_export.py builds as
// well.
expert::ExpertState random_expert(std::int64_t num_layers,
                                  const std::vector<std::string>& targets) {
  expert::ExpertState state;
  state.task = "qa";
  state.base_fingerprint = "abc";
  state.lora_rank = 3;
  state.lora_alpha = 6;
  state.lora_target = targets;
  state.accept_token_id = 5;
  state.pass_token_id = 6;
  state.accept_threshold = 0.25;
  state.prompt_template = "chatml";
  base::Random random(7);
  for (std::int64_t layer = 0; layer < num_layers; ++layer) {
    for (const std::string& module : targets) {
      const std::int64_t in = module == "down_proj" ? 24 : 16;
      const std::int64_t out = module == "k_proj" || module == "v_proj"       ? 8
                               : module == "gate_proj" || module == "up_proj" ? 24
                                                                              : 16;
      for (const char factor : {'A', 'B'}) {
        expert::NamedArray array;
        array.name = expert::peft_key(layer, module, factor);
        array.shape =
            factor == 'A' ? std::vector<std::int64_t>{3, in} : std::vector<std::int64_t>{out, 3};
        for (std::int64_t i = 0; i < array.shape[0] * array.shape[1]; ++i) {
          array.values.push_back(static_cast<float>(random.uniform() - 0.5));
        }
        state.arrays.push_back(array);
      }
    }
  }
  return state;
}

TEST(PeftExport, WritesTheFilesPeftReads) {
  TemporaryFolder folder;
  const std::filesystem::path out = folder.path() / "adapter";
  const expert::ExpertState state = random_expert(2, {"q_proj", "v_proj"});
  export_peft(
      state, out,
      {.base_model = "my/base", .accept_text = " Yes", .pass_text = " No", .prompt_suffix = ""});
  const base::Json config =
      base::read_json_file(out / "adapter_config.json", base::ErrorKind::kModel);
  EXPECT_EQ(config.at("peft_type"), "LORA");
  EXPECT_EQ(config.at("task_type"), "CAUSAL_LM");
  EXPECT_EQ(config.at("r"), 3);
  EXPECT_EQ(config.at("lora_alpha"), 6);
  EXPECT_EQ(config.at("base_model_name_or_path"), "my/base");
  EXPECT_EQ(config.at("target_modules"), (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_TRUE(config.at("alora_invocation_tokens").is_null());
  EXPECT_TRUE(config.at("layers_to_transform").is_null());

  const SafetensorsFile file(out / "adapter_model.safetensors");
  ASSERT_EQ(file.tensors().size(), 8U);
  for (const expert::NamedArray& array : state.arrays) {
    const TensorView& tensor = file.tensors().at(array.name);
    EXPECT_EQ(tensor.shape, array.shape);
    EXPECT_EQ(std::memcmp(tensor.bytes.data(), array.values.data(), tensor.bytes.size()), 0);
  }
  std::ifstream readme_file(out / "README.md");
  const std::string readme{std::istreambuf_iterator<char>(readme_file), {}};
  EXPECT_THAT(readme, ::testing::AllOf(HasSubstr("logit[5] - logit[6]"), HasSubstr("margin > 0.25"),
                                       HasSubstr("chatml"), HasSubstr(" Yes")));
}

TEST(PeftExport, NamesInvocationTokensAndLayerSubsets) {
  TemporaryFolder folder;
  expert::ExpertState state = random_expert(3, {"o_proj"});
  state.lora_activation = "invocation";
  state.invocation_ids = {1, 9, 4};
  state.arrays.erase(state.arrays.begin(), state.arrays.begin() + 2);  // layer 0 is not touched
  export_peft(state, folder.path() / "x", {});
  const base::Json config =
      base::read_json_file(folder.path() / "x/adapter_config.json", base::ErrorKind::kModel);
  EXPECT_EQ(config.at("alora_invocation_tokens"), (std::vector<int>{1, 9, 4}));
  EXPECT_EQ(config.at("layers_to_transform"), (std::vector<int>{1, 2}));
}

TEST(PeftExport, RefusesFoldersItDidNotWrite) {
  TemporaryFolder folder;
  const expert::ExpertState state = random_expert(1, {"q_proj"});
  const auto kind_of = [&](const std::filesystem::path& out) {
    try {
      export_peft(state, out, {});
    } catch (const base::Error& error) {
      return std::string(base::kind_name(error.kind()));
    }
    return std::string("written");
  };
  EXPECT_EQ(kind_of(folder.path()), "written");  // empty
  EXPECT_EQ(kind_of(folder.path()), "written");  // its own
  std::ofstream(folder.path() / "notes.txt") << "mine";
  EXPECT_EQ(kind_of(folder.path()), "usage");
  std::filesystem::remove(folder.path() / "notes.txt");
  std::ofstream(folder.path() / "README.md") << "another adapter";
  EXPECT_EQ(kind_of(folder.path()), "usage");
  EXPECT_EQ(kind_of(folder.path() / "README.md"), "usage");
}

TEST(PeftExport, RefusesArraysPeftCannotDescribe) {
  TemporaryFolder folder;
  const auto fails = [&](const expert::ExpertState& state) {
    EXPECT_THROW(export_peft(state, folder.path() / "x", {}), base::Error);
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "x"));
  };
  expert::ExpertState state = random_expert(2, {"q_proj", "v_proj"});
  state.arrays.pop_back();
  fails(state);
  state = random_expert(2, {"q_proj", "v_proj"});
  state.lora_target = {"q_proj"};
  fails(state);
  state = random_expert(2, {"q_proj"});
  state.lora_rank = 4;
  fails(state);
  state = random_expert(2, {"q_proj"});
  state.arrays[1].values.pop_back();
  fails(state);
  state.arrays.clear();
  fails(state);
}

TEST(PeftExport, IsLoadedByPeftWithoutMissingOrUnexpectedKeys) {
  const char* configured = std::getenv("BATON_PYTHON");
  const std::string python =
      configured != nullptr ? configured : BATON_SOURCE_DIR "/.deps/venv/bin/python";
  if (!std::filesystem::exists(python)) {
    GTEST_SKIP() << "no Python with peft at " << python << " (set BATON_PYTHON)";
  }
  TemporaryFolder folder;
  std::string adapters;
  for (const char* activation : {"full", "invocation"}) {
    expert::ExpertState state = random_expert(
        2, {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"});
    state.lora_activation = activation;
    state.invocation_ids = {3, 4};
    export_peft(state, folder.path() / activation, {});
    adapters += fmt::format(" '{}'", (folder.path() / activation).string());
  }
  const std::string command =
      fmt::format("OMP_NUM_THREADS=1 '{}' '{}/tests/golden/check_peft_export.py'{}", python,
                  BATON_SOURCE_DIR, adapters);
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

}  // namespace
}  // namespace baton::weights
