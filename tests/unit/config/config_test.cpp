#include "baton/config/config.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "baton/base/error.hpp"
#include "baton/base/text.hpp"
#include "baton/config/options.hpp"

namespace baton::config {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kSmallest =
    "[model]\n"
    "model_name_or_path = models/small\n"
    "[data]\n"
    "dataset_dir = data\n"
    "tasks = qa, sum\n"
    "[output]\n"
    "output_dir = runs/a\n";

Config parse(const std::string& text,
             const std::vector<Override>& overrides = {},
             Purpose purpose = Purpose::kTrain) {
  return parse_config(text, "a.cfg", overrides, purpose);
}

/// The whole message of the kUsage error that `text` gives.
std::string error_of(const std::string& text,
                     const std::vector<Override>& overrides = {},
                     Purpose purpose = Purpose::kTrain) {
  try {
    parse(text, overrides, purpose);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
    return error.what();
  }
  ADD_FAILURE() << "no error for:\n" << text;
  return "";
}

Override set(const std::string& key, const std::string& value) {
  return {key, value, "--set " + key + "=" + value};
}

TEST(Config, SmallestFileGetsTheDefaults) {
  const Config config = parse(kSmallest);
  EXPECT_EQ(config.model.model_name_or_path, "models/small");
  EXPECT_EQ(config.model.dtype, "auto");
  EXPECT_THAT(config.data.tasks, ElementsAre("qa", "sum"));
  EXPECT_EQ(config.data.prompt_template, "auto");
  EXPECT_EQ(config.data.cutoff_len, 1024);
  EXPECT_EQ(config.data.max_new_tokens, 64);
  EXPECT_THAT(config.data.general, ElementsAre("builtin"));
  EXPECT_DOUBLE_EQ(config.method.negative_ratio, 0.25);
  EXPECT_TRUE(config.method.accept_threshold.is_auto);
  EXPECT_TRUE(config.method.indicator_balance);
  EXPECT_THAT(config.lora.lora_target, ElementsAre("q_proj", "v_proj"));
  EXPECT_EQ(config.train.train_batch_size, 8);
  EXPECT_EQ(config.train.micro_batch_size, 4);
  EXPECT_EQ(config.train.seed, 42U);
  EXPECT_EQ(config.eval.metric, "rouge_l");
  EXPECT_FALSE(config.cluster.groups.has_value());
  EXPECT_TRUE(config.cluster.deterministic);
  EXPECT_EQ(config.output.output_dir, "runs/a");
}

TEST(Config, EveryKeyCanBeReadAndWritten) {
  const std::map<std::string, std::string> values = {{"model.model_name_or_path", "m # 1"},
                                                     {"model.dtype", "float32"},
                                                     {"data.dataset_dir", "d"},
                                                     {"data.tasks", "a,b-1,c.2"},
                                                     {"data.template", "chatml"},
                                                     {"data.cutoff_len", "512"},
                                                     {"data.max_new_tokens", "32"},
                                                     {"data.max_train_samples", "100"},
                                                     {"data.max_eval_samples", "40"},
                                                     {"data.general", "g1,g2"},
                                                     {"data.general_samples", "30"},
                                                     {"method.method", "see"},
                                                     {"method.router", "oracle"},
                                                     {"method.negative_ratio", "0.5"},
                                                     {"method.negative_floor", "5"},
                                                     {"method.buffer_ratio", "1"},
                                                     {"method.buffer_floor", "0"},
                                                     {"method.buffer_selection", "kmeans"},
                                                     {"method.accept_indicator", "id:7"},
                                                     {"method.pass_indicator", "skip"},
                                                     {"method.accept_threshold", "auto"},
                                                     {"method.calibration_ratio", "0.2"},
                                                     {"method.calibration_batch_size", "3"},
                                                     {"method.indicator_loss_weight", "2.5"},
                                                     {"method.indicator_balance", "false"},
                                                     {"method.prior_correction", "true"},
                                                     {"method.mismatch_ratio", "0.5"},
                                                     {"method.balanced_batches", "true"},
                                                     {"method.gate_steps", "50"},
                                                     {"method.gate_learning_rate", "0.01"},
                                                     {"method.top_k", "3"},
                                                     {"method.lambda", "0.25"},
                                                     {"lora.lora_rank", "16"},
                                                     {"lora.lora_alpha", "64"},
                                                     {"lora.lora_dropout", "0.05"},
                                                     {"lora.lora_target", "k_proj,down_proj"},
                                                     {"lora.lora_activation", "full"},
                                                     {"train.train_batch_size", "16"},
                                                     {"train.micro_batch_size", "2"},
                                                     {"train.learning_rate", "0.0002"},
                                                     {"train.num_train_epochs", "1.5"},
                                                     {"train.lr_scheduler_type", "linear"},
                                                     {"train.warmup_ratio", "0.1"},
                                                     {"train.weight_decay", "0.01"},
                                                     {"train.max_grad_norm", "0"},
                                                     {"train.seed", "18446744073709551615"},
                                                     {"train.logging_steps", "10"},
                                                     {"train.save_steps", "20"},
                                                     {"train.save_seconds", "60"},
                                                     {"train.non_finite", "rollback"},
                                                     {"data.val_size", "0.1"},
                                                     {"train.eval_steps", "5"},
                                                     {"train.early_stopping_patience", "3"},
                                                     {"train.early_stopping_threshold", "0.01"},
                                                     {"output.tensorboard", "true"},
                                                     {"eval.eval_batch_size", "4"},
                                                     {"eval.metric", "rouge_l"},
                                                     {"eval.routers", "parallel,oracle"},
                                                     {"cluster.groups", "2"},
                                                     {"cluster.ranks_per_group", "3"},
                                                     {"cluster.backend", "mpi"},
                                                     {"cluster.coordinator", "shared"},
                                                     {"cluster.timeout_seconds", "60"},
                                                     {"cluster.deterministic", "false"},
                                                     {"cluster.threads_per_rank", "1"},
                                                     {"output.output_dir", "runs/ü"}};
  ASSERT_EQ(values.size(), option_list().size());
  std::string text;
  for (const auto& info : option_list()) {
    text += "[" + info.section + "]\n" + info.name + " = " + values.at(info.key()) + "\n";
  }
  EXPECT_EQ(resolved(parse(text)), values);
  EXPECT_EQ(resolved(config_from_resolved(values, "run.json")), values);
}

TEST(Config, EqualValuesGiveEqualText) {
  const auto one =
      resolved(parse(kSmallest + "[train]\nlearning_rate = 1e-3\nnum_train_epochs = 3.0\n"
                                 "[lora]\nlora_target = v_proj , q_proj\n"
                                 "[method]\naccept_threshold = -0.0\n"));
  EXPECT_EQ(one, resolved(parse(kSmallest + "[method]\naccept_threshold = 0\n")));
  EXPECT_EQ(one.at("train.learning_rate"), "0.001");
  EXPECT_EQ(one.at("lora.lora_target"), "q_proj,v_proj");
  EXPECT_EQ(one.at("method.accept_threshold"), "0");
}

TEST(Config, GeneralRowsAreBuiltinNoneOrTasks) {
  const auto general = [](const std::string& value) {
    return parse(kSmallest + "[data]\ngeneral = " + value + "\n");
  };
  EXPECT_TRUE(general("none").data.general.empty());
  EXPECT_TRUE(general("").data.general.empty());  // as runs of older versions have it
  EXPECT_EQ(resolved(general("none")).at("data.general"), "none");
  EXPECT_EQ(resolved(general("")).at("data.general"), "none");
  EXPECT_THAT(general("builtin, g").data.general, ElementsAre("builtin", "g"));
  EXPECT_THAT(error_of(kSmallest + "[data]\ngeneral = none, g\n"), HasSubstr("none"));
}

TEST(Config, DefaultsOfTheTableAreCanonical) {
  const auto values = resolved(parse(kSmallest));
  for (const auto& info : option_list()) {
    if (!info.is_required) {
      EXPECT_EQ(values.at(info.key()), info.default_text) << info.key();
    }
    EXPECT_THAT(option_help(), HasSubstr(info.name));
    EXPECT_FALSE(info.values.empty()) << info.key();
  }
}

TEST(Config, AllLinears) {
  EXPECT_THAT(
      parse(kSmallest + "[lora]\nlora_target = all\n").lora.lora_target,
      ElementsAre("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"));
}

TEST(Config, MicroBatchFollowsASmallBatch) {
  EXPECT_EQ(parse(kSmallest + "[train]\ntrain_batch_size = 3\n").train.micro_batch_size, 3);
  EXPECT_EQ(parse(kSmallest + "[train]\ntrain_batch_size = 64\n").train.micro_batch_size, 4);
  EXPECT_THAT(error_of(kSmallest + "[train]\ntrain_batch_size = 2\nmicro_batch_size = 4\n"),
              AllOf(HasSubstr("a.cfg line 10"), HasSubstr("from 1 to 2")));
}

TEST(Config, CommentsOnlyAtTheStartOfALine) {
  const Config config =
      parse("# first\r\n   # indented\r\n" + kSmallest +
            "[method]\r\naccept_indicator = #1\r\npass_indicator = a = b # c\r\n");
  EXPECT_EQ(config.method.accept_indicator, "#1");
  EXPECT_EQ(config.method.pass_indicator, "a = b # c");
}

TEST(Config, ByteOrderMarkAndNoLastNewline) {
  EXPECT_EQ(parse("\xEF\xBB\xBF" + kSmallest + "[train]\nseed=7").train.seed, 7U);
}

TEST(Config, PathsStayAsTyped) {
  EXPECT_EQ(
      parse(kSmallest + "[model]\n", {set("output.output_dir", "$HOME/../~x")}).output.output_dir,
      "$HOME/../~x");
}

TEST(Config, UnknownKeyNamesLineAndNearest) {
  const auto text = error_of(kSmallest + "[train]\n\nlearning_rat = 1\n");
  EXPECT_THAT(text, AllOf(HasSubstr("a.cfg line 10"), HasSubstr("'learning_rat'"),
                          HasSubstr("[train]"), HasSubstr("'learning_rate'")));
}

TEST(Config, KeyOfAnotherSection) {
  EXPECT_THAT(error_of(kSmallest + "[train]\nlora_rank = 8\n"),
              AllOf(HasSubstr("line 9"), HasSubstr("belongs to section [lora]")));
  EXPECT_THAT(error_of("[data]\nlora_rnk = 8\n"), HasSubstr("'lora_rank' of section [lora]"));
}

TEST(Config, UnknownSectionAndBrokenLines) {
  EXPECT_THAT(error_of("[modl]\n"),
              AllOf(HasSubstr("a.cfg line 1"), HasSubstr("did you mean [model]?")));
  EXPECT_THAT(error_of("[model\n"), HasSubstr("not closed"));
  EXPECT_THAT(error_of("[model]\nmodel_name_or_path\n"),
              AllOf(HasSubstr("line 2"), HasSubstr("key = value")));
  EXPECT_THAT(error_of("[model]\n= 3\n"), HasSubstr("line 2"));
  EXPECT_THAT(
      error_of("seed = 3\n"),
      AllOf(HasSubstr("line 1"), HasSubstr("outside of any section"), HasSubstr("[train]")));
}

TEST(Config, DuplicateKeyNamesBothLines) {
  EXPECT_THAT(error_of("[train]\nseed = 1\n[model]\n[train]\nseed = 1\n"),
              AllOf(HasSubstr("a.cfg line 2"), HasSubstr("a.cfg line 5"), HasSubstr("'seed'")));
}

TEST(Config, MissingKeysAreAllNamed) {
  EXPECT_THAT(error_of("[train]\nseed = 1\n"),
              AllOf(HasSubstr("model_name_or_path"), HasSubstr("dataset_dir"), HasSubstr("tasks"),
                    HasSubstr("output_dir")));
  const std::string without_output = kSmallest.substr(0, kSmallest.find("[output]"));
  EXPECT_THAT(error_of(without_output), HasSubstr("output_dir"));
  EXPECT_EQ(parse(without_output, {}, Purpose::kPlan).output.output_dir, "");
}

TEST(Config, NotUtf8AndControlCharacters) {
  EXPECT_THAT(error_of("[model]\n# caf\xE9\n"),
              AllOf(HasSubstr("a.cfg line 2"), HasSubstr("UTF-8"), HasSubstr("column 6")));
  EXPECT_THAT(error_of(std::string("[model]\ndtype = au\0to\n", 22)),
              AllOf(HasSubstr("line 2"), HasSubstr("0x00"), HasSubstr("column 11")));
}

struct BadValue {
  std::string key;
  std::string value;
  std::string part;  // of the message
};

class BadValues : public ::testing::TestWithParam<BadValue> {};

TEST_P(BadValues, AreRefusedInWords) {
  const auto& bad = GetParam();
  const auto text = error_of(kSmallest, {set(bad.key, bad.value)});
  EXPECT_THAT(text, AllOf(HasSubstr(bad.key), HasSubstr("--set " + bad.key), HasSubstr(bad.part)));
}

INSTANTIATE_TEST_SUITE_P(
    Config,
    BadValues,
    ::testing::Values(BadValue{"train.train_batch_size", "eight", "an integer from 1 to"},
                      BadValue{"train.train_batch_size", "8.0", "'8.0'"},
                      BadValue{"train.train_batch_size", "0", "an integer from 1 to"},
                      BadValue{"train.train_batch_size", "99999999999999999999", "an integer"},
                      BadValue{"train.train_batch_size", "", "nothing"},
                      BadValue{"train.seed", "-1", "from 0 to 18446744073709551615"},
                      BadValue{"train.seed", "18446744073709551616", "from 0 to"},
                      BadValue{"train.learning_rate", "0", "a number > 0"},
                      BadValue{"train.learning_rate", "nan", "a number > 0"},
                      BadValue{"train.learning_rate", "inf", "a number > 0"},
                      BadValue{"train.learning_rate", "1e-3x", "'1e-3x'"},
                      BadValue{"train.lr_scheduler_type", "cosin", "did you mean 'cosine'?"},
                      BadValue{"train.lr_scheduler_type", "Cosine", "did you mean 'cosine'?"},
                      BadValue{"train.save_steps", "x", "an integer from 0"},
                      BadValue{"method.negative_ratio", "-0.1", "a number >= 0"},
                      BadValue{"method.buffer_ratio", "0", "> 0 and <= 1"},
                      BadValue{"method.buffer_ratio", "1.01", "> 0 and <= 1"},
                      BadValue{"method.buffer_selection", "kmean", "did you mean 'kmeans'?"},
                      BadValue{"method.gate_steps", "0", "an integer from 1"},
                      BadValue{"method.gate_learning_rate", "0", "> 0"},
                      BadValue{"method.top_k", "0", "an integer from 1"},
                      BadValue{"method.router", "sequental", "did you mean 'sequential'?"},
                      BadValue{"method.method", "ssr", "see"},
                      BadValue{"method.accept_threshold", "atuo", "auto or a number"},
                      BadValue{"method.accept_indicator", "id:x", "id:42"},
                      BadValue{"method.accept_indicator", "id:-1", "id:42"},
                      BadValue{"method.indicator_loss_weight", "0", "> 0"},
                      BadValue{"lora.lora_dropout", "1", ">= 0 and < 1"},
                      BadValue{"lora.lora_activation", "invocation",
                               "not available in this version"},
                      BadValue{"lora.lora_target", "q_prj", "did you mean 'q_proj'?"},
                      BadValue{"lora.lora_target", "q_proj,q_proj", "stands twice"},
                      BadValue{"lora.lora_target", "", "nothing"},
                      BadValue{"data.tasks", "qa,sum,qa", "'qa' stands twice"},
                      BadValue{"data.tasks", "qa,,sum", "an empty name"},
                      BadValue{"data.tasks", "", "one or more names"},
                      BadValue{"data.tasks", "../qa", "'../qa' cannot be a task's name"},
                      BadValue{"data.tasks", "a/b", "cannot be a task's name"},
                      BadValue{"data.tasks", "base", "base model"},
                      BadValue{"data.cutoff_len", "7", "from 8"},
                      BadValue{"cluster.groups", "none", "auto or an integer"},
                      BadValue{"cluster.groups", "0", "auto or an integer from 1"},
                      BadValue{"cluster.deterministic", "yes", "true or false"},
                      BadValue{"cluster.coordinator", "alone", "one of shared, dedicated"},
                      BadValue{"cluster.backend", "gloo", "one of auto, mpi, nccl"},
                      BadValue{"model.dtype", "float16", "float32"},
                      BadValue{"eval.metric", "rougeL", "rouge_l"}),
    [](const auto& tested) { return "n" + std::to_string(tested.index); });

TEST(Config, IllTypedValueInAFileNamesItsLine) {
  EXPECT_THAT(error_of(kSmallest + "[train]\nseed = 1.5\n"),
              AllOf(HasSubstr("a.cfg line 9"), HasSubstr("train.seed"), HasSubstr("'1.5'")));
}

TEST(Config, ValuesThatDoNotGoTogether) {
  EXPECT_THAT(error_of(kSmallest + "[method]\naccept_indicator = pass\n"),
              AllOf(HasSubstr("a.cfg line 9"), HasSubstr("method.pass_indicator (default)"),
                    HasSubstr("'pass'")));
  EXPECT_THAT(
      error_of(kSmallest + "[data]\ngeneral = x, qa\n"),
      AllOf(HasSubstr("'qa' is both"), HasSubstr("a.cfg line 5"), HasSubstr("a.cfg line 9")));
}

TEST(Overrides, StandAboveTheFile) {
  const Config config =
      parse(kSmallest + "[train]\nseed = 1\n", {set("train.seed", "2"), set("data.general", "")});
  EXPECT_EQ(config.train.seed, 2U);
  EXPECT_EQ(parse("", {set("model.model_name_or_path", "m"), set("data.dataset_dir", "d"),
                       set("data.tasks", "a"), set("output.output_dir", "o")})
                .output.output_dir,
            "o");
}

TEST(Overrides, TwiceOrUnknown) {
  EXPECT_THAT(error_of(kSmallest, {set("train.seed", "1"), {"train.seed", "2", "--train.seed=2"}}),
              AllOf(HasSubstr("--set train.seed=1"), HasSubstr("--train.seed=2")));
  EXPECT_THAT(error_of(kSmallest, {set("train.sed", "1")}),
              HasSubstr("did you mean 'train.seed'?"));
  EXPECT_THAT(error_of(kSmallest, {set("seed", "1")}), HasSubstr("did you mean 'train.seed'?"));
  EXPECT_THAT(error_of(kSmallest, {set("train.seed", "\xff")}), HasSubstr("UTF-8"));
}

TEST(Overrides, OfARunAreLimited) {
  const Config base = parse(kSmallest);
  const auto changed = with_overrides(
      base,
      std::vector{set("data.max_new_tokens", "5"), set("cluster.threads_per_rank", "3"),
                  set("data.max_eval_samples", "9"), set("eval.eval_batch_size", "2")},
      Purpose::kEval);
  EXPECT_EQ(changed.data.max_new_tokens, 5);
  EXPECT_EQ(changed.cluster.threads_per_rank, 3);
  EXPECT_EQ(changed.data.max_eval_samples, 9);
  EXPECT_EQ(changed.eval.eval_batch_size, 2);
  for (const auto& key :
       {"train.seed", "data.cutoff_len", "method.accept_threshold", "model.dtype"}) {
    try {
      with_overrides(base, std::vector{set(key, "1")}, Purpose::kEval);
      ADD_FAILURE() << key;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kUsage);
      EXPECT_THAT(error.what(), AllOf(HasSubstr("belongs to the run"), HasSubstr(key)));
    }
  }
  EXPECT_THROW(with_overrides(base, std::vector{set("eval.metric", "rouge_l")}, Purpose::kAsk),
               base::Error);
}

