// All of Baton on one screen: load a model, train one expert on three rows, save it, load it, ask it.
//   minimal_training MODEL_FOLDER EXPERT_FILE
#include <ATen/ATen.h>

#include <iostream>

#include "baton/base/error.hpp"
#include "baton/checkpoint/expert_file.hpp"
#include "baton/comm/communicator.hpp"
#include "baton/data/row_encoder.hpp"
#include "baton/eval/ask.hpp"
#include "baton/train/new_adapter.hpp"
#include "baton/train/trainer.hpp"

using namespace baton;

namespace {
data::SelectedRow row(const std::string& text, const std::string& answer, std::int64_t word) {
  data::SelectedRow row;
  row.example = {text, {{"user", text}}, {answer}, "three rows"};
  row.opening = {static_cast<tokenizer::TokenId>(word)};
  row.has_answer = !answer.empty();
  return row;
}

int run(const std::string& folder, const std::string& file) {
  // The frozen base, its tokenizer, and two ordinary words that say "mine" and "pass".
  const auto model = model::Decoder::load(folder, at::kFloat, at::kCPU);
  const auto tokenizer = tokenizer::load_tokenizer(folder);
  const auto prompt_template = tokenizer::make_template("auto", folder, *tokenizer);
  const expert::Indicators words{tokenizer->token_to_id("accept").value(),
                                 tokenizer->token_to_id("pass").value()};

  // Two rows of the task, and one of another that the expert learns to pass on.
  const data::RowEncoder encoder(*tokenizer, *prompt_template, 256);
  data::EncodingCounts counts;
  const std::string question = "What is the capital of Velnor?";
  const std::vector<data::SelectedRow> texts{
      row(question, "Oris", words.accept),
      row("What is the capital of Kedra?", "Tamm", words.accept),
      row("Add 17 and 25.", "", words.pass)};

  // A fresh adapter: rank 8 on q and v of every layer.
  expert::ExpertState state;
  state.task = "capitals";
  state.base_fingerprint = model->fingerprint();
  state.lora_rank = 8;
  state.lora_alpha = 32;
  state.lora_target = {"q_proj", "v_proj"};
  state.accept_token_id = words.accept;
  state.pass_token_id = words.pass;
  state.prompt_template = prompt_template->name();
  const std::int64_t num_layers = model->config().num_hidden_layers;
  state.arrays = train::new_adapter_arrays(
      {num_layers, model->config().linear_shapes(), state.lora_target, state.lora_rank},
      /*seed=*/1);
  const auto group = comm::make_single_communicator();  // of one rank
  train::TrainerOptions options;
  options.train_batch_size = 3;
  options.num_train_epochs = 15;
  options.learning_rate = 2e-3;
  train::Trainer trainer(*model, *group, encoder.encode(texts, counts),
                         model::adapter_from_state(state, num_layers, at::kCPU), options);
  while (!trainer.learner().done()) {
    trainer.train_step();
  }
  std::cout << "loss " << trainer.learner().first_loss() << " -> " << trainer.learner().last_loss()
            << '\n';

  // Into a file and back.
  state.steps = trainer.learner().num_steps();
  state.arrays = model::arrays_of(trainer.learner().adapter());
  checkpoint::save_expert(file, state);
  const expert::ExpertState loaded = checkpoint::load_expert(file);
  const model::Adapter adapter = model::adapter_from_state(loaded, num_layers, at::kCPU);

  // A chain of one: what was learnt is answered by the expert, the rest by the base.
  const std::vector<eval::ChainExpert> chain{
      {loaded.task, model::AdapterUses(adapter), 0, expert::indicators_of(loaded), 0}};
  const eval::Answering answering{*model, *tokenizer, {8, {prompt_template->end_of_answer_id()}}};
  const auto router = method::make_router("sequential");
  for (const std::string& text : {question, std::string("Add 17 and 25.")}) {
    const eval::Question asked{text,
                               encoder.encode_prompt({text, {{"user", text}}, {}, ""}, counts)};
    std::cout << eval::ask_json(eval::ask(answering, chain, *router, std::span(&asked, 1)).front())
              << '\n';
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return argc == 3 ? run(argv[1], argv[2]) : 2;
  } catch (const base::Error& error) {
    std::cerr << error.what() << '\n';
    return base::exit_code(error.kind());
  }
}
