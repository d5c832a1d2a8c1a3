#pragma once
// The makers of all methods, one file each.

#include <memory>

#include "baton/method/method.hpp"

namespace baton::method {

std::unique_ptr<Method> make_see(const config::Config& config);

}  // namespace baton::method
