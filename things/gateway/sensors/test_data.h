// Where the recordings of the tests are: EDGELOOP_DATA_DIR, or shared/data beside the repository.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace edgeloop::sensors {

// Empty when the set is not there.
inline std::string TestDataDir(const std::string& set) {
  const char* root = std::getenv("EDGELOOP_DATA_DIR");
  std::error_code ignored;
  for (std::string dir : {std::string(root != nullptr ? root : ""),
                          std::string(EDGELOOP_SOURCE_DIR "/../shared/data"),
                          std::string(EDGELOOP_SOURCE_DIR "/../../shared/data")}) {
    if (!dir.empty() && std::filesystem::exists(dir + "/" + set, ignored)) return dir + "/" + set;
  }
  return "";
}

// A folder that is removed with its content.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sensors-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace edgeloop::sensors
