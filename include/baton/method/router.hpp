#pragma once
// Who answers a query. A router sees the query and a panel of experts it may ask, and answers an
// ordered list of answerers with weights (one answerer for the sequential ensemble and the oracle).
// Routers are equals: make_router is the explicit list. Nothing here knows a model.

#include <memory>
#include <string>
#include <vector>

namespace baton::method {

inline constexpr int kBase = -1;  // "expert" index of the base model

struct Query {
  std::string id;
  std::string true_task;  // empty when unknown
};

/// The experts a router may ask, oldest first. Asking may run a model.
class ExpertPanel {
 public:
  virtual ~ExpertPanel() = default;
  virtual int size() const = 0;
  virtual const std::string& name(int expert) const = 0;
  virtual double threshold(int expert) const = 0;
  /// logit(accept) - logit(pass) of this expert for the query at hand, in fp32.
  virtual double margin(int expert) = 0;
};

struct Asked {
  int expert = kBase;
  double margin = 0;
};

struct Answerer {
  int expert = kBase;
  double weight = 1.0;
};

struct Route {
  std::vector<Answerer> answerers;  // never empty
  std::vector<Asked> asked;         // in the order asked
};

class Router {
 public:
  virtual ~Router() = default;
  virtual const std::string& name() const = 0;
  virtual Route route(const Query& query, ExpertPanel& panel) const = 0;
};

/// "sequential": newest first, the first expert with margin > threshold answers, else the base.
/// "oracle": the expert of the true task without asking, else the base. Unknown names: kUsage,
/// nearest name.
std::unique_ptr<Router> make_router(const std::string& name);

}  // namespace baton::method
