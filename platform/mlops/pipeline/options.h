// Configuration of edgeloop-mlops, as --help describes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "platform/mlops/drift/monitor.h"
#include "platform/mlops/rollout/rollout.h"
#include "platform/mlops/train/trainer.h"
#include "platform/mlops/validate/gate.h"
#include "runtime/process/daemon.h"

namespace edgeloop::mlops {

struct ControllerOptions {
  std::string state_dir;
  std::string model_name = "motor";
  std::uint32_t sample_rate_hz = 20'000;
  std::uint8_t channels = 3;
  std::uint32_t window = 2048;
  std::uint32_t hop = 512;
  std::int64_t max_windows = 100'000;  // that wait for labels; about 400 bytes each
  TrainOptions train;
  DriftOptions drift;
  GateOptions gate;
  RolloutOptions rollout;
};

struct DaemonOptions {
  process::CommonOptions common;
  ControllerOptions controller;
  std::string listen_host = "127.0.0.1";
  int listen_port = 0;
  std::string bootstrap;
  std::string registry_host = "127.0.0.1";
  int registry_port = 0;
  std::string signing_key;
};

extern const std::string_view kAbout;

void ReadOptions(config::Reader& reader, DaemonOptions& options);

}  // namespace edgeloop::mlops
