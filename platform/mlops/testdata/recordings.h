// Tests' access to the recorded motor (adi_cbm_motor): features of core on its windows.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "contracts/model_file/model_spec.h"
#include "core/model/model.h"
#include "platform/mlops/dataset/snapshot.h"

namespace edgeloop::mlops {

inline constexpr std::uint32_t kRate = 20'000;
inline constexpr std::uint32_t kWindow = 2048;
inline constexpr std::uint32_t kHop = 512;
inline constexpr int kChannels = 3;
inline const std::vector<std::string> kFaults = {
    "ball_heavy",  "bent_shaft",  "imbalance_light", "imbalance_very_heavy",
    "inner_heavy", "inner_light", "misaligned",      "outer_heavy"};

inline std::string RecordingDir() {
  const char* dir = std::getenv("EDGELOOP_DATA_DIR");
  return (dir != nullptr ? std::string(dir) : std::string(EDGELOOP_SOURCE_DIR "/../shared/data")) +
         "/adi_cbm_motor";
}
inline std::string DataDirHint() {
  return RecordingDir() + " is absent: NOT TESTED on real recordings (set EDGELOOP_DATA_DIR)";
}
inline bool HaveRecordings() { return std::ifstream(RecordingDir() + "/index.csv").good(); }

inline model_file::ModelSpec MotorPipeline() {
  return model_file::DefaultMotorPipeline(kRate, kChannels, kWindow, kHop);
}

// Opens the pipeline once; windows by recording, part and phase.
class Recordings {
 public:
  Recordings() : elm_(model_file::Write(MotorPipeline()).value()) {
    if (model::Model::Open(elm_, &model_) != core::Code::kOk) std::abort();
    workspace_.resize(model_.workspace_bytes() / 16 + 1);
    std::ifstream index(RecordingDir() + "/index.csv");
    std::string line;
    std::getline(index, line);
    while (std::getline(index, line)) {
      std::vector<std::string> fields;
      std::stringstream stream(line);
      for (std::string field; std::getline(stream, field, ',');) fields.push_back(field);
      for (int c = 0; c < kChannels; ++c) {
        scale_[fields[0]][c] = {std::stof(fields[8 + 2 * c]), std::stof(fields[9 + 2 * c])};
      }
    }
  }

  FeatureSchema schema() const { return {kRate, kWindow, model_file::FeatureNames(model_)}; }

  // Windows of the part [from, to) of a recording, e.g. "1800rpm_healthy_00lb".
  std::vector<std::vector<float>> Windows(const std::string& name, double from, double to,
                                          int phase) {
    std::ifstream file(RecordingDir() + "/" + name + ".i16", std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    const auto frames = bytes.size() / (2 * kChannels);
    std::vector<std::vector<float>> windows;
    std::vector<float> samples(kWindow * kChannels);
    for (auto at = static_cast<std::size_t>(from * static_cast<double>(frames)) + phase;
         at + kWindow <= static_cast<std::size_t>(to * static_cast<double>(frames)); at += kHop) {
      for (std::size_t i = 0; i < samples.size(); ++i) {
        const std::size_t byte = 2 * (at * kChannels + i);
        const auto value =
            static_cast<std::int16_t>(static_cast<std::uint8_t>(bytes[byte]) |
                                      static_cast<std::uint8_t>(bytes[byte + 1]) << 8);
        const auto& [scale, offset] = scale_.at(name + ".i16")[i % kChannels];
        samples[i] = value * scale + offset;
      }
      std::vector<float>& out = windows.emplace_back(model_.feature_count());
      if (model_.Features(samples, std::as_writable_bytes(std::span(workspace_)), out) !=
          core::Code::kOk) {
        std::abort();
      }
    }
    return windows;
  }

  static constexpr double kTraining[2] = {0.0, 0.4};
  static constexpr double kValidation[2] = {0.42, 0.60};
  static constexpr double kLive[2] = {0.64, 1.0};

  // Labelled rows of parts T and V for some devices at different phases.
  void Append(Snapshot* snapshot, const std::string& name, std::uint16_t regime, int devices) {
    const bool faulty = name.find("healthy") == std::string::npos;
    const std::string label = name.substr(8, name.size() - 8 - 5);
    for (int device = 0; device < devices; ++device) {
      for (Purpose purpose : {Purpose::kTraining, Purpose::kValidation}) {
        const auto& part = purpose == Purpose::kTraining ? kTraining : kValidation;
        const auto windows = Windows(name, part[0], part[1], 64 * device);
        for (std::size_t i = 0; i < windows.size(); ++i) {
          snapshot->rows.push_back({windows[i], label, faulty, purpose,
                                    static_cast<std::uint8_t>(i * kFolds / windows.size()),
                                    regime});
        }
      }
    }
  }

 private:
  struct alignas(16) Block {
    std::byte bytes[16];
  };
  std::vector<std::uint8_t> elm_;
  model::Model model_;
  std::vector<Block> workspace_;
  std::map<std::string, std::pair<float, float>[kChannels]> scale_;
};

}  // namespace edgeloop::mlops
