// What the bridge counts.
#pragma once

#include "runtime/metrics/metrics.h"

namespace edgeloop::bridge {

struct BridgeMetrics {
  explicit BridgeMetrics(metrics::Registry& registry)
      : records_in(registry.AddCounter("edgeloop_bridge_records_in_total",
                                       "Records received from devices, duplicates too")),
        records_out(registry.AddCounter("edgeloop_bridge_records_out_total",
                                        "Records durable in the stream")),
        duplicates(registry.AddCounter("edgeloop_bridge_duplicates_total",
                                       "Records received again and left out")),
        ahead(registry.AddCounter("edgeloop_bridge_ahead_total",
                                  "Records left for the device to resend, one before was missing")),
        refused(registry.AddCounter("edgeloop_bridge_refused_total",
                                    "Records of devices that lost their numbering")),
        pushed_back(registry.AddCounter("edgeloop_bridge_pushed_back_total",
                                        "Records left for the device to resend, queue full")),
        gaps(registry.AddCounter("edgeloop_bridge_gap_records_total",
                                 "Records that no longer exist and were never received")),
        gaps_explained(registry.AddCounter("edgeloop_bridge_gap_records_explained_total",
                                           "Gap records that a LOSS record accounts for")),
        dead_letters(registry.AddCounter("edgeloop_bridge_dead_letters_total",
                                         "Messages that do not decode")),
        payload_gaps(registry.AddCounter("edgeloop_bridge_payload_gaps_total",
                                         "Breaks of the Sparkplug payload sequence")),
        rebirths(registry.AddCounter("edgeloop_bridge_rebirth_requests_total",
                                     "Births asked for again")),
        acks(registry.AddCounter("edgeloop_bridge_acks_total", "Acknowledgements sent")),
        commands(registry.AddCounter("edgeloop_bridge_commands_total", "Commands sent to devices")),
        data_age_s(registry.AddHistogram(
            "edgeloop_bridge_data_age_seconds", "Sensing to durable in the stream",
            {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600})) {}

  metrics::Counter records_in, records_out, duplicates, ahead, refused, pushed_back, gaps,
      gaps_explained, dead_letters, payload_gaps, rebirths, acks, commands;
  metrics::Histogram data_age_s;
};

}  // namespace edgeloop::bridge
