#include "platform/mlops/drift/monitor.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "platform/mlops/drift/statistics.h"

namespace edgeloop::mlops {
namespace {

constexpr double kMinSpread = 1e-9;
// One feature far off must not decide alone which regime is nearest.
constexpr double kMaxDistance = 8.0;

std::vector<double> Means(const std::vector<std::vector<double>>& values) {
  std::vector<double> means;
  for (const std::vector<double>& feature : values) {
    double sum = 0;
    for (double value : feature) sum += value;
    means.push_back(sum / static_cast<double>(feature.size()));
  }
  return means;
}

}  // namespace

Expected<DriftMonitor> DriftMonitor::Create(const Snapshot& reference,
                                            const DriftOptions& options) {
  const std::size_t features = reference.schema.names.size();
  std::map<std::uint16_t, std::vector<std::vector<double>>> stretches;
  std::size_t rows = 0;
  for (const Row& row : reference.rows) {
    if (row.faulty) continue;
    ++rows;
    auto& stretch = stretches.try_emplace(row.regime, features).first->second;
    for (std::size_t j = 0; j < features; ++j) stretch[j].push_back(row.features[j]);
  }
  if (rows < static_cast<std::size_t>(options.min_windows)) {
    return Fail(ErrorCode::kInvalidArgument, "drift: the champion's snapshot has only " +
                                                 std::to_string(rows) +
                                                 " healthy rows; label more healthy operation");
  }
  DriftMonitor monitor(options, reference.schema.names);
  monitor.spread_.assign(features, 0);
  for (const auto& [number, values] : stretches) {
    const std::vector<double> mean = Means(values);
    for (std::size_t j = 0; j < features; ++j) {
      for (double value : values[j]) {
        monitor.spread_[j] += (value - mean[j]) * (value - mean[j]) / static_cast<double>(rows);
      }
    }
  }
  for (double& spread : monitor.spread_) spread = std::max(std::sqrt(spread), kMinSpread);

  for (auto& [number, values] : stretches) {
    const std::vector<double> mean = Means(values);
    Regime* home = nullptr;
    double nearest = options.regime_distance;
    for (Regime& regime : monitor.regimes_) {
      double distance = 0;
      for (std::size_t j = 0; j < features; ++j) {
        distance += std::abs(regime.mean[j] - mean[j]) / monitor.spread_[j];
      }
      distance /= static_cast<double>(features);
      if (distance < nearest) {
        nearest = distance;
        home = &regime;
      }
    }
    if (home == nullptr) home = &monitor.regimes_.emplace_back(Regime{.values = {}});
    home->values.resize(features);
    for (std::size_t j = 0; j < features; ++j) {
      home->values[j].insert(home->values[j].end(), values[j].begin(), values[j].end());
    }
    home->rows = home->values.front().size();
    home->mean = Means(home->values);
  }
  for (Regime& regime : monitor.regimes_) {
    for (const auto& values : regime.values) regime.edges.push_back(QuantileEdges(values));
  }
  return monitor;
}

std::size_t DriftMonitor::NearestRegime(std::span<const float> window) const {
  std::size_t nearest = 0;
  double best = HUGE_VAL;
  for (std::size_t r = 0; r < regimes_.size(); ++r) {
    double distance = 0;
    for (std::size_t j = 0; j < window.size(); ++j) {
      distance += std::min(std::abs(window[j] - regimes_[r].mean[j]) / spread_[j], kMaxDistance);
    }
    if (distance < best) {
      best = distance;
      nearest = r;
    }
  }
  return nearest;
}

std::vector<FeatureDrift> DriftMonitor::Compare(const Regime& regime,
                                                const std::vector<std::vector<float>>& windows,
                                                const std::vector<std::size_t>& chosen,
                                                double* moved) const {
  const double reference_size = std::max(1.0, options_.overlap * static_cast<double>(regime.rows));
  const double live_size = std::max(1.0, options_.overlap * static_cast<double>(chosen.size()));
  const double threshold =
      options_.psi_threshold + PsiNoiseFloor(kPsiBins, reference_size, live_size);
  std::vector<FeatureDrift> features;
  std::vector<double> p_values;
  for (std::size_t j = 0; j < names_.size(); ++j) {
    std::vector<double> live;
    for (std::size_t index : chosen) live.push_back(windows[index][j]);
    const double distance = KsDistance(regime.values[j], live);
    features.push_back({.name = names_[j],
                        .psi = Psi(regime.values[j], live, regime.edges[j]),
                        .p_value = KsPValue(distance, reference_size, live_size)});
    p_values.push_back(features.back().p_value);
  }
  const std::vector<bool> significant = RejectAtRate(p_values, options_.false_discovery_rate);
  double count = 0;
  for (std::size_t j = 0; j < features.size(); ++j) {
    if (significant[j] && features[j].psi > threshold) ++count;
  }
  *moved = count / static_cast<double>(features.size());
  return features;
}

DeviceDrift DriftMonitor::Evaluate(const std::string& device,
                                   const std::vector<std::vector<float>>& windows) const {
  DeviceDrift drift{.device = device, .windows = static_cast<int>(windows.size())};
  drift.decided = drift.windows >= options_.min_windows;
  if (!drift.decided) return drift;
  std::vector<std::vector<std::size_t>> chosen(regimes_.size());
  for (std::size_t i = 0; i < windows.size(); ++i) chosen[NearestRegime(windows[i])].push_back(i);
  std::size_t in_drifted = 0;
  std::size_t largest = 0;
  for (std::size_t r = 0; r < regimes_.size(); ++r) {
    if (chosen[r].empty()) continue;
    double moved = 0;
    std::vector<FeatureDrift> features = Compare(regimes_[r], windows, chosen[r], &moved);
    if (moved >= options_.feature_share) in_drifted += chosen[r].size();
    if (chosen[r].size() > largest) {
      largest = chosen[r].size();
      drift.moved_share = moved;
      drift.features = std::move(features);
    }
  }
  drift.drifted = 2 * in_drifted > windows.size();
  return drift;
}

FleetDrift DriftMonitor::Judge(std::span<const DeviceDrift> devices) const {
  FleetDrift fleet{.devices_active = static_cast<int>(devices.size())};
  for (const DeviceDrift& device : devices) {
    if (!device.drifted) continue;
    ++fleet.devices_drifted;
    if (fleet.features.empty()) {
      fleet.features = device.features;
    } else {
      for (std::size_t j = 0; j < fleet.features.size(); ++j) {
        fleet.features[j].psi += device.features[j].psi;
        fleet.features[j].p_value = std::min(fleet.features[j].p_value, device.features[j].p_value);
      }
    }
  }
  for (FeatureDrift& feature : fleet.features) feature.psi /= fleet.devices_drifted;
  std::ranges::stable_sort(fleet.features, std::ranges::greater{}, &FeatureDrift::psi);
  // One machine alone is a fault before it is a drift, unless it is the only one there is.
  const int alone = fleet.devices_active > 1 ? 2 : 1;
  fleet.drifted =
      fleet.devices_drifted >= alone &&
      fleet.devices_drifted >= options_.device_share * static_cast<double>(fleet.devices_active);
  return fleet;
}

}  // namespace edgeloop::mlops
