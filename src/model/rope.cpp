#include "rope.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "row_kernels.hpp"
#include "vector_math.hpp"

namespace baton::model {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, a linear blend between.
float scale_llama3(float frequency, const weights::Llama3RopeScaling& scaling) {
  const double length = static_cast<double>(scaling.original_max_position_embeddings);
  const double wavelength = 2.0 * std::numbers::pi / static_cast<double>(frequency);
  const double longest_kept = length / scaling.high_freq_factor;
  const double shortest_scaled = length / scaling.low_freq_factor;
  if (wavelength > shortest_scaled) {
    return static_cast<float>(static_cast<double>(frequency) / scaling.factor);
  }
  if (wavelength < longest_kept) {
    return frequency;
  }
  const double blend = (length / wavelength - scaling.low_freq_factor) /
                       (scaling.high_freq_factor - scaling.low_freq_factor);
  const double stretched = static_cast<double>(frequency) / scaling.factor;
  return static_cast<float>((1.0 - blend) * stretched + blend * static_cast<double>(frequency));
}

// By the angles, or back by them (direction -1).
at::Tensor rotate(const at::Tensor& x,
                  const at::Tensor& cosines,
                  const at::Tensor& sines,
                  float direction) {
  if (has_row_kernels(x)) {
    at::Tensor rotated = at::empty_like(x);
    rope_rows(x, cosines, sines, direction, rotated);
    return rotated;
  }
  const std::int64_t half = x.size(-1) / 2;
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor first = wide.narrow(-1, 0, half);
  const at::Tensor second = wide.narrow(-1, half, half);
  const at::Tensor s = sines * direction;
  return at::cat({first * cosines - second * s, second * cosines + first * s}, -1)
      .to(x.scalar_type());
}

class RopeFunction : public torch::autograd::Function<RopeFunction> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& x,
                            const at::Tensor& cosines,
                            const at::Tensor& sines) {
    context->save_for_backward({cosines, sines});
    return rotate(x, cosines, sines, 1.0F);
  }

  // The transpose of a rotation is the rotation back.
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    return {rotate(gradients[0].contiguous(), saved[0], saved[1], -1.0F), at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

RopeTable::RopeTable(const weights::DecoderConfig& config,
                     const at::Device& device,
                     bool of_windows) {
  const bool is_own = of_windows && config.window_rope_theta;
  const double theta = is_own ? *config.window_rope_theta : config.rope_theta;
  settle_vector_math();
  const std::int64_t half = config.head_dim / 2;
  std::vector<float> frequencies(static_cast<std::size_t>(half));
  for (std::int64_t i = 0; i < half; ++i) {
    // fp32 arithmetic in the order transformers uses, so that the angles agree at long positions.
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(config.head_dim);
    float frequency = 1.0F / std::pow(static_cast<float>(theta), exponent);
    if (is_own) {
      // never scaled
    } else if (config.rope_scaling) {
      frequency = scale_llama3(frequency, *config.rope_scaling);
    } else if (config.linear_rope_factor) {
      frequency /= static_cast<float>(*config.linear_rope_factor);
    }
    frequencies[static_cast<std::size_t>(i)] = frequency;
  }
  inverse_frequencies_ = at::tensor(frequencies, at::kFloat).to(device);
}

RopeAngles RopeTable::angles(const at::Tensor& positions) const {
  const at::Tensor angles =
      positions.to(at::kFloat).unsqueeze(-1) * inverse_frequencies_;  // [N, E/2]
  return {angles.cos().unsqueeze(1).contiguous(), angles.sin().unsqueeze(1).contiguous()};
}

at::Tensor apply_rope(const at::Tensor& x, const RopeAngles& angles) {
  return RopeFunction::apply(x.contiguous(), angles.cosines, angles.sines);
}

}  // namespace baton::model
