#include "cli/demo/report.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/demo/world.h"

namespace edgeloop::demo {
namespace {

using nlohmann::json;

__attribute__((format(printf, 1, 2))) std::string Format(const char* format, ...) {
  char buffer[512];
  va_list args;
  va_start(args, format);
  std::vsnprintf(buffer, sizeof buffer, format, args);
  va_end(args);
  return buffer;
}

double Largest(const std::vector<double>& values) {
  return values.empty() ? 0 : *std::ranges::max_element(values);
}

}  // namespace

json ToJson(const Report& r) {
  json drift = json::array(), rollouts = json::array(), rejected = json::array(),
       phases = json::array();
  for (const auto& d : r.drift) {
    drift.push_back({{"at_s", d.at_s}, {"features", d.features}, {"psi", d.psi}});
  }
  for (const auto& o : r.rollouts) {
    rollouts.push_back({{"model", o.model},
                        {"version", o.version},
                        {"digest", o.digest},
                        {"devices_updated", o.devices_updated},
                        {"champion_f1", o.champion_f1},
                        {"challenger_f1", o.challenger_f1},
                        {"false_alarm_rate_before", o.false_alarm_rate_before},
                        {"false_alarm_rate_after", o.false_alarm_rate_after}});
  }
  for (const auto& j : r.rejected_models) {
    rejected.push_back({{"device", j.device}, {"kind", j.kind}, {"reason", j.reason}});
  }
  for (const auto& p : r.phases) {
    phases.push_back({{"name", p.name}, {"at_s", p.at_s}, {"took_s", p.took_s}});
  }
  double rss = 0;
  for (const auto& [name, mib] : r.services_rss_mib) rss += mib;
  return {{"passed", r.passed},
          {"failure", r.failure.empty() ? json(nullptr) : json(r.failure)},
          {"source", r.source},
          {"seed", r.seed},
          {"devices", r.devices},
          {"windows", r.windows},
          {"records",
           {{"produced", r.produced},
            {"durable", r.durable},
            {"lost", r.lost},
            {"dropped_by_full_stores", r.dropped},
            {"duplicates_removed", r.duplicates_removed},
            {"duplicates_in_stream", r.duplicates_in_stream},
            {"out_of_order", r.out_of_order}}},
          {"actuation_latency_us",
           {{"p50", Percentile(r.actuation_latency_us, 0.5)},
            {"p99", Percentile(r.actuation_latency_us, 0.99)},
            {"max", Largest(r.actuation_latency_us)}}},
          {"data_age_ms",
           {{"p50", Percentile(r.data_age_ms, 0.5)}, {"p99", Percentile(r.data_age_ms, 0.99)}}},
          {"alert_data_age_ms",
           {{"p50", Percentile(r.alert_data_age_ms, 0.5)}, {"max", Largest(r.alert_data_age_ms)}}},
          {"faults",
           {{"injected", r.faults_injected},
            {"tripped", r.faults_tripped},
            {"false_trips", r.false_trips}}},
          {"inferences", r.inferences},
          {"alerts", r.alerts},
          {"drift", drift},
          {"rollouts", rollouts},
          {"rejected_models", rejected},
          {"services_rss_mib", r.services_rss_mib},
          {"services_rss_mib_total", rss},
          {"phases", phases},
          {"elapsed_s", r.elapsed_s}};
}

std::string Summary(const Report& r) {
  std::string out = Format("%d devices, %llu windows judged, %.0f s\n", r.devices,
                           static_cast<unsigned long long>(r.windows), r.elapsed_s);
  out += Format(
      "records       %llu produced, %llu durable in the stream, %llu lost, %llu duplicates "
      "removed\n",
      static_cast<unsigned long long>(r.produced), static_cast<unsigned long long>(r.durable),
      static_cast<unsigned long long>(r.lost),
      static_cast<unsigned long long>(r.duplicates_removed));
  out += Format(
      "faults        %llu shown, %llu tripped, %llu false trips; contactor open after %.2f ms "
      "(p50), %.2f ms (max)\n",
      static_cast<unsigned long long>(r.faults_injected),
      static_cast<unsigned long long>(r.faults_tripped),
      static_cast<unsigned long long>(r.false_trips),
      Percentile(r.actuation_latency_us, 0.5) / 1000, Largest(r.actuation_latency_us) / 1000);
  out +=
      Format("data age      %.0f ms (p50), %.0f ms (p99) from sensor to a consumer of the stream\n",
             Percentile(r.data_age_ms, 0.5), Percentile(r.data_age_ms, 0.99));
  for (const auto& d : r.drift) {
    out += Format("drift         at %.0f s:", d.at_s);
    for (size_t i = 0; i < d.features.size() && i < 4; ++i) {
      out += Format(" %s (PSI %.1f)", d.features[i].c_str(), i < d.psi.size() ? d.psi[i] : 0.0);
    }
    if (d.features.size() > 4) out += Format(" and %zu more", d.features.size() - 4);
    out += "\n";
  }
  for (const auto& o : r.rollouts) {
    out += Format(
        "%s v%-2u     on %d devices; F1 %.3f -> %.3f; false alarms %.1f %% -> %.1f %%; %.19s\n",
        o.model.c_str(), o.version, o.devices_updated, o.champion_f1, o.challenger_f1,
        100 * o.false_alarm_rate_before, 100 * o.false_alarm_rate_after, o.digest.c_str());
  }
  for (const auto& j : r.rejected_models) {
    out += "refused       " + j.kind + " by " + j.device + ": " + j.reason + "\n";
  }
  double rss = 0;
  for (const auto& [name, mib] : r.services_rss_mib) rss += mib;
  out += Format("memory        %.0f MiB resident, %zu processes\n", rss, r.services_rss_mib.size());
  return out;
}

}  // namespace edgeloop::demo
