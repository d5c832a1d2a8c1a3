// predictions.jsonl as samples of lm-evaluation-harness. Hashes are those of Python's hashlib over
// json.dumps(doc, indent=2, ensure_ascii=False), the prompt and the target.

#include "baton/eval/samples.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "baton/base/error.hpp"
#include "baton/base/json.hpp"

namespace baton::eval {
namespace {

using base::Json;
using testing::HasSubstr;

constexpr const char* kLine =
    R"({"task":"qa","id":"q-1","prompt":"Où?\n\"là\"","references":["ici","là"],)"
    R"("margins":{"qa":-1.5},"answers":{"base":"ici même","qa":"là"},)"
    R"("scores":{"base":66.5,"qa":100.0},"answered_by":["base","base"],"answer":"ici même"})"
    "\n";

std::string error_of(const std::string& text, const SampleFacts& facts) {
  try {
    samples_jsonl(text, facts, "predictions.jsonl");
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
    return error.what();
  }
  ADD_FAILURE() << "nothing thrown";
  return "";
}

TEST(Samples, AreWhatTheHarnessLogs) {
  const std::string text =
      samples_jsonl(std::string(kLine) + kLine, {{{"qa", "rouge_l"}}, 64}, "f");
  const auto end = text.find('\n');
  const Json second = Json::parse(text.substr(end + 1));
  EXPECT_EQ(second["doc_id"], 1);
  const Json sample = Json::parse(text.substr(0, end));
  const Json wanted = Json::parse(R"({
    "doc_id": 0,
    "doc": {"task": "qa", "id": "q-1", "prompt": "Où?\n\"là\"", "references": ["ici", "là"]},
    "target": "ici",
    "arguments": {"gen_args_0": {"arg_0": "Où?\n\"là\"",
      "arg_1": {"until": [], "do_sample": false, "max_gen_toks": 64}}},
    "resps": [["ici même"]], "filtered_resps": ["ici même"], "filter": "none",
    "metrics": ["rouge_l"],
    "doc_hash": "d1f890be0f99242191d44c218a3ae5e4a886f1949f8a6ea638761064eeb18da3",
    "prompt_hash": "0d972db3dbe97a6e52376f29f892924a6d44a81b12a60b9cf061666bfea5d8c8",
    "target_hash": "af133f1c3385f7f7739dc25349f5b212a7fa046c032bdf52999e91ab15e55ad1",
    "rouge_l": 66.5})");
  EXPECT_EQ(sample, wanted) << sample.dump(1);
}

TEST(Samples, OfNothingAreNothing) {
  EXPECT_EQ(samples_jsonl("", {}, "f"), "");
}

TEST(Samples, WhatIsNoPredictionIsNamed) {
  const SampleFacts facts{{{"qa", "rouge_l"}}, 64};
  EXPECT_THAT(error_of(std::string(kLine) + "{\"task\":\"qa\"}\n", facts),
              HasSubstr("predictions.jsonl line 2"));
  EXPECT_THAT(error_of(std::string(kLine) + "{\n", facts), HasSubstr("predictions.jsonl line 2"));
  EXPECT_THAT(error_of(kLine, {}), HasSubstr("predictions.jsonl line 1"));
}

}  // namespace
}  // namespace baton::eval
