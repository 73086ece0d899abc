// From the float network of a trained model to the int8 one that devices run, and how well the two
// agree.
#pragma once

#include <cstdint>
#include <vector>

#include "contracts/error/error.h"
#include "contracts/model_file/model_spec.h"
#include "platform/mlops/dataset/snapshot.h"

namespace edgeloop::mlops {

struct Agreement {
  std::int64_t rows = 0;
  double max_score_difference = 0;
  double mean_score_difference = 0;
  std::int64_t decision_flips = 0;  // rows on different sides of alarm_on
};

struct Compressed {
  std::vector<std::uint8_t> elm;  // int8
  std::size_t float_bytes = 0;    // size of the float model it replaces
  float input_scale = 0;
  Agreement agreement;  // on all rows of the snapshot
};

// The input scale is calibrated on the TRAINING rows. `model` must hold a float network of one
// layer.
Expected<Compressed> Quantize(const model_file::ModelSpec& model, const Snapshot& snapshot);

}  // namespace edgeloop::mlops
