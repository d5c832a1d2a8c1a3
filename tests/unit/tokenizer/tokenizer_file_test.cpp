// tokenizer.json files that cannot be used, and what `encode` promises whatever the kind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <thread>

#include "baton/base/error.hpp"
#include "tokenizer_fixture.hpp"

namespace baton::tokenizer {
namespace {

using base::Json;

Json small_file() {
  return Json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 8, "content": "<end>", "single_word": false,
                      "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": null,
    "decoder": {"type": "ByteLevel", "add_prefix_space": true, "use_regex": true},
    "model": {"type": "BPE", "dropout": null, "unk_token": null,
              "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
              "byte_fallback": false, "ignore_merges": false,
              "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5, "Ġ": 6, "Ġa": 7},
              "merges": ["b c", "a b", "a bc", "Ġ a"]}
  })");
}

std::unique_ptr<Tokenizer> load_text(const std::string& text) {
  const TemporaryFolder folder;
  folder.write("tokenizer.json", text);
  return load_tokenizer(folder.path());
}

std::string error_of(const std::string& text) {
  try {
    load_text(text);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
    return error.what();
  }
  return "accepted";
}

using Ids = std::vector<TokenId>;

TEST(TokenizerFile, SmallFileByHand) {
  const auto tokenizer = load_text(small_file().dump());
  // "b c" has the lowest rank, so "abc" is a + bc, then abc; " ab" is Ġ a b: "a b" (rank 1) before
  // "Ġ a" (rank 3).
  EXPECT_EQ(tokenizer->encode("abc"), Ids({5}));
  EXPECT_EQ(tokenizer->encode("abab"), Ids({3, 3}));
  EXPECT_EQ(tokenizer->encode("a ab ac"), Ids({0, 6, 3, 7, 2}));
  // Without an unknown token, bytes that the vocabulary lacks are left out.
  EXPECT_EQ(tokenizer->encode("axb"), Ids({3}));
  EXPECT_EQ(tokenizer->encode("<end>"), Ids({}));
  EXPECT_EQ(tokenizer->encode_with_special("a<end>b"), Ids({0, 8, 1}));
  EXPECT_EQ(tokenizer->decode({7, 3, 8}, false), " aab<end>");
  EXPECT_EQ(tokenizer->decode({7, 3, 8}, true), " aab");
  EXPECT_EQ(tokenizer->decode({-1, 99, 0}, true), "a");
  EXPECT_EQ(tokenizer->vocabulary_size(), 9);
  EXPECT_EQ(tokenizer->token_to_id("<end>"), 8);
  EXPECT_EQ(tokenizer->token_to_id("zzz"), std::nullopt);
  EXPECT_EQ(tokenizer->id_to_token(99), "");
  EXPECT_EQ(tokenizer->id_to_token(-1), "");
  EXPECT_TRUE(tokenizer->leading_ids().empty());
}

TEST(TokenizerFile, OlderFilesAloneAreToldHowToBecomeOne) {
  const auto error_in = [](const TemporaryFolder& folder) -> std::string {
    try {
      load_tokenizer(folder.path());
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
      return error.what();
    }
    return "accepted";
  };
  const TemporaryFolder folder;
  EXPECT_THAT(error_in(folder), ::testing::HasSubstr("no tokenizer of any kind"));
  folder.write("tokenizer.model", "pieces");
  EXPECT_THAT(error_in(folder), ::testing::HasSubstr("no tokenizer.json"));
  EXPECT_THAT(error_in(folder), ::testing::HasSubstr("tokenizer.model only"));
  EXPECT_THAT(error_in(folder), ::testing::HasSubstr("AutoTokenizer"));
  EXPECT_THAT(error_of("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2104556\n"),
              ::testing::HasSubstr("Git LFS pointer"));
}

std::string fingerprint_of(const Json& file) {
  return load_text(file.dump())->fingerprint();
}

TEST(TokenizerFile, FingerprintIsNotOfTheSpelling) {
  const std::string expected = fingerprint_of(small_file());
  EXPECT_EQ(load_text(small_file().dump(2, ' ', true))->fingerprint(), expected);
  Json file = small_file();
  file["model"]["merges"] = Json::parse(R"([["b","c"],["a","b"],["a","bc"],["Ġ","a"]])");
  file["version"] = "1.1";
  file["truncation"] = Json::parse(R"({"max_length": 8})");
  for (const char* key : {"fuse_unk", "byte_fallback", "ignore_merges", "dropout"}) {
    file["model"].erase(key);  // their defaults
  }
  file["pre_tokenizer"].erase("use_regex");
  for (const char* key : {"single_word", "lstrip", "rstrip", "normalized"}) {
    file["added_tokens"][0].erase(key);
  }
  EXPECT_EQ(fingerprint_of(file), expected);
}

