// Columns for people: as wide as their widest cell, numbers to the right.
#pragma once

#include <string>
#include <vector>

namespace edgeloop::commands {

struct Column {
  std::string heading;
  bool right = false;
};

std::string Table(const std::vector<Column>& columns,
                  const std::vector<std::vector<std::string>>& rows);

// "850 ms", "12 s", "3 min", "5 h", "2 d".
std::string Duration(double seconds);
// With `decimals` digits behind the point.
std::string Fixed(double value, int decimals);

}  // namespace edgeloop::commands