TEST(Overrides, OfAModelAlone) {
  const Config config = config_for_model("m", std::vector{set("model.dtype", "float32")});
  EXPECT_EQ(config.model.model_name_or_path, "m");
  EXPECT_EQ(config.model.dtype, "float32");
  EXPECT_THROW(config_for_model("m", std::vector{set("train.seed", "1")}), base::Error);
}

TEST(Resolved, ComesBackAndRefusesWhatItDoesNotKnow) {
  const auto values = resolved(parse(kSmallest, {}, Purpose::kTrain));
  EXPECT_EQ(resolved(config_from_resolved(values, "run.json")), values);
  auto older = values;
  older.erase("method.indicator_loss_weight");
  EXPECT_EQ(resolved(config_from_resolved(older, "run.json")), values);
  for (const auto& [key, value] : {std::pair{"train.new_key", "1"}, std::pair{"train.seed", "x"}}) {
    auto bad = values;
    bad[key] = value;
    try {
      config_from_resolved(bad, "run.json");
      ADD_FAILURE() << key;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
      EXPECT_THAT(error.what(), AllOf(HasSubstr("run.json"), HasSubstr(key)));
    }
  }
  EXPECT_EQ(resolved(config_from_resolved(resolved(config_for_model("m", {})), "x")),
            resolved(config_for_model("m", {})));
}