TEST(TokenizerFile, FingerprintIsOfAllThatTheTokenizerDoes) {
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"/model/vocab", R"({"a":1,"b":0,"c":2,"ab":3,"bc":4,"abc":5,"Ġ":6,"Ġa":7})"},
      {"/model/vocab/d", "9"},
      {"/model/merges", R"(["a b","b c","a bc","Ġ a"])"},
      {"/model/merges", R"(["b c","a b","a bc"])"},
      {"/model/ignore_merges", "true"},
      {"/model/unk_token", "\"a\""},
      {"/added_tokens/0/content", "\"<stop>\""},
      {"/added_tokens/0/special", "false"},
      {"/added_tokens/0/lstrip", "true"},
      {"/normalizer", R"({"type":"NFC"})"},
      {"/pre_tokenizer/add_prefix_space", "true"},
      {"/pre_tokenizer/use_regex", "false"},
      {"/pre_tokenizer", R"({"type":"Sequence","pretokenizers":[{"type":"Digits"},
          {"type":"ByteLevel","add_prefix_space":false}]})"},
      {"/decoder", R"({"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteLevel"}]})"},
      {"/post_processor", R"({"type":"TemplateProcessing","single":[
          {"SpecialToken":{"id":"<end>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}]})"}};
  std::set<std::string> seen{fingerprint_of(small_file())};
  for (const auto& [place, value] : changes) {
    Json file = small_file();
    file[Json::json_pointer(place)] = Json::parse(value);
    EXPECT_TRUE(seen.insert(fingerprint_of(file)).second) << place << " = " << value;
  }
}

TEST(TokenizerFile, MergesAsPairsAreTheSame) {
  Json file = small_file();
  file["model"]["merges"] = Json::parse(R"([["b","c"],["a","b"],["a","bc"],["Ġ","a"]])");
  const auto tokenizer = load_text(file.dump());
  EXPECT_EQ(tokenizer->encode("abc ab"), Ids({5, 6, 3}));
}

TEST(TokenizerFile, NotThereOrNotJson) {
  const TemporaryFolder folder;
  EXPECT_THROW(load_tokenizer(folder.path()), base::Error);
  EXPECT_THAT(error_of(""), testing::HasSubstr("tokenizer.json"));
  EXPECT_THAT(error_of("{\"model\": "), testing::HasSubstr("tokenizer.json"));
  EXPECT_NE(error_of("[]"), "accepted");
  EXPECT_NE(error_of("null"), "accepted");
  EXPECT_NE(error_of(std::string(5000, '[')), "accepted");
}

struct BadPart {
  std::string pointer;  // what is replaced
  std::string value;
  std::string named;  // what the error must name
};

class BadTokenizerFile : public testing::TestWithParam<BadPart> {};

TEST_P(BadTokenizerFile, IsAModelErrorThatNamesThePart) {
  Json file = small_file();
  file[Json::json_pointer(GetParam().pointer)] = Json::parse(GetParam().value);
  EXPECT_THAT(error_of(file.dump()), testing::HasSubstr(GetParam().named))
      << GetParam().pointer << " = " << GetParam().value;
}

