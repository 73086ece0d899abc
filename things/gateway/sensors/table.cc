#include "things/gateway/sensors/table.h"

#include <charconv>
#include <cmath>

namespace edgeloop::sensors {
namespace {

// Splits one line; false when a quote is not closed or is followed by other text.
bool SplitLine(std::string_view line, char delimiter, std::vector<std::string>* fields) {
  fields->clear();
  size_t at = 0;
  while (true) {
    std::string field;
    while (at < line.size() && line[at] == ' ') ++at;
    if (at < line.size() && line[at] == '"') {
      ++at;
      while (true) {
        if (at >= line.size()) return false;
        if (line[at] != '"') {
          field += line[at++];
        } else if (at + 1 < line.size() && line[at + 1] == '"') {
          field += '"';
          at += 2;
        } else {
          ++at;
          break;
        }
      }
      while (at < line.size() && line[at] == ' ') ++at;
      if (at < line.size() && line[at] != delimiter) return false;
    } else {
      const size_t end = std::min(line.find(delimiter, at), line.size());
      field = Trim(line.substr(at, end - at));
      at = end;
    }
    fields->push_back(std::move(field));
    if (fields->size() > kMaxTableColumns || at >= line.size()) return true;
    ++at;  // the delimiter
  }
}

}  // namespace

std::string_view Trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool ParseNumber(std::string_view text, double* out) {
  text = Trim(text);
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(*out);
}

int Table::Find(std::initializer_list<std::string_view> names) const {
  for (std::string_view name : names) {
    for (size_t i = 0; i < header.size(); ++i) {
      if (header[i] == name) return static_cast<int>(i);
    }
  }
  return -1;
}

Expected<Table> ParseTable(std::string_view text, size_t max_rows) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  Table table;
  char delimiter = ',';
  std::vector<std::string> fields;
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    const std::string where = "line " + std::to_string(number);
    if (line.empty()) continue;
    if (table.header.empty() && line.find(',') == line.npos && line.find(';') != line.npos) {
      delimiter = ';';
    }
    if (!SplitLine(line, delimiter, &fields)) {
      return Fail(ErrorCode::kCorrupt, where + ": a quoted field is not closed on its line");
    }
    if (fields.size() > kMaxTableColumns) {
      return Fail(ErrorCode::kResourceExhausted,
                  where + ": more than " + std::to_string(kMaxTableColumns) + " columns");
    }
    if (table.header.empty()) {
      table.header = fields;
      continue;
    }
    if (fields.size() != table.header.size()) {
      return Fail(ErrorCode::kCorrupt, where + ": " + std::to_string(fields.size()) +
                                           " fields, but the header names " +
                                           std::to_string(table.header.size()));
    }
    if (table.rows.size() == max_rows) {
      return Fail(ErrorCode::kResourceExhausted,
                  where + ": more than " + std::to_string(max_rows) + " rows");
    }
    table.rows.push_back(fields);
    table.lines.push_back(number);
  }
  if (table.header.empty()) return Fail(ErrorCode::kCorrupt, "no header line");
  return table;
}

}  // namespace edgeloop::sensors
