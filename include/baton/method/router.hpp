#pragma once
// Who answers a query. A router sees the query and the panel (the experts, and what those said that
// were asked so far) and says whom to ask next, or who answers. It runs no model: whoever drives it
// does the asking (eval::ask on a model, eval::summarise from a file), so one router serves one
// question, a batch of them and recorded margins. Routers are equals; one more is a file in
// src/method and a line in router.cpp.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace baton::method {

class FeatureClassifier;

inline constexpr int kBase = -1;  // "expert" index of the base model

struct Query {
  std::string id = {};
  std::string true_task = {};  // empty when unknown
  /// [M] widened features of the frozen base, for a router that needs them; outlive this.
  std::span<const double> features = {};
};

/// An expert as a router knows it.
struct PanelExpert {
  std::string name;
  double threshold = 0;
  std::size_t position = 0;  // among the experts
};

struct Asked {
  int expert = kBase;
  double margin = 0;  // logit(accept) - logit(pass) of the query, in fp32; finite
};

/// What is known for one query.
struct Panel {
  std::span<const PanelExpert> experts;  // oldest first
  std::span<const Asked> asked = {};     // in the order asked
};

struct Answerer {
  int expert = kBase;
  double weight = 1.0;
};

/// One of the two lists is empty.
struct Decision {
  std::vector<int> ask = {};  // experts to ask now, none of them asked before
  /// Who answers: one, or several experts (ascending) that answer as one (Router::ensembles).
  std::vector<Answerer> answerers = {};
};

/// How a router goes by margins and thresholds alone, which a program that knows no router can do,
/// too. Experts are asked newest first.
enum class MarginRule {
  kNone,   // it goes by something else
  kFirst,  // the first one above its threshold answers, and no more are asked
  kSurest  // the one that is farthest above its threshold answers; ties: the newest
};

class Router {
 public:
  virtual ~Router() = default;
  virtual const std::string& name() const = 0;
  /// Called first with nobody asked, then each time all that it wanted asked have been.
  virtual Decision decide(const Query& query, const Panel& panel) const = 0;
  /// Whether this expert can come to answer the query at some stage of the chain, as far as its own
  /// margin tells: an evaluation decodes no other answers.
  virtual bool may_answer(const Query& query, const PanelExpert& expert, double margin) const = 0;
  /// Whether it needs Query::true_task, which only an evaluation knows.
  virtual bool needs_true_task() const { return false; }
  /// Whether it needs Query::features, and before the first query a classifier of them.
  virtual bool needs_features() const { return false; }
  virtual void take(std::shared_ptr<const FeatureClassifier> /*classifier*/) {}
  virtual MarginRule margin_rule() const { return MarginRule::kNone; }
  /// The sets of two or more experts (ascending) that it ever lets answer as one, mixed by their
  /// gates, while there are up to `num_experts`. None: it names one expert, or the base, for every
  /// query, so that there are right and wrong routes.
  virtual std::vector<std::vector<int>> ensembles(std::size_t /*num_experts*/) const { return {}; }
};

/// The router of this name (key method.router). Unknown names: kUsage, nearest name.
std::unique_ptr<Router> make_router(const std::string& name);
std::vector<std::string> router_names();

struct Route {
  std::vector<Answerer> answerers;  // never empty
  std::vector<Asked> asked;         // in the order asked
};

/// Asks until the router has decided; `margin_of` is called once for every expert asked.
Route route(const Router& router,
            const Query& query,
            std::span<const PanelExpert> experts,
            const std::function<double(int)>& margin_of);

}  // namespace baton::method