TEST(Identity, HoldsWhatChangesAnExpert) {
  const auto facts =
      identity_facts(parse(kSmallest + "[data]\ngeneral = none\n[method]\naccept_threshold = 0\n"));
  for (const auto& key : {"train.seed", "train.micro_batch_size", "train.learning_rate",
                          "lora.lora_rank", "data.cutoff_len", "data.template",
                          "method.negative_ratio", "method.accept_threshold", "model.dtype"}) {
    EXPECT_TRUE(facts.contains(key)) << key;
  }
  for (const auto& [key, value] : facts) {
    EXPECT_FALSE(key.starts_with("cluster.") || key.starts_with("eval.") ||
                 key.starts_with("output."))
        << key;
  }
  for (const auto& key :
       {"train.logging_steps", "train.save_steps", "train.save_seconds", "train.non_finite",
        "data.tasks", "data.dataset_dir", "data.max_new_tokens", "data.max_eval_samples",
        "method.calibration_ratio", "method.calibration_batch_size", "data.general_samples"}) {
    EXPECT_FALSE(facts.contains(key)) << key;
  }
  const auto defaults = identity_facts(parse(kSmallest));
  for (const auto& key : {"method.calibration_ratio", "method.calibration_batch_size",
                          "method.negative_floor", "method.buffer_floor",
                          "method.indicator_balance", "data.general", "data.general_samples"}) {
    EXPECT_TRUE(defaults.contains(key)) << key;
  }
}

