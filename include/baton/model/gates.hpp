#pragma once
// Gates of an adapter (PHATGOOSE, arXiv 2402.05859): one vector a linear that it touches, learnt
// beside its frozen factors, which tells what kind of input its part there is for. Alone it opens or
// shuts that part; of several adapters it says, token by token and linear by linear, whose part
// fits. Both are weighers of a pass (AdapterUses::weigher).

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "baton/expert/expert_state.hpp"
#include "baton/model/adapter.hpp"
#include "baton/model/adapter_use.hpp"

namespace baton::model {

struct Gates {
  std::vector<std::array<at::Tensor, kNumLinears>>
      layers;  // [L]: fp32 [in]; undefined where the adapter does not touch
};

/// Of an adapter before anything is learnt: zero.
Gates zero_gates(const Adapter& adapter);

/// On the device of the adapter. A linear that the adapter touches without a gate, or a gate of
/// another width or for another linear: kModel, naming `where`.
Gates gates_from_arrays(std::span<const expert::NamedArray> arrays,
                        const Adapter& adapter,
                        const std::string& where);
/// In file order: layer, linear.
std::vector<expert::NamedArray> arrays_of(const Gates& gates);

/// For one use: sigmoid(v . x).
std::shared_ptr<const TokenWeigher> make_gate(Gates gates);

/// For several uses, each with its gates: both x and v standardised (a layer norm without weights),
/// v . x / sqrt(in), softmax over the uses, the `top_k` largest kept and made to sum to 1; of equals
/// the first. Where some of the uses have no gate on a linear, all must have none.
std::shared_ptr<const TokenWeigher> make_top_gates(std::span<const Gates> gates,
                                                   std::int64_t top_k);

}  // namespace baton::model
