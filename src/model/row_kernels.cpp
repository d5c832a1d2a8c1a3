#include "row_kernels.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

// The compiler makes one copy of a kernel per instruction set and the loader chooses.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define BATON_MULTIVERSION \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define BATON_MULTIVERSION
#endif

namespace baton::model {

namespace {

BATON_MULTIVERSION
void widen(const std::uint16_t* from, float* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t bits = static_cast<std::uint32_t>(from[i]) << 16U;
    std::memcpy(&to[i], &bits, sizeof(bits));
  }
}

// Round to nearest, ties to even. NaN stays NaN: its payload's top bit is kept set.
BATON_MULTIVERSION
void narrow(const float* from, std::uint16_t* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &from[i], sizeof(bits));
    const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U;
    const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
    to[i] = static_cast<std::uint16_t>(is_nan ? 0x7FC0U : rounded);
  }
}

BATON_MULTIVERSION
float sum_of_squares(const float* x, std::int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < count; ++i) {
    sum += x[i] * x[i];
  }
  return sum;
}

BATON_MULTIVERSION
void scale_by_weight(
    const float* x, const float* weight, float factor, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    y[i] = x[i] * factor * weight[i];
  }
}

// sum_i g_i w_i x_i
BATON_MULTIVERSION
float weighted_dot(const float* g, const float* weight, const float* x, std::int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < count; ++i) {
    sum += g[i] * weight[i] * x[i];
  }
  return sum;
}

BATON_MULTIVERSION
void norm_gradient(const float* g,
                   const float* weight,
                   const float* x,
                   float inverse,
                   float along,
                   float* out,
                   std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] = inverse * (g[i] * weight[i] - x[i] * along);
  }
}

BATON_MULTIVERSION
void rotate_head(const float* x,
                 const float* cosines,
                 const float* sines,
                 float direction,
                 float* y,
                 std::int64_t half) {
  for (std::int64_t i = 0; i < half; ++i) {
    const float s = direction * sines[i];
    y[i] = x[i] * cosines[i] - x[half + i] * s;
    y[half + i] = x[half + i] * cosines[i] + x[i] * s;
  }
}

// A row of a tensor as fp32: itself, or a widened copy in scratch.
const float* load(const at::Tensor& tensor,
                  std::int64_t row,
                  std::int64_t width,
                  std::vector<float>& scratch) {
  if (tensor.scalar_type() == at::kFloat) {
    return tensor.const_data_ptr<float>() + row * width;
  }
  widen(reinterpret_cast<const std::uint16_t*>(tensor.const_data_ptr<at::BFloat16>()) + row * width,
        scratch.data(), width);
  return scratch.data();
}

void store(const float* values, at::Tensor& tensor, std::int64_t row, std::int64_t width) {
  if (tensor.scalar_type() == at::kFloat) {
    std::memcpy(tensor.data_ptr<float>() + row * width, values,
                static_cast<std::size_t>(width) * sizeof(float));
  } else {
    narrow(values, reinterpret_cast<std::uint16_t*>(tensor.data_ptr<at::BFloat16>()) + row * width,
           width);
  }
}

constexpr std::int64_t kRowsPerTask = 16;

}  // namespace

bool has_row_kernels(const at::Tensor& x) {
  return x.is_cpu() && x.is_contiguous() &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

void rms_norm_rows(
    const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& y, at::Tensor& inverse) {
  const std::int64_t width = x.size(-1);
  const at::Tensor wide_weight = weight.to(at::kFloat).contiguous();
  const float* w = wide_weight.const_data_ptr<float>();
  float* inverses = inverse.data_ptr<float>();
  at::parallel_for(0, x.numel() / width, kRowsPerTask, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> scratch(static_cast<std::size_t>(width));
    std::vector<float> result(static_cast<std::size_t>(width));
    for (std::int64_t row = begin; row < end; ++row) {
      const float* values = load(x, row, width, scratch);
      const float mean = sum_of_squares(values, width) / static_cast<float>(width);
      inverses[row] = 1.0F / std::sqrt(mean + static_cast<float>(eps));
      scale_by_weight(values, w, inverses[row], result.data(), width);
      store(result.data(), y, row, width);
    }
  });
}

void rms_norm_rows_backward(const at::Tensor& gradient,
                            const at::Tensor& x,
                            const at::Tensor& weight,
                            const at::Tensor& inverse,
                            at::Tensor& of_x) {
  const std::int64_t width = x.size(-1);
  const at::Tensor wide_weight = weight.to(at::kFloat).contiguous();
  const float* w = wide_weight.const_data_ptr<float>();
  const float* inverses = inverse.const_data_ptr<float>();
  at::parallel_for(0, x.numel() / width, kRowsPerTask, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> scratch_x(static_cast<std::size_t>(width));
    std::vector<float> scratch_g(static_cast<std::size_t>(width));
    std::vector<float> result(static_cast<std::size_t>(width));
    for (std::int64_t row = begin; row < end; ++row) {
      const float* values = load(x, row, width, scratch_x);
      const float* g = load(gradient, row, width, scratch_g);
      const float scale = inverses[row];
      // d/dx of w x r with r = (mean x^2 + eps)^(-1/2): r (g w - x r^2 mean(g w x)).
      const float along =
          weighted_dot(g, w, values, width) / static_cast<float>(width) * scale * scale;
      norm_gradient(g, w, values, scale, along, result.data(), width);
      store(result.data(), of_x, row, width);
    }
  });
}

void rope_rows(const at::Tensor& x,
               const at::Tensor& cosines,
               const at::Tensor& sines,
               float direction,
               at::Tensor& y) {
  const std::int64_t num_heads = x.size(1);
  const std::int64_t head_dim = x.size(2);
  const std::int64_t half = head_dim / 2;
  const float* cos_of = cosines.const_data_ptr<float>();
  const float* sin_of = sines.const_data_ptr<float>();
  at::parallel_for(0, x.size(0), kRowsPerTask, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> scratch(static_cast<std::size_t>(num_heads * head_dim));
    std::vector<float> result(static_cast<std::size_t>(num_heads * head_dim));
    for (std::int64_t row = begin; row < end; ++row) {
      const float* values = load(x, row, num_heads * head_dim, scratch);
      for (std::int64_t head = 0; head < num_heads; ++head) {
        rotate_head(values + head * head_dim, cos_of + row * half, sin_of + row * half, direction,
                    result.data() + head * head_dim, half);
      }
      store(result.data(), y, row, num_heads * head_dim);
    }
  });
}

}  // namespace baton::model