TEST(Identity, ValidationsAreAFactWhereTheyDecide) {
  const auto facts = [](const std::string& lines) {
    std::set<std::string> keys;
    for (const auto& [key, value] : identity_facts(parse(kSmallest + lines))) {
      keys.insert(key);
    }
    for (const auto& [key, value] : identity_facts(parse(kSmallest))) {
      keys.erase(key);
    }
    return keys;
  };
  const std::string rows = "[data]\nval_size = 0.1\n";
  EXPECT_THAT(facts(rows + "[train]\neval_steps = 5\n"), ElementsAre("data.val_size"));
  EXPECT_THAT(facts(rows + "[train]\neval_steps = 5\nearly_stopping_patience = 3\n"),
              ElementsAre("data.val_size", "train.early_stopping_patience", "train.eval_steps"));
  EXPECT_THAT(facts("[output]\ntensorboard = true\n"), ElementsAre());
}

TEST(ParseConfig, ValidationKeys) {
  EXPECT_EQ(parse(kSmallest + "[data]\nval_size = 0.15\n").data.val_size, 0.15);
  EXPECT_EQ(resolved(parse(kSmallest + "[data]\nval_size = 100\n")).at("data.val_size"), "100");
  EXPECT_THAT(error_of(kSmallest + "[data]\nval_size = 1.5\n"), HasSubstr("whole number of rows"));
  EXPECT_THAT(error_of(kSmallest + "[data]\nval_size = -1\n"), HasSubstr("val_size"));
  EXPECT_THAT(error_of(kSmallest + "[train]\nearly_stopping_patience = 2\n"),
              HasSubstr("set data.val_size"));
  EXPECT_THAT(error_of(kSmallest + "[train]\neval_steps = 2\n"), HasSubstr("set data.val_size"));
  EXPECT_THAT(error_of(kSmallest + "[data]\nval_size = 2\n[train]\nearly_stopping_threshold = 1\n"),
              HasSubstr("set train.early_stopping_patience"));
}