INSTANTIATE_TEST_SUITE_P(
    Parts,
    BadTokenizerFile,
    testing::Values(
        BadPart{"/model", "null", "model"},
        BadPart{"/model", "7", "model"},
        BadPart{"/model", "[]", "model"},
        BadPart{"/model/type", "\"Unigram\"", "Unigram"},
        BadPart{"/model/type", "\"WordPiece\"", "WordPiece"},
        BadPart{"/model/type", "3", "model.type"},
        BadPart{"/model/vocab", "null", "model.vocab"},
        BadPart{"/model/vocab", "{}", "model.vocab"},
        BadPart{"/model/vocab", "[[\"a\", 0.5]]", "model.vocab"},
        BadPart{"/model/vocab/a", "-1", "model.vocab"},
        BadPart{"/model/vocab/a", "1.5", "model.vocab"},
        BadPart{"/model/vocab/a", "\"0\"", "model.vocab"},
        BadPart{"/model/vocab/a", "1", "id 1"},
        BadPart{"/model/vocab/a", "4000000000", "4000000000"},
        BadPart{"/model/vocab/a", "18446744073709551615", "model.vocab"},
        BadPart{"/model/vocab/", "20", "model.vocab"},
        BadPart{"/model/merges", "null", "model.merges"},
        BadPart{"/model/merges", "{\"a\": 1}", "model.merges"},
        BadPart{"/model/merges/0", "\"bc\"", "entry 0"},
        BadPart{"/model/merges/0", "\"b c d\"", "entry 0"},
        BadPart{"/model/merges/0", "[\"b\"]", "entry 0"},
        BadPart{"/model/merges/0", "[\"b\", 3]", "entry 0"},
        BadPart{"/model/merges/0", "5", "entry 0"},
        BadPart{"/model/merges/1", "\"q c\"", "\"q\" at entry 1"},
        BadPart{"/model/merges/1", "\"c a\"", "\"ca\" at entry 1"},
        BadPart{"/model/dropout", "0.1", "model.dropout"},
        BadPart{"/model/unk_token", "\"<unk>\"", "model.unk_token"},
        BadPart{"/model/unk_token", "1", "model.unk_token"},
        BadPart{"/model/byte_fallback", "\"yes\"", "model.byte_fallback"},
        BadPart{"/model/ignore_merges", "1", "model.ignore_merges"},
        BadPart{"/model/continuing_subword_prefix", "\"##\"", "continuing_subword_prefix"},
        BadPart{"/model/end_of_word_suffix", "\"</w>\"", "end_of_word_suffix"},
        BadPart{"/normalizer", "{\"type\": \"Lowercase\"}", "Lowercase"},
        BadPart{"/normalizer", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFKC\"}]}",
                "normalizer.normalizers[0]"},
        BadPart{"/normalizer", "\"NFC\"", "normalizer"},
        BadPart{"/normalizer", R"({"type": "Replace", "pattern": {"Regex": " +"}, "content": ""})",
                "normalizer.pattern.String"},
        BadPart{"/pre_tokenizer",
                R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})", "last"},
        BadPart{"/decoder", R"({"type": "Strip", "content": "", "start": 1, "stop": 0})",
                "decoder.content"},
        BadPart{"/model/vocab/d", "10", "none for id 9"},
        BadPart{"/pre_tokenizer", "null", "pre_tokenizer"},
        BadPart{"/pre_tokenizer", "{\"type\": \"Metaspace\"}", "replacement"},
        BadPart{"/pre_tokenizer", "{\"type\": \"Sequence\", \"pretokenizers\": []}",
                "pre_tokenizer"},
        BadPart{"/pre_tokenizer",
                "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\"}]}",
                "pre_tokenizer"},
        BadPart{"/pre_tokenizer",
                R"({"type": "Sequence", "pretokenizers":
                   [{"type": "ByteLevel"}, {"type": "ByteLevel"}]})",
                "pretokenizers[1]"},
        BadPart{"/pre_tokenizer",
                R"({"type": "Sequence", "pretokenizers": [
                   {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"},
                   {"type": "ByteLevel"}]})",
                "pattern.Regex"},
        BadPart{"/pre_tokenizer",
                R"({"type": "Sequence", "pretokenizers": [
                   {"type": "Split", "pattern": {"Regex": "\\h+"}, "behavior": "Isolated"},
                   {"type": "ByteLevel"}]})",
                "\\h"},
        BadPart{"/pre_tokenizer",
                R"({"type": "Sequence", "pretokenizers": [
                   {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Contiguous"},
                   {"type": "ByteLevel"}]})",
                "Contiguous"},
        BadPart{"/decoder", "null", "decoder"},
        BadPart{"/decoder", "{\"type\": \"WordPiece\"}", "WordPiece"},
        BadPart{"/decoder", "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Fuse\"}]}",
                "decoder"},
        BadPart{"/post_processor",
                R"({"type": "TemplateProcessing", 
                   "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}]})",
                "<bos>"},
        BadPart{"/added_tokens", "{}", "added_tokens"},
        BadPart{"/added_tokens/0", "\"<end>\"", "added_tokens[0]"},
        BadPart{"/added_tokens/0/id", "-3", "added_tokens[0].id"},
        BadPart{"/added_tokens/0/id", "99999999999999999999999", "added_tokens[0].id"},
        BadPart{"/added_tokens/0/id", "2147483647", "added_tokens[0].id"},
        BadPart{"/added_tokens/0/id", "2", "model.vocab"},
        BadPart{"/added_tokens/0/content", "\"\"", "added_tokens[0].content"},
        BadPart{"/added_tokens/0/content", "\"ab\"", "added_tokens[0]"},
        BadPart{"/added_tokens/0/content", "null", "added_tokens[0].content"},
        BadPart{"/added_tokens/0/single_word", "true", "single_word"},
        BadPart{"/added_tokens/1", R"({"id": 8, "content": "<other>", "special": true})",
                "added_tokens[1]"},
        BadPart{"/added_tokens/1", R"({"id": 9, "content": "<end>", "special": true})",
                "added_tokens[1]"}));

