// YAML configuration, checked against a schema that the reading code itself is: every key that is
// asked for is known, every other key is refused with file, line and the nearest known key.
//
//   struct Options { std::string host = "127.0.0.1"; int port = 0; };
//   auto options = config::LoadFile<Options>(path, [](config::Reader& r, Options& o) {
//     r.Optional("host", &o.host);
//     r.Required("port", &o.port, {.min = 1, .max = 65535});
//     r.Section("tls", [&](config::Reader& tls) { ... });
//   });
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::config {

inline constexpr size_t kMaxConfigBytes = 1u << 20;

struct IntRange {
  int64_t min = INT64_MIN;
  int64_t max = INT64_MAX;
};
struct FloatRange {
  double min = -1e308;
  double max = 1e308;
};

// One mapping of the document. Collects the first error and then does nothing more.
class Reader {
 public:
  struct Node;  // hides yaml-cpp
  explicit Reader(std::unique_ptr<Node> node);
  Reader(Reader&&) noexcept;
  ~Reader();

  // Required keys must be there; optional ones leave *out as it is when absent.
  void Required(std::string_view key, std::string* out);
  void Optional(std::string_view key, std::string* out);
  void Required(std::string_view key, int64_t* out, IntRange range = {});
  void Optional(std::string_view key, int64_t* out, IntRange range = {});
  void Required(std::string_view key, int* out, IntRange range = {});
  void Optional(std::string_view key, int* out, IntRange range = {});
  void Required(std::string_view key, double* out, FloatRange range = {});
  void Optional(std::string_view key, double* out, FloatRange range = {});
  void Optional(std::string_view key, bool* out);
  void Optional(std::string_view key, std::vector<std::string>* out);
  // One of `choices`; anything else is refused, naming the nearest.
  void Choice(std::string_view key, std::string* out, const std::vector<std::string>& choices,
              bool required = false);
  // A nested mapping; `read` is not called when an optional section is absent.
  void Section(std::string_view key, const std::function<void(Reader&)>& read,
               bool required = false);
  // A sequence of mappings.
  void List(std::string_view key, const std::function<void(Reader&)>& read, bool required = false);
  // A mapping with free keys and scalar values (e.g. Kafka topic configuration).
  void StringMap(std::string_view key, std::vector<std::pair<std::string, std::string>>* out);
  bool Has(std::string_view key);
  // A check of the caller's own: "<file>:<line>: <key>: <message>".
  void Fail(std::string_view key, std::string_view message);

  // The first error, or that of the first key nobody asked for.
  Status Finish();

 private:
  std::unique_ptr<Node> node_;
};

Status ReadFile(const std::string& path, const std::function<void(Reader&)>& read);
// `name` stands for the file in messages.
Status ReadText(std::string_view text, std::string_view name,
                const std::function<void(Reader&)>& read);

template <typename Options, typename Read>
Expected<Options> LoadFile(const std::string& path, Read&& read) {
  Options options;
  Status status = ReadFile(path, [&](Reader& reader) { read(reader, options); });
  if (!status) return edgeloop::Fail(status.error());
  return options;
}

// The known word with the smallest edit distance, or empty when none is near.
std::string Nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace edgeloop::config
