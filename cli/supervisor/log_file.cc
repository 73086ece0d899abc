#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <fstream>

#include "cli/supervisor/supervisor.h"

namespace edgeloop::supervisor {

bool RotateLog(const std::string& path, uint64_t max_bytes) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error || size <= max_bytes) return false;
  std::filesystem::copy_file(path, path + ".1", std::filesystem::copy_options::overwrite_existing,
                             error);
  // Even when the copy failed (disk full): the bound matters more than the old lines.
  return truncate(path.c_str(), 0) == 0;
}

std::string LastLines(const std::string& path, int lines) {
  constexpr std::streamoff kTail = 8192;
  std::ifstream file(path, std::ios::ate | std::ios::binary);
  if (!file) return "    (no log)\n";
  const std::streamoff size = file.tellg();
  file.seekg(std::max<std::streamoff>(0, size - kTail));
  std::deque<std::string> last;
  for (std::string line; std::getline(file, line);) {
    last.push_back(line);
    if (std::ssize(last) > lines) last.pop_front();
  }
  std::string text;
  for (const std::string& line : last) text += "    " + line + "\n";
  return text.empty() ? "    (empty)\n" : text;
}

}  // namespace edgeloop::supervisor
