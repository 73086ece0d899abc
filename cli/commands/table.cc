#include "cli/commands/table.h"

#include <algorithm>
#include <cstdio>

namespace edgeloop::commands {
namespace {

// Characters, not bytes, of UTF-8.
size_t Width(const std::string& text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string Table(const std::vector<Column>& columns,
                  const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (size_t c = 0; c < columns.size(); ++c) {
    size_t width = Width(columns[c].heading);
    for (const auto& row : rows) width = std::max(width, Width(row[c]));
    widths.push_back(width);
  }
  std::string out;
  const auto line = [&](const auto& cell) {
    std::string text;
    for (size_t c = 0; c < columns.size(); ++c) {
      const std::string& value = cell(c);
      const std::string pad(widths[c] - Width(value), ' ');
      if (c > 0) text += "  ";
      text += columns[c].right ? pad + value : value + pad;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  line([&](size_t c) -> const std::string& { return columns[c].heading; });
  for (const auto& row : rows) {
    line([&](size_t c) -> const std::string& { return row[c]; });
  }
  return out;
}

std::string Duration(double seconds) {
  if (seconds < 1) return Fixed(seconds * 1000, 0) + " ms";
  if (seconds < 120) return Fixed(seconds, 0) + " s";
  if (seconds < 2 * 3600) return Fixed(seconds / 60, 0) + " min";
  if (seconds < 2 * 86400) return Fixed(seconds / 3600, 0) + " h";
  return Fixed(seconds / 86400, 0) + " d";
}

std::string Fixed(double value, int decimals) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*f", decimals, value);
  return buffer;
}

}  // namespace edgeloop::commands
