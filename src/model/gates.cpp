#include "baton/model/gates.hpp"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "baton/base/error.hpp"

namespace baton::model {

namespace {

template <typename Use>
void for_each_place(std::size_t num_layers, Use use) {
  for (std::size_t layer = 0; layer < num_layers; ++layer) {
    for (std::size_t linear = 0; linear < kNumLinears; ++linear) {
      use(layer, linear);
    }
  }
}

std::string key_at(std::size_t layer, std::size_t linear) {
  return expert::gate_key(static_cast<std::int64_t>(layer), expert::lora_target_names()[linear]);
}

[[noreturn]] void refuse(const std::string& where,
                         const std::string& expected,
                         const std::string& found) {
  throw base::Error(base::ErrorKind::kModel, "gates do not fit the expert",
                    {.where = where,
                     .expected = expected,
                     .found = found,
                     .fix = "remove the file: `baton eval` makes it anew"});
}

// As a layer norm without weights does it, in fp32.
at::Tensor standardised(const at::Tensor& rows) {
  return at::layer_norm(rows.to(at::kFloat), {rows.size(-1)}, {}, {}, 1e-5);
}

class Gate final : public TokenWeigher {
 public:
  explicit Gate(Gates gates) : gates_(std::move(gates)) {}

  at::Tensor weights(const at::Tensor& x, std::int64_t layer, int linear_index) const override {
    const at::Tensor& gate =
        gates_.layers[static_cast<std::size_t>(layer)][static_cast<std::size_t>(linear_index)];
    return gate.defined() ? at::sigmoid(at::mv(x.to(at::kFloat), gate)).unsqueeze(0) : at::Tensor();
  }

 private:
  Gates gates_;
};

class TopGates final : public TokenWeigher {
 public:
  TopGates(std::span<const Gates> gates, std::int64_t top_k) : top_k_(top_k) {
    BATON_ASSERT(!gates.empty() && top_k > 0, fmt::format("{} gates", gates.size()));
    const std::size_t num_layers = gates.front().layers.size();
    layers_.resize(num_layers);
    for_each_place(num_layers, [&](std::size_t layer, std::size_t linear) {
      std::vector<at::Tensor> here;
      for (const Gates& one : gates) {
        if (one.layers[layer][linear].defined()) {
          here.push_back(one.layers[layer][linear]);
        }
      }
      BATON_ASSERT(here.empty() || here.size() == gates.size(), key_at(layer, linear));
      if (!here.empty()) {
        const at::Tensor stacked = at::stack(here);
        layers_[layer][linear] =
            standardised(stacked) / std::sqrt(static_cast<double>(stacked.size(1)));
      }
    });
  }

  at::Tensor weights(const at::Tensor& x, std::int64_t layer, int linear_index) const override {
    const at::Tensor& gates =
        layers_[static_cast<std::size_t>(layer)][static_cast<std::size_t>(linear_index)];
    if (!gates.defined()) {
      return {};
    }
    const at::Tensor shares = at::softmax(at::mm(standardised(x), gates.t()), 1);  // [N, U]
    const std::int64_t num_kept = std::min(top_k_, shares.size(1));
    if (num_kept == shares.size(1)) {
      return shares.t().contiguous();
    }
    const auto [sorted, order] = at::sort(shares, /*stable=*/true, 1, /*descending=*/true);
    const at::Tensor kept = sorted.narrow(1, 0, num_kept);
    return at::zeros_like(shares)
        .scatter(1, order.narrow(1, 0, num_kept), kept / kept.sum(1, true))
        .t()
        .contiguous();
  }

 private:
  std::int64_t top_k_;
  std::vector<std::array<at::Tensor, kNumLinears>> layers_;  // [L] of [U, in], divided by sqrt(in)
};

}  // namespace

Gates zero_gates(const Adapter& adapter) {
  Gates gates;
  gates.layers.resize(adapter.layers.size());
  for_each_place(adapter.layers.size(), [&](std::size_t layer, std::size_t linear) {
    const at::Tensor& a = adapter.layers[layer][linear].a;
    if (a.defined()) {
      gates.layers[layer][linear] = at::zeros({a.size(1)}, a.options());
    }
  });
  return gates;
}

Gates gates_from_arrays(std::span<const expert::NamedArray> arrays,
                        const Adapter& adapter,
                        const std::string& where) {
  std::map<std::string, const expert::NamedArray*> by_name;
  for (const expert::NamedArray& array : arrays) {
    by_name[array.name] = &array;
  }
  Gates gates = zero_gates(adapter);
  std::size_t num_used = 0;
  for_each_place(gates.layers.size(), [&](std::size_t layer, std::size_t linear) {
    at::Tensor& gate = gates.layers[layer][linear];
    if (!gate.defined()) {
      return;
    }
    const std::string key = key_at(layer, linear);
    const auto found = by_name.find(key);
    if (found == by_name.end()) {
      refuse(where, "an array " + key, "none");
    }
    const expert::NamedArray& array = *found->second;
    if (array.shape != gate.sizes().vec() ||
        static_cast<std::int64_t>(array.values.size()) != gate.numel()) {
      refuse(where + ", " + key, fmt::format("{} numbers", gate.numel()),
             fmt::format("shape [{}]", fmt::join(array.shape, ", ")));
    }
    gate.copy_(at::tensor(array.values, at::kFloat));
    ++num_used;
  });
  if (num_used != arrays.size()) {
    refuse(where, fmt::format("{} gates, as the expert has factors", num_used),
           fmt::format("{} arrays", arrays.size()));
  }
  return gates;
}

std::vector<expert::NamedArray> arrays_of(const Gates& gates) {
  std::vector<expert::NamedArray> arrays;
  for_each_place(gates.layers.size(), [&](std::size_t layer, std::size_t linear) {
    const at::Tensor& gate = gates.layers[layer][linear];
    if (gate.defined()) {
      const at::Tensor host = gate.detach().to(at::kCPU, at::kFloat).contiguous();
      const float* values = host.data_ptr<float>();
      arrays.push_back(
          {key_at(layer, linear), host.sizes().vec(), {values, values + host.numel()}});
    }
  });
  return arrays;
}

std::shared_ptr<const TokenWeigher> make_gate(Gates gates) {
  return std::make_shared<Gate>(std::move(gates));
}

std::shared_ptr<const TokenWeigher> make_top_gates(std::span<const Gates> gates,
                                                   std::int64_t top_k) {
  return std::make_shared<TopGates>(gates, top_k);
}

}  // namespace baton::model
