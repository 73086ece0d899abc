// Samples in delimited text: the export of a data logger, with its quirks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::sensors {

struct SampleText {
  std::vector<std::string> names;  // one a channel; from the header, else ch0..
  std::vector<float> values;       // interleaved
  double interval_s = 0;           // from the column of time; 0: there is none
};

// Accepts ';', tab, ',' or blanks between fields, blanks around them, CR LF, a byte order mark,
// comment lines ("#"), one header line, and a first line of data with more fields than the others
// (some loggers append a summary to it). A column of time (by name, a date, or an even rise of the
// first column) gives the interval; columns of labels and counters are left out.
Expected<SampleText> ParseSampleText(std::string_view text);

}  // namespace edgeloop::sensors
