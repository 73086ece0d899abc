#include "runtime/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace edgeloop::metrics {
namespace {

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t total_pages = 0;
  uint64_t resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return static_cast<double>(resident_pages) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

prometheus::MetricFamily ProcessFamily(const char* name, const char* help,
                                       prometheus::MetricType type, double value) {
  prometheus::ClientMetric metric;
  metric.counter.value = value;
  metric.gauge.value = value;
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  family.metric.push_back(std::move(metric));
  return family;
}

}  // namespace

void Counter::Add(double by) { static_cast<prometheus::Counter*>(impl_)->Increment(by); }
double Counter::Value() const { return static_cast<prometheus::Counter*>(impl_)->Value(); }
void Gauge::Set(double value) { static_cast<prometheus::Gauge*>(impl_)->Set(value); }
double Gauge::Value() const { return static_cast<prometheus::Gauge*>(impl_)->Value(); }
void Histogram::Observe(double value) {
  static_cast<prometheus::Histogram*>(impl_)->Observe(value);
}

struct Registry::Impl {
  prometheus::Registry registry;
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Counter Registry::AddCounter(const std::string& name, const std::string& help,
                             const Labels& labels) {
  Counter counter;
  counter.impl_ =
      &prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry).Add(labels);
  return counter;
}

Gauge Registry::AddGauge(const std::string& name, const std::string& help, const Labels& labels) {
  Gauge gauge;
  gauge.impl_ =
      &prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add(labels);
  return gauge;
}

Histogram Registry::AddHistogram(const std::string& name, const std::string& help,
                                 const std::vector<double>& bounds, const Labels& labels) {
  Histogram histogram;
  histogram.impl_ = &prometheus::BuildHistogram()
                         .Name(name)
                         .Help(help)
                         .Register(impl_->registry)
                         .Add(labels, bounds);
  return histogram;
}

std::string Registry::Text() const {
  std::vector<prometheus::MetricFamily> families = impl_->registry.Collect();
  families.push_back(ProcessFamily("process_cpu_seconds_total", "User and system CPU time.",
                                   prometheus::MetricType::Counter, CpuSeconds()));
  families.push_back(ProcessFamily("process_resident_memory_bytes", "Resident memory.",
                                   prometheus::MetricType::Gauge, ResidentBytes()));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace edgeloop::metrics
