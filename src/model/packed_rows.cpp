#include "baton/model/packed_rows.hpp"

#include <ATen/ATen.h>

#include "baton/base/error.hpp"

namespace baton::model {

at::Tensor on_device(const at::Tensor& host, const at::Device& device) {
  return device.is_cpu() ? host : host.pin_memory().to(device, /*non_blocking=*/true);
}

PackedRows pack_rows(std::span<const std::vector<std::int32_t>> rows, const at::Device& device) {
  PackedRows packed;
  packed.offsets.push_back(0);
  std::vector<std::int64_t> tokens;
  for (const std::vector<std::int32_t>& row : rows) {
    BATON_ASSERT(!row.empty(), "an empty row cannot be packed");
    tokens.insert(tokens.end(), row.begin(), row.end());
    packed.offsets.push_back(static_cast<std::int64_t>(tokens.size()));
  }
  packed.tokens = on_device(at::tensor(tokens, at::kLong), device);
  return packed;
}

}  // namespace baton::model
