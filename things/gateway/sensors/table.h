// Delimited text with a header line (RFC 4180; also ';' between fields), as index.csv is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::sensors {

inline constexpr size_t kMaxTableColumns = 256;

struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;  // each as long as the header
  std::vector<size_t> lines;                   // line number in the file, one a row

  // Index of the first of `names` that is a column, or -1.
  int Find(std::initializer_list<std::string_view> names) const;
};

// Quotes may hold delimiters, never line ends. Empty lines and a byte order mark are skipped.
Expected<Table> ParseTable(std::string_view text, size_t max_rows);

std::string_view Trim(std::string_view text);
// A finite number that fills the whole text (blanks around it are allowed).
bool ParseNumber(std::string_view text, double* out);

}  // namespace edgeloop::sensors