TEST(LoadConfig, ReadsAFileAndNamesAMissingOne) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / "baton_config_test";
  std::filesystem::create_directories(folder);
  const auto file = folder / "a.cfg";
  std::ofstream(file) << kSmallest << "[train]\nsede = 1\n";
  try {
    load_config(file, {}, Purpose::kTrain);
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr(file.string() + " line 9"), HasSubstr("'seed'")));
  }
  try {
    load_config(folder / "none.cfg", {}, Purpose::kTrain);
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_EQ(base::exit_code(error.kind()), 2);
    EXPECT_THAT(error.what(), HasSubstr("none.cfg"));
  }
  std::filesystem::remove_all(folder);
}

TEST(Describe, ShowsWhatDiffersAndOnRequestEveryKey) {
  const Config config = parse(kSmallest + "[train]\nseed = 7\n");
  const auto brief = describe(config, false);
  for (const auto& info : option_list()) {
    EXPECT_THAT(describe(config, true), HasSubstr(info.key()));
    if (info.is_required || info.key() == "train.seed") {
      EXPECT_THAT(brief, HasSubstr(info.key()));
    } else {
      EXPECT_THAT(brief, Not(HasSubstr(info.key())));
    }
  }
  EXPECT_THAT(brief, HasSubstr(fmt::format("{} more keys have their defaults (--all-keys shows",
                                           option_list().size() - 5)));
}

