#include "runtime/log/log.h"

#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>

namespace edgeloop::log {
namespace {

// Values longer than this are cut: a hostile peer must not fill the disk with one line.
constexpr size_t kMaxValueBytes = 4096;

struct Settings {
  std::string service = "edgeloop";
  Level level = Level::kInfo;
  Format format = Format::kText;
};
Settings& Current() {
  static Settings settings;
  return settings;
}

constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warning", "error"};

// Bytes of the well-formed UTF-8 sequence at the start of `text` (RFC 3629), 0 when there is none.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const auto follows = [&](size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!follows(1) || !follows(2)) return 0;
    if (first == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
    if (first == 0xED && byte(1) > 0x9F) return 0;  // surrogates
    return 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    if (first == 0xF0 && byte(1) < 0x90) return 0;  // overlong
    if (first == 0xF4 && byte(1) > 0x8F) return 0;  // above U+10FFFF
    return 4;
  }
  return 0;
}

void AppendEscaped(std::string* line, std::string_view text) {
  const bool cut = text.size() > kMaxValueBytes;
  if (cut) text = text.substr(0, kMaxValueBytes);
  while (!text.empty()) {
    const char c = text.front();
    const size_t length = Utf8Length(text);
    if (length == 0) {
      *line += "\\ufffd";
    } else if (length > 1) {
      *line += text.substr(0, length);
    } else if (c == '"' || c == '\\') {
      *line += '\\';
      *line += c;
    } else if (c == '\n') {
      *line += "\\n";
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      *line += escape;
    } else {
      *line += c;
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  if (cut) *line += "...";
}

void AppendQuoted(std::string* line, std::string_view text) {
  *line += '"';
  AppendEscaped(line, text);
  *line += '"';
}

bool IsPlain(std::string_view text) {
  if (text.empty() || text.size() > kMaxValueBytes) return false;
  for (const char c : text) {
    if (c <= 0x20 || c >= 0x7F || c == '"' || c == '=' || c == '\\') return false;
  }
  return true;
}

// JSON has no NaN and no infinity.
bool IsBareJson(const Field& field) {
  return !field.quoted && field.value.find_first_of("ni") == std::string::npos;
}

std::string TimeText() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  char text[40];
  const size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + length, sizeof text - length, ".%03ldZ", now.tv_nsec / 1'000'000);
  return text;
}

void AppendText(std::string* line, Level level, std::string_view message,
                std::initializer_list<Field> fields) {
  *line += ' ';
  *line += kLevelNames[static_cast<size_t>(level)];
  *line += ' ';
  *line += Current().service;
  *line += ": ";
  AppendEscaped(line, message);
  for (const Field& field : fields) {
    *line += ' ';
    *line += field.key;
    *line += '=';
    if (IsPlain(field.value)) {
      *line += field.value;
    } else {
      AppendQuoted(line, field.value);
    }
  }
}

void AppendJson(std::string* line, Level level, std::string_view message,
                std::initializer_list<Field> fields) {
  *line += "\",\"level\":\"";
  *line += kLevelNames[static_cast<size_t>(level)];
  *line += "\",\"service\":";
  AppendQuoted(line, Current().service);
  *line += ",\"message\":";
  AppendQuoted(line, message);
  for (const Field& field : fields) {
    *line += ',';
    AppendQuoted(line, field.key);
    *line += ':';
    if (IsBareJson(field)) {
      *line += field.value;
    } else {
      AppendQuoted(line, field.value);
    }
  }
  *line += '}';
}

}  // namespace

void Init(std::string_view service, Level level, Format format) {
  Current() = {std::string(service), level, format};
}

void Write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (level < Current().level) return;
  std::string line;
  line.reserve(256);
  if (Current().format == Format::kJson) {
    line = "{\"time\":\"" + TimeText();
    AppendJson(&line, level, message, fields);
  } else {
    line = TimeText();
    AppendText(&line, level, message, fields);
  }
  line += '\n';
  // One write a line: whole lines also from several threads. Nobody to tell when it fails.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace edgeloop::log
