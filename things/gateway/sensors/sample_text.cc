#include "things/gateway/sensors/sample_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

#include "things/gateway/sensors/source.h"
#include "things/gateway/sensors/table.h"

namespace edgeloop::sensors {
namespace {

constexpr std::array<std::string_view, 6> kTimeNames = {"time",   "t",        "t_s",
                                                        "time_s", "datetime", "timestamp"};
constexpr std::array<std::string_view, 8> kNotSensed = {"anomaly", "changepoint", "label", "faulty",
                                                        "sample",  "index",       "id",    "row"};
constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();

struct Line {
  std::string_view text;
  size_t number = 0;
};

std::optional<Line> NextLine(std::string_view* rest, size_t* number) {
  while (!rest->empty()) {
    const size_t end = std::min(rest->find('\n'), rest->size());
    const std::string_view line = Trim(rest->substr(0, end));
    rest->remove_prefix(std::min(end + 1, rest->size()));
    ++*number;
    if (!line.empty() && line.front() != '#') return Line{line, *number};
  }
  return std::nullopt;
}

char DelimiterOf(std::string_view line) {
  for (char c : {';', '\t', ','}) {
    if (line.find(c) != line.npos) return c;
  }
  return ' ';
}

void Split(std::string_view line, char delimiter, std::vector<std::string_view>* fields) {
  fields->clear();
  while (fields->size() <= kMaxTableColumns) {
    const size_t end = std::min(line.find(delimiter), line.size());
    fields->push_back(Trim(line.substr(0, end)));
    if (end == line.size()) return;
    line.remove_prefix(end + 1);
    if (delimiter == ' ') {
      line = Trim(line);  // several blanks are one
    } else if (Trim(line).empty()) {
      return;  // a delimiter that ends the line
    }
  }
}

// Seconds of "2020-03-01 15:44:06[.5]" since an arbitrary day; NaN for anything else.
double ParseDate(std::string_view text) {
  int year, month, day, hour, minute;
  double second;
  if (text.size() < 19 || text.size() > 32) return kNotANumber;
  const std::string copy(text);
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2d%*c%2d:%2d:%lf", &year, &month, &day, &hour, &minute,
                  &second) != 6 ||
      month < 1 || month > 12 || !std::isfinite(second)) {
    return kNotANumber;
  }
  // Days from civil, proleptic Gregorian: the year starts in March.
  const int y = year - (month <= 2);
  const int m = (month + 9) % 12;
  const long days = 365L * y + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1;
  return static_cast<double>(days) * 86400 + hour * 3600 + minute * 60 + second;
}

bool OneOf(std::string_view name, std::span<const std::string_view> names) {
  std::string lower(name);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::find(names.begin(), names.end(), lower) != names.end();
}

// The step of a column of time; 0 when it does not rise evenly. Loggers round what they print and
// those that print whole seconds repeat or skip one, so the mean step counts.
double EvenStep(const std::vector<double>& times, double tolerance) {
  if (times.size() < 3) return 0;
  const double step = (times.back() - times.front()) / static_cast<double>(times.size() - 1);
  if (!(step > 0)) return 0;
  for (size_t i = 1; i < times.size(); ++i) {
    if (!(std::abs(times[i] - times[i - 1] - step) <= tolerance * step)) return 0;
  }
  return step;
}

double MedianStep(const std::vector<double>& times) {
  std::vector<double> steps;
  for (size_t i = 1; i < times.size(); ++i) steps.push_back(times[i] - times[i - 1]);
  if (steps.empty()) return 0;
  std::nth_element(steps.begin(), steps.begin() + static_cast<long>(steps.size() / 2), steps.end());
  return std::max(0.0, steps[steps.size() / 2]);
}

std::unexpected<Error> At(const Line& line, const std::string& message) {
  return Fail(ErrorCode::kCorrupt, "line " + std::to_string(line.number) + ": " + message);
}

}  // namespace