// Characters of which some have no id at all would vanish.
TEST(TokenizerFile, CharactersNeedBytesOrAnUnknownToken) {
  Json file = small_file();
  file["pre_tokenizer"] = nullptr;
  file["decoder"] = Json::parse(R"({"type": "Fuse"})");
  EXPECT_THAT(error_of(file.dump()), testing::HasSubstr("model.byte_fallback"));
  file["model"]["unk_token"] = "Ġa";
  const auto tokenizer = load_text(file.dump());
  EXPECT_EQ(tokenizer->encode("abqa"), Ids({3, 7, 0}));
  EXPECT_EQ(tokenizer->encode("\u00e9"), Ids({7})) << "one character, one token";
}

TEST(TokenizerFile, CutAnywhereIsRefused) {
  const std::string text = small_file().dump();
  for (std::size_t size = 0; size < text.size(); size += 7) {
    EXPECT_NE(error_of(text.substr(0, size)), "accepted") << size;
  }
}

TEST(TokenizerFile, RemovedPartsNeverCrash) {
  // Every member of every object is left out once: accepted or refused, nothing else.
  const Json original = small_file().flatten();
  for (const auto& [pointer, value] : original.items()) {
    Json file = original;
    file.erase(pointer);
    try {
      EXPECT_EQ(load_text(file.unflatten().dump())->decode({0}), "a");
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kModel) << pointer;
    }
  }
}

// Without a step limit the pattern would try 2^59 ways to share out sixty letters.
TEST(TokenizerFile, HungryPatternIsAnErrorNotAHang) {
  Json file = small_file();
  file["pre_tokenizer"] = Json::parse(R"({"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"Regex": "(a+)+(?=b)[cd]"}, "behavior": "Isolated"},
    {"type": "ByteLevel", "add_prefix_space": false}]})");
  const auto tokenizer = load_text(file.dump());
  EXPECT_EQ(tokenizer->encode("ab"), Ids({3}));
  try {
    tokenizer->encode(std::string(60, 'a') + "b");
    ADD_FAILURE() << "accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kModel);
  }
}

TEST(Encode, InvalidUtf8NamesTheByte) {
  const auto tokenizer = load_text(small_file().dump());
  for (const auto& [text, offset] :
       std::vector<std::pair<std::string, std::string>>{{"ab\xFF", "byte 2 "},
                                                        {"\xC0\x80", "byte 0 "},
                                                        {"a\xED\xA0\x80", "byte 1 "},
                                                        {"abc\xE2\x82", "byte 3 "},
                                                        {"\xF4\x90\x80\x80", "byte 0 "}}) {
    for (const bool special : {false, true}) {
      try {
        special ? tokenizer->encode_with_special(text) : tokenizer->encode(text);
        ADD_FAILURE() << "accepted";
      } catch (const base::Error& error) {
        EXPECT_EQ(error.kind(), base::ErrorKind::kData);
        EXPECT_THAT(error.what(), testing::HasSubstr(offset));
      }
    }
  }
}

TEST(Encode, SeveralThreadsAtOnce) {
  const auto tokenizer = load_tokenizer(golden_folder() / "llama3");
  const auto golden = read_golden("llama3/ids.json");
  const auto work = [&] {
    for (int round = 0; round < 3; ++round) {
      for (const auto& item : golden["cases"]) {
        ASSERT_EQ(tokenizer->encode(item["text"].get<std::string>()), item["ids"].get<Ids>());
      }
    }
  };
  std::thread first(work);
  std::thread second(work);
  work();
  first.join();
  second.join();
}

TEST(LeadingIds, ComeFromThePostProcessor) {
  const auto llama3 = load_tokenizer(golden_folder() / "llama3");
  ASSERT_EQ(llama3->leading_ids().size(), 1U);
  EXPECT_EQ(llama3->leading_ids().front(), llama3->token_to_id("<|begin_of_text|>"));
  EXPECT_TRUE(load_tokenizer(golden_folder() / "gpt2")->leading_ids().empty());
}

}  // namespace
}  // namespace baton::tokenizer
