#include "baton/device/host.hpp"

#include <fmt/core.h>
#include <sys/utsname.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>

#include "baton/device/cpu_facts.hpp"

namespace baton::device {

namespace {

std::string content_of(const std::string& path) {
  std::ifstream stream(path);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

utsname system_facts() {
  utsname facts{};
  ::uname(&facts);
  return facts;
}

}  // namespace

std::string host_name() {
  const std::string name = system_facts().nodename;
  return name.empty() ? "localhost" : name;
}

std::string utc_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

double utc_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string instruction_set_of(const std::string& cpuinfo, const std::string& machine) {
  std::string found = machine;
  for (const std::string& extension : cpu_extensions(cpuinfo)) {
    found.append(" ").append(extension);
  }
  return found;
}

std::string instruction_set() {
  return instruction_set_of(content_of("/proc/cpuinfo"), system_facts().machine);
}

std::string batch_job_id() {
  const char* id = std::getenv("SLURM_JOB_ID");
  return id == nullptr ? "" : id;
}

std::uint64_t process_start(std::int64_t pid) {
  const std::string stat = content_of(fmt::format("/proc/{}/stat", pid));
  // The second field is the program's name in parentheses and may hold blanks; the start time is
  // field 22.
  const std::size_t end_of_name = stat.rfind(')');
  if (end_of_name == std::string::npos) {
    return 0;
  }
  std::istringstream fields(stat.substr(end_of_name + 1));
  std::string state;
  fields >> state;
  if (state == "Z") {
    return 0;  // dead, only not yet collected by its parent
  }
  std::string skipped;
  for (int field = 4; field < 22; ++field) {
    fields >> skipped;
  }
  std::uint64_t start = 0;
  fields >> start;
  return start;
}

}  // namespace baton::device