Expected<SampleText> ParseSampleText(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  size_t number = 0;
  std::optional<Line> line = NextLine(&text, &number);
  if (!line) return Fail(ErrorCode::kCorrupt, "no lines of data");
  const char delimiter = DelimiterOf(line->text);
  std::vector<std::string_view> fields;
  Split(line->text, delimiter, &fields);
  double value = 0;
  std::vector<std::string_view> header;
  if (std::none_of(fields.begin(), fields.end(), [&](auto f) { return ParseNumber(f, &value); })) {
    header = fields;
    line = NextLine(&text, &number);
    if (!line) return Fail(ErrorCode::kCorrupt, "a header, but no lines of data");
    Split(line->text, delimiter, &fields);
  }
  // The second line of data decides how many columns there are: see "a first line with more".
  size_t columns = header.empty() ? fields.size() : header.size();
  if (header.empty()) {
    std::string_view rest = text;
    size_t ignored = 0;
    if (const auto second = NextLine(&rest, &ignored)) {
      std::vector<std::string_view> next;
      Split(second->text, delimiter, &next);
      columns = std::min(columns, next.size());
    }
  }
  if (columns > kMaxTableColumns || fields.size() > kMaxTableColumns) {
    return At(*line, "more than " + std::to_string(kMaxTableColumns) + " columns");
  }

  const bool dated = !std::isnan(ParseDate(fields[0]));
  const bool named_time = !header.empty() && OneOf(header[0], kTimeNames);
  std::vector<size_t> sensed;  // columns
  for (size_t c = 0; c < columns; ++c) {
    if (c == 0 && (dated || named_time)) continue;
    if (!header.empty() && OneOf(header[c], kNotSensed)) continue;
    sensed.push_back(c);
  }
  std::vector<double> first_column;
  std::vector<double> values;
  for (bool first = true; line; line = NextLine(&text, &number), first = false) {
    if (!first) Split(line->text, delimiter, &fields);
    if (fields.size() != columns && !(first && fields.size() > columns)) {
      return At(*line, std::to_string(fields.size()) + " fields where " + std::to_string(columns) +
                           " are expected");
    }
    if (dated) {
      first_column.push_back(ParseDate(fields[0]));
    } else {
      first_column.push_back(ParseNumber(fields[0], &value) ? value : kNotANumber);
    }
    for (size_t c : sensed) {
      if (!ParseNumber(fields[c], &value)) {
        return At(*line, "column " + std::to_string(c + 1) + ": '" +
                             std::string(fields[c].substr(0, 40)) + "' is not a finite number");
      }
      values.push_back(value);
    }
  }

  SampleText out;
  size_t skip = 0;  // sensed columns to leave out: one that turned out to be time
  if (dated || named_time) {
    out.interval_s = MedianStep(first_column);
    if (!std::isfinite(out.interval_s)) out.interval_s = 0;
  } else if (header.empty() && columns > 1) {
    out.interval_s = EvenStep(first_column, 0.02);
    skip = out.interval_s > 0 ? 1 : 0;
  }
  const size_t channels = sensed.size() - skip;
  if (channels < 1 || channels > kMaxChannels) {
    return Fail(ErrorCode::kCorrupt, std::to_string(channels) + " columns of samples; 1.." +
                                         std::to_string(kMaxChannels) + " can be played");
  }
  for (size_t i = 0; i < channels; ++i) {
    out.names.push_back(header.empty() ? "ch" + std::to_string(i)
                                       : std::string(header[sensed[i + skip]].substr(0, 40)));
  }
  const size_t rows = values.size() / sensed.size();
  out.values.reserve(rows * channels);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = skip; i < sensed.size(); ++i) {
      const float sample = static_cast<float>(values[r * sensed.size() + i]);
      if (!std::isfinite(sample)) {
        return Fail(ErrorCode::kCorrupt, "sample " + std::to_string(r) + " does not fit a float");
      }
      out.values.push_back(sample);
    }
  }
  return out;
}

}  // namespace edgeloop::sensors