TEST(Describe, FitsEightyColumns) {
  std::string tasks = "a-task-with-a-long-name-0";
  for (int i = 1; i < 30; ++i) {
    tasks += fmt::format(", a-task-with-a-long-name-{}", i);
  }
  const auto table = describe(parse(kSmallest, {set("data.tasks", tasks)}), true);
  for (const auto& line : base::split_list(table, '\n')) {
    EXPECT_LE(line.size(), 80U) << line;
  }
  EXPECT_THAT(table, HasSubstr("a-task-with-a-long-name-29"));
}

TEST(Hints, WordsBehindAValueAreNoComment) {
  EXPECT_THAT(error_of(kSmallest + "[train]\nlearning_rate = 1e-3  # the peak\n"),
              AllOf(HasSubstr("line 9"), HasSubstr("only at the start of a line")));
  EXPECT_THAT(error_of(kSmallest + "[cluster]\ndeterministic = true\t# yes\n"),
              HasSubstr("only at the start of a line"));
}

TEST(Hints, YamlIsRecognised) {
  EXPECT_THAT(error_of(kSmallest + "[train]\nlearning_rate: 1e-3\n"),
              HasSubstr("write 'learning_rate = 1e-3'"));
  EXPECT_THAT(error_of(kSmallest + "train:\n"), HasSubstr("a section is written [train]"));
  EXPECT_THAT(error_of(kSmallest + "- qa\n"), HasSubstr("one, two, three"));
  EXPECT_THAT(error_of("---\n" + kSmallest), HasSubstr("neither YAML nor JSON"));
}

