#pragma once
// The makers of all routers, for the list in router.cpp.

#include <memory>

#include "baton/method/router.hpp"

namespace baton::method {

std::unique_ptr<Router> make_sequential_router();
std::unique_ptr<Router> make_oracle_router();
std::unique_ptr<Router> make_parallel_router();
std::unique_ptr<Router> make_analytic_router();
std::unique_ptr<Router> make_gates_router();
/// For methods without a choice; no key names it.
std::unique_ptr<Router> make_latest_router();

}  // namespace baton::method
