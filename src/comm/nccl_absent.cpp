// The NCCL backend of a build without NCCL.
#include "baton/base/error.hpp"
#include "baton/comm/nccl_communicator.hpp"

namespace baton::comm {

bool nccl_compiled_in() noexcept {
  return false;
}

std::string nccl_version_text() {
  return "not compiled in";
}

std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator>, NcclOptions) {
  throw base::Error(base::ErrorKind::kUsage, "the nccl backend is not compiled in",
                    {.where = "cluster.backend",
                     .fix = "use backend = mpi or auto, or build with a CUDA toolkit and NCCL"});
}

}  // namespace baton::comm