TEST(Hints, NamesOfOtherTools) {
  for (const auto& [typed, meant] : std::map<std::string, std::string>{
           {"lora.rank", "lora.lora_rank"},
           {"lora.alpha", "lora.lora_alpha"},
           {"lora.target", "lora.lora_target"},
           {"train.lr", "train.learning_rate"},
           {"train.epochs", "train.num_train_epochs"},
           {"train.per_device_train_batch_size", "train.micro_batch_size"},
           {"model.bf16", "model.dtype"},
           {"train.lr_scheduler", "train.lr_scheduler_type"}}) {
    try {
      parse(kSmallest, {set(typed, "8")});
      ADD_FAILURE() << typed;
    } catch (const base::Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("did you mean '" + meant + "'")) << typed;
    }
  }
  EXPECT_THAT(error_of(kSmallest + "[lora]\nlora.rank = 8\n"),
              AllOf(HasSubstr("'lora_rank'"), HasSubstr("not before the dot")));
}

TEST(Mistakes, AreNamedAllAtOnce) {
  const auto text = error_of(kSmallest +
                             "[train]\nlearning_rat = 1\nbatch_size: 8\n[loar]\nrank = 8\n"
                             "[lora]\nrank = 8\nlora_rank = 4\nlora_rank = 8\n");
  EXPECT_THAT(text, AllOf(HasSubstr("5 mistakes in the config"), HasSubstr("line 9: unknown key"),
                          HasSubstr("line 10: a line of the config is no setting"),
                          HasSubstr("line 11: unknown section [loar]; did you mean [lora]?"),
                          HasSubstr("line 14: unknown key 'rank'"), HasSubstr("set twice")));
  EXPECT_THAT(text, Not(HasSubstr("line 12")));
  try {
    parse(kSmallest, {set("lora.rank", "8"), set("train.lr", "1")});
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("lora.lora_rank"), HasSubstr("train.learning_rate")));
  }
}

}  // namespace
}  // namespace baton::config
