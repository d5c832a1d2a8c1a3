#pragma once
// The makers of all methods, one file each.

#include <memory>

#include "baton/method/method.hpp"

namespace baton::method {

std::unique_ptr<Method> make_see(const config::Config& config);
std::unique_ptr<Method> make_sequential(const config::Config& config);
std::unique_ptr<Method> make_replay(const config::Config& config);
std::unique_ptr<Method> make_multitask(const config::Config& config);
std::unique_ptr<Method> make_single(const config::Config& config);
std::unique_ptr<Method> make_o_lora(const config::Config& config);
std::unique_ptr<Method> make_base_alone(const config::Config& config);

}  // namespace baton::method
