#pragma once
// Readers of the keys that hold lists of names, for the option table: each takes the text after the
// "=" and gives the names, checked. What is wrong is a ValueProblem.

#include <string>
#include <vector>

namespace baton::config {

std::vector<std::string> read_required_tasks(const std::string& text);
std::vector<std::string> read_general(const std::string& text);
std::vector<std::string> read_linears(const std::string& text);
std::vector<std::string> read_routers(const std::string& text);

}  // namespace baton::config
