// Structured logging to standard error: a message and key=value fields, as text or JSON lines.
//   log::Info("segment opened", {{"topic", topic}, {"offset", offset}});
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

namespace edgeloop::log {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class Format { kText, kJson };

struct Field {
  std::string_view key;
  std::string value;
  bool quoted;  // false: a JSON number or boolean

  Field(std::string_view k, std::string_view v) : key(k), value(v), quoted(true) {}
  Field(std::string_view k, const char* v) : key(k), value(v), quoted(true) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v), quoted(true) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), quoted(false) {}
  template <typename T>
    requires(std::integral<T> || std::floating_point<T>)
  Field(std::string_view k, T v) : key(k), value(std::to_string(v)), quoted(false) {}
};

// Once, before threads start. `service` is put on each line.
void Init(std::string_view service, Level level, Format format);

void Write(Level level, std::string_view message, std::initializer_list<Field> fields);
inline void Debug(std::string_view m, std::initializer_list<Field> f = {}) {
  Write(Level::kDebug, m, f);
}
inline void Info(std::string_view m, std::initializer_list<Field> f = {}) {
  Write(Level::kInfo, m, f);
}
inline void Warning(std::string_view m, std::initializer_list<Field> f = {}) {
  Write(Level::kWarning, m, f);
}
inline void Error(std::string_view m, std::initializer_list<Field> f = {}) {
  Write(Level::kError, m, f);
}

}  // namespace edgeloop::log
