// Counters, gauges and histograms of this process (prometheus-cpp inside), in Prometheus text.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace edgeloop::metrics {

using Labels = std::map<std::string, std::string>;

class Counter {
 public:
  void Add(double by = 1);
  double Value() const;

 private:
  friend class Registry;
  void* impl_ = nullptr;
};
class Gauge {
 public:
  void Set(double value);
  double Value() const;

 private:
  friend class Registry;
  void* impl_ = nullptr;
};
class Histogram {
 public:
  void Observe(double value);

 private:
  friend class Registry;
  void* impl_ = nullptr;
};

// Metrics live as long as the registry; handles are cheap to copy and thread-safe.
class Registry {
 public:
  Registry();
  ~Registry();
  Counter AddCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge AddGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram AddHistogram(const std::string& name, const std::string& help,
                         const std::vector<double>& bounds, const Labels& labels = {});
  // Exposition format 0.0.4. Includes process_resident_memory_bytes and process_cpu_seconds_total.
  std::string Text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace edgeloop::metrics
