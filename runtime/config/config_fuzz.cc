#include <cstdint>

#include "runtime/config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using edgeloop::config::Reader;
  std::string text;
  int64_t integer = 0;
  double number = 0;
  bool flag = false;
  std::vector<std::string> texts;
  std::vector<std::pair<std::string, std::string>> entries;
  static_cast<void>(edgeloop::config::ReadText(
      {reinterpret_cast<const char*>(data), size}, "fuzz.yaml", [&](Reader& reader) {
        reader.Optional("text", &text);
        reader.Optional("integer", &integer, {.min = 0, .max = 65535});
        reader.Optional("number", &number);
        reader.Optional("flag", &flag);
        reader.Optional("texts", &texts);
        reader.StringMap("entries", &entries);
        reader.Choice("choice", &text, {"one", "two"});
        reader.Section("section", [&](Reader& section) { section.Required("text", &text); });
        reader.List("list", [&](Reader& item) { item.Optional("text", &text); });
      }));
  return 0;
}
