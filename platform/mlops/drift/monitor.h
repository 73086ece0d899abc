// Is the fleet still running as it did when the champion learnt what healthy means?
//
// The reference is the healthy rows of the champion's snapshot, grouped into operating regimes
// (speeds, loads): a mixture of all regimes would call each one of them drift. Live windows are
// held against the regime they are nearest to. A device has drifted when most of its windows lie in
// regimes whose features have moved; the fleet, when enough active devices have. One faulty machine
// among several is therefore no drift.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "contracts/error/error.h"
#include "platform/mlops/dataset/snapshot.h"

namespace edgeloop::mlops {

struct DriftOptions {
  int live_windows = 48;  // newest of a device that are looked at
  int min_windows = 20;   // fewer say nothing
  // A feature has moved when its PSI exceeds this plus the noise floor of the sample sizes, and the
  // KS test rejects "same distribution" at this false discovery rate over all features.
  double psi_threshold = 0.25;
  double false_discovery_rate = 0.01;
  double feature_share = 0.25;  // of the features, that must move in a regime
  double device_share = 0.5;    // of the active devices, that must have drifted
  // Regimes whose feature means differ by less than this many standard deviations, averaged over
  // the features, are one.
  double regime_distance = 1.5;
  double overlap = 0.25;  // hop / window: what one window adds to a sample
};

struct FeatureDrift {
  std::string name;
  double psi = 0;
  double p_value = 1;
};

struct DeviceDrift {
  std::string device;
  int windows = 0;
  bool decided = false;  // enough windows
  bool drifted = false;
  double moved_share = 0;              // of the features, in the regime most windows are in
  std::vector<FeatureDrift> features;  // of that regime, all, in the order of the schema
};

struct FleetDrift {
  bool drifted = false;
  int devices_active = 0;
  int devices_drifted = 0;
  std::vector<FeatureDrift> features;  // means over the drifted devices, strongest first
};

class DriftMonitor {
 public:
  // kInvalidArgument when the snapshot has too few healthy rows.
  static Expected<DriftMonitor> Create(const Snapshot& reference, const DriftOptions& options);

  // `windows`: oldest first, each of schema size.
  DeviceDrift Evaluate(const std::string& device,
                       const std::vector<std::vector<float>>& windows) const;
  // One entry for each active device, decided or not.
  FleetDrift Judge(std::span<const DeviceDrift> devices) const;

  std::size_t regimes() const { return regimes_.size(); }

 private:
  struct Regime {
    std::size_t rows = 0;
    std::vector<double> mean;                 // by feature
    std::vector<std::vector<double>> values;  // by feature
    std::vector<std::vector<double>> edges;   // by feature
  };
  DriftMonitor(DriftOptions options, std::vector<std::string> names)
      : options_(options), names_(std::move(names)) {}
  std::size_t NearestRegime(std::span<const float> window) const;
  std::vector<FeatureDrift> Compare(const Regime& regime,
                                    const std::vector<std::vector<float>>& windows,
                                    const std::vector<std::size_t>& chosen, double* moved) const;

  DriftOptions options_;
  std::vector<std::string> names_;
  std::vector<Regime> regimes_;
  std::vector<double> spread_;  // by feature: standard deviation within the regimes
};

}  // namespace edgeloop::mlops
