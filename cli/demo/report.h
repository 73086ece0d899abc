// The figures of one run of the demonstration, as its JSON summary has them.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace edgeloop::demo {

struct DriftSeen {
  double at_s = 0;
  std::vector<std::string> features;  // strongest first
  std::vector<double> psi;            // of each
};

struct RolloutSeen {
  std::string model;
  uint32_t version = 0;
  std::string digest;
  int devices_updated = 0;
  double champion_f1 = 0;  // of the factory model, which never alarms: 0
  double challenger_f1 = 0;
  double false_alarm_rate_before = 0;
  double false_alarm_rate_after = 0;
};

struct Rejection {
  std::string device;
  std::string kind;  // "rejected": never ran; "reverted": failed its trial
  std::string reason;
};

struct Phase {
  std::string name;
  double at_s = 0;
  double took_s = 0;
};

struct Report {
  bool passed = false;
  std::string failure;
  std::string source;  // "simulator" or the folder
  uint64_t seed = 0;
  int devices = 0;
  uint64_t windows = 0;
  uint64_t produced = 0, durable = 0, lost = 0, duplicates_removed = 0;
  uint64_t dropped = 0;  // of `lost`: what full stores reported
  uint64_t duplicates_in_stream = 0;
  uint64_t out_of_order = 0;
  std::vector<double> actuation_latency_us;
  std::vector<double> data_age_ms;
  std::vector<double> alert_data_age_ms;
  uint64_t faults_injected = 0, faults_tripped = 0, false_trips = 0;
  uint64_t inferences = 0, alerts = 0;
  std::vector<DriftSeen> drift;
  std::vector<RolloutSeen> rollouts;
  std::vector<Rejection> rejected_models;
  std::map<std::string, double> services_rss_mib;
  std::vector<Phase> phases;
  double elapsed_s = 0;
};

nlohmann::json ToJson(const Report& report);
// A few lines for people.
std::string Summary(const Report& report);

}  // namespace edgeloop::demo
