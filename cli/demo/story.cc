#include "cli/demo/story.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/demo/observer.h"
#include "cli/demo/plant.h"
#include "cli/demo/platform_client.h"
#include "cli/operate/operator.h"
#include "runtime/process/child.h"

namespace edgeloop::demo {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kRepeatCommand = 3s;
constexpr milliseconds kSlice = 500ms;  // how soon a cancelled or failed wait is noticed
constexpr int kShowRepeats = 12;        // of the live part while drift is looked for
// Healthy machines in a known condition may alarm now and then, not more.
constexpr double kFewAlarms = 0.05;
constexpr uint64_t kWindowsAfterRevert = 10;  // of each device, still judged by the champion

std::string Percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

std::string Plural(size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

struct Story::Impl {
  Impl(Options o, const site::Site& s, const Scenario& sc, Narrator& n, Report* r)
      : options(std::move(o)),
        site(s),
        scenario(sc),
        narrator(n),
        report(*r),
        plant(s.access()),
        platform(s.access()) {}

  const Options options;
  const site::Site& site;
  const Scenario& scenario;
  Narrator& narrator;
  Report& report;
  Plant plant;
  PlatformClient platform;
  std::unique_ptr<Observer> observer;
  std::unique_ptr<operate::Operator> op;
  std::atomic<bool> cancelled = false;
  uint32_t version = 0;  // of the champion, as far as the devices have it
  int trip_count = 0;    // of the champion
  uint64_t faults_shown = 0;
  std::vector<std::string> heard;

  size_t devices() const { return options.devices.size(); }
  const std::string& device(size_t index) const { return options.devices[index]; }
  uint64_t WindowNs() const {
    const Geometry& g = scenario.geometry();
    return (g.window - 1) * 1'000'000'000ull / g.sample_rate_hz;
  }

  // --- Waiting -------------------------------------------------------------------------------

  // Until `condition`, at most `within` and the story's own limit. The message says what was
  // expected. `wrong` may end the wait early with a reason; `again` is called every kRepeatCommand.
  Status Await(const std::string& what, milliseconds within, const Observer::Condition& condition,
               const std::function<std::string(const World&)>& wrong = nullptr,
               const std::function<Status()>& again = nullptr) {
    const auto left = milliseconds(
        static_cast<int64_t>(1000 * std::max(0.0, options.limit_s - narrator.ElapsedSeconds())));
    const auto deadline = Clock::now() + std::min(within, left);
    auto repeat_at = Clock::now() + kRepeatCommand;
    while (true) {
      if (cancelled) return Fail(ErrorCode::kCancelled, "interrupted");
      if (observer->WaitFor(
              condition, std::min<milliseconds>(
                             kSlice, std::chrono::ceil<milliseconds>(deadline - Clock::now())))) {
        SayHeard();
        return {};
      }
      SayHeard();
      if (wrong) {
        const std::string reason = observer->With(wrong);
        if (!reason.empty()) return Fail(ErrorCode::kInternal, what + ": " + reason);
      }
      if (Clock::now() >= deadline) {
        return Fail(ErrorCode::kTimeout, "not seen in time: " + what);
      }
      if (again && Clock::now() >= repeat_at) {
        if (Status s = again(); !s) return s;
        repeat_at = Clock::now() + kRepeatCommand;
      }
    }
  }

  // What conditions found worth telling. They must not speak themselves: they run while the world
  // stands still, and the live lines need to look at it.
  void SayHeard() {
    for (const std::string& text : std::exchange(heard, {})) narrator.Say(text);
  }

  Status Expect(bool held, const std::string& text) {
    narrator.Verdict(held, text);
    if (held) return {};
    return Fail(ErrorCode::kInternal, text);
  }

  // --- Acting as the plant ---------------------------------------------------------------------

  struct Played {
    std::vector<Interval> intervals;  // of all devices
    std::vector<Labelled> what;       // one an interval
  };

  // Each device plays its `labelled` segments, then `after` with the last one looping. Waits until
  // the labelled ones are over.
  Status PlayAll(const std::function<std::vector<Labelled>(int)>& labelled,
                 const std::function<std::vector<sensors::Segment>(int)>& after, Played* played) {
    std::vector<std::vector<std::string>> ids(devices());
    std::vector<std::vector<Labelled>> what(devices());
    for (size_t d = 0; d < devices(); ++d) {
      what[d] = labelled(static_cast<int>(d));
      std::vector<sensors::Segment> segments;
      for (const Labelled& entry : what[d]) segments.push_back(entry.segment);
      std::ranges::move(after(static_cast<int>(d)), std::back_inserter(segments));
      auto given = plant.Play(device(d), std::move(segments), true);
      if (!given) return Fail(given.error());
      given->resize(what[d].size());
      ids[d] = std::move(*given);
    }
    for (size_t d = 0; d < devices(); ++d) {
      auto intervals = plant.WaitPlayed(device(d), ids[d], Clock::now() + 60s);
      if (!intervals) return Fail(intervals.error());
      std::ranges::move(*intervals, std::back_inserter(played->intervals));
      std::ranges::move(what[d], std::back_inserter(played->what));
    }
    // All of it must have reached the stream, too.
    return Await("the windows of what was played, in the stream", 20s, [&](const World& world) {
      for (size_t d = 0; d < devices(); ++d) {
        uint64_t last = 0;
        for (const Interval& interval : played->intervals) {
          if (interval.device == device(d)) last = std::max(last, interval.to_ns);
        }
        const auto it = world.devices.find(device(d));
        if (it == world.devices.end() || it->second.windows.empty() ||
            it->second.windows.back().sensed_at_ns < last) {
          return false;
        }
      }
      return true;
    });
  }

  // Plays the live part of a stage everywhere and counts what the models in charge made of it.
  Expected<World::Count> Watch(int stage, int max_windows, int repeats_after) {
    Played played;
    Status done = PlayAll(
        [&](int d) {
          std::vector<Labelled> live;
          for (auto& segment : scenario.Show(stage, d, max_windows)) {
            live.push_back({.segment = std::move(segment), .label = "", .faulty = false});
          }
          return live;
        },
        [&](int d) { return LiveFor(stage, d, max_windows, repeats_after); }, &played);
    if (!done) return Fail(done.error());
    return observer->With(
        [&](const World& world) { return world.CountIn(played.intervals, WindowNs()); });
  }

  std::vector<sensors::Segment> LiveFor(int stage, int d, int max_windows, int repeats) const {
    std::vector<sensors::Segment> live;
    for (int i = 0; i < repeats; ++i) {
      std::ranges::move(scenario.Show(stage, d, max_windows), std::back_inserter(live));
    }
    return live;
  }

  // --- Acting as the operator --------------------------------------------------------------------

  Status DescribeMachines(int stage) {
    for (size_t d = 0; d < devices(); ++d) {
      v1::Context context;
      context.set_device(device(d));
      context.set_machine("motor " + std::to_string(d + 1));
      context.set_criticality(d == 0 ? 0.9 : 0.5);
      for (const auto& [name, value] : scenario.stages()[stage].conditions) {
        (*context.mutable_values())[name] = value;
      }
      if (Status s = op->Describe(context); !s) return s;
    }
    return {};
  }

  Status SubmitLabels(const Played& played) {
    v1::Label label;
    label.set_submission(operate::NewId());
    for (size_t i = 0; i < played.intervals.size(); ++i) {
      auto* interval = label.add_intervals();
      interval->set_device(played.intervals[i].device);
      interval->set_from_ns(played.intervals[i].from_ns);
      interval->set_to_ns(played.intervals[i].to_ns);
      interval->set_label(played.what[i].label);
      interval->set_faulty(played.what[i].faulty);
      interval->set_purpose(played.what[i].validation ? v1::Label::VALIDATION
                                                      : v1::Label::TRAINING);
    }
    narrator.Say("the operator submits labels for " + Plural(played.intervals.size(), "interval") +
                 " of " + Plural(devices(), "device") + ", after the fact");
    return op->Submit(label);
  }

  Status ResetContactor(const std::string& id) {
    v1::Command command;
    command.set_command_id(operate::NewId());
    command.set_device(id);
    command.mutable_reset_contactor();
    const auto send = [&] { return op->Send(command); };
    if (Status s = send(); !s) return s;
    return Await(
        "the contactor of " + id + " closes on command", 20s,
        [&](const World& world) {
          const auto it = world.devices.find(id);
          if (it == world.devices.end()) return false;
          return std::ranges::any_of(it->second.events, [&](const v1::DeviceEvent& event) {
            return event.type() == v1::DeviceEvent::CONTACTOR_RESET &&
                   event.command_id() == command.command_id();
          });
        },
        nullptr, send);
  }

  // --- The steps
  // -----------------------------------------------------------------------------------

  // Waits until a pipeline run that began after `pipeline_from` has brought a newer model to every
  // device.
  Status AwaitRollout(size_t pipeline_from, double rate_before) {
    size_t told = pipeline_from;
    bool succeeded = false;
    std::map<std::string, uint32_t> told_version;
    const auto listen = [&](const World& world) {
      for (; told < world.pipeline.size(); ++told) {
        const auto& event = world.pipeline[told];
        if (event.step() == "drift") continue;
        if (event.state() != v1::PipelineEvent::SUCCEEDED) continue;
        succeeded = succeeded || event.step().empty();
        // The last step repeats the figures of all.
        if (!event.step().empty() && event.step() != "all")
          heard.push_back("pipeline: " + event.step() + Figures(event));
      }
      for (const auto& [id, seen] : world.devices) {
        if (seen.version > version &&
            std::exchange(told_version[id], seen.version) != seen.version) {
          heard.push_back(id + " now decides with model v" + std::to_string(seen.version));
        }
      }
    };
    const auto updated = [&](const World& world) {
      listen(world);
      return succeeded && std::ranges::all_of(world.devices, [&](const auto& entry) {
               return entry.second.version > version;
             });
    };
    const auto failed = [&](const World& world) {
      for (size_t i = pipeline_from; i < world.pipeline.size(); ++i) {
        if (world.pipeline[i].state() == v1::PipelineEvent::FAILED) {
          return "pipeline step " + world.pipeline[i].step() +
                 " failed: " + world.pipeline[i].reason();
        }
      }
      return std::string();
    };
    if (Status s = Await("a newer model than v" + std::to_string(version) + " on every device", 75s,
                         updated, failed);
        !s) {
      return s;
    }
    // The registry learns of it a moment later.
    auto champion = platform.Champion();
    const auto known_by = Clock::now() + 10s;
    while ((!champion || champion->version <= version) && Clock::now() < known_by) {
      observer->WaitFor([](const World&) { return false; }, kSlice);
      champion = platform.Champion();
    }
    if (!champion) return Fail(champion.error());
    RolloutSeen rollout{.model = champion->name,
                        .version = champion->version,
                        .digest = champion->digest,
                        .devices_updated = static_cast<int>(devices()),
                        .false_alarm_rate_before = rate_before};
    observer->With([&](const World& world) {
      for (size_t i = pipeline_from; i < world.pipeline.size(); ++i) {
        const auto& figures = world.pipeline[i].figures();
        if (const auto f = figures.find("champion_f1"); f != figures.end()) {
          rollout.champion_f1 = f->second;
        }
        if (const auto f = figures.find("challenger_f1"); f != figures.end()) {
          rollout.challenger_f1 = f->second;
        }
      }
      return 0;
    });
    report.rollouts.push_back(rollout);
    auto trips = platform.TripCount(*champion);
    if (!trips) return Fail(trips.error());
    trip_count = *trips;
    const bool same = observer->With([&](const World& world) {
      return std::ranges::all_of(world.devices, [&](const auto& entry) {
        return entry.second.digest == champion->digest;
      });
    });
    version = champion->version;
    return Expect(same, "model v" + std::to_string(version) + " decides on all " +
                            Plural(devices(), "device") + ", " + champion->digest.substr(0, 19));
  }

  // The figures of a step that a reader can use.
  static std::string Figures(const v1::PipelineEvent& event) {
    static const std::set<std::string> kShown = {"training_rows",
                                                 "validation_rows",
                                                 "iterations",
                                                 "alarm_on",
                                                 "float_bytes",
                                                 "int8_bytes",
                                                 "champion_f1",
                                                 "challenger_f1",
                                                 "challenger_recall",
                                                 "challenger_false_alarm_rate",
                                                 "champion_false_alarm_rate",
                                                 "decision_flips",
                                                 "size_bytes"};
    std::string text;
    for (const auto& [name, value] :
         std::map<std::string, double>(event.figures().begin(), event.figures().end())) {
      if (!kShown.contains(name)) continue;
      char number[64];
      std::snprintf(number, sizeof number, "%s%s %.4g", text.empty() ? ": " : ", ", name.c_str(),
                    value);
      text += number;
    }
    return text;
  }

  size_t PipelineEvents() {
    return observer->With([](const World& world) { return world.pipeline.size(); });
  }

  Status Commission() {
    if (Status s = DescribeMachines(0); !s) return s;
    const size_t from = PipelineEvents();
    Played played;
    Status done = PlayAll([&](int d) { return scenario.Commission(d); },
                          [&](int d) { return LiveFor(0, d, 0, 1); }, &played);
    if (!done) return done;
    const auto seen = observer->With(
        [&](const World& world) { return world.CountIn(played.intervals, WindowNs()); });
    narrator.Say(
        Plural(seen.windows, "window") +
        " of healthy and faulty operation are in the stream; the factory model never alarms");
    const double before = seen.AlarmRate();
    if (Status s = SubmitLabels(played); !s) return s;
    if (Status s = AwaitRollout(from, before); !s) return s;
    auto after = Watch(0, 0, 1);
    if (!after) return Fail(after.error());
    report.rollouts.back().false_alarm_rate_after = after->AlarmRate();
    return Expect(after->AlarmRate() <= kFewAlarms && after->open == 0,
                  "healthy machines, windows never trained on: " + Percent(after->AlarmRate()) +
                      " of " + std::to_string(after->windows) + " alarm, no contactor opens");
  }

  // An alert is raised once and stays until its condition is over: only then can it be raised anew.
  Status AwaitQuiet() {
    const auto open_alerts = [](const World& world) {
      std::set<std::pair<std::string, std::string>> open;
      for (const auto& alert : world.alerts) {
        if (alert.cleared()) {
          open.erase({alert.device(), alert.rule()});
        } else {
          open.insert({alert.device(), alert.rule()});
        }
      }
      return open.size();
    };
    const size_t open = observer->With(open_alerts);
    if (open == 0) return {};
    narrator.Say("waiting for " + Plural(open, "alert") + " of before to clear");
    return Await("earlier alerts clear", 30s,
                 [&](const World& world) { return open_alerts(world) == 0; });
  }

  Status ShowFault(int stage) {
    if (Status s = AwaitQuiet(); !s) return s;
    const auto& faults = scenario.stages()[stage].faults;
    const uint64_t pick = Mix(options.seed * 1000 + faults_shown);
    const size_t d = pick % devices();
    const auto which = static_cast<int>((pick >> 20) % faults.size());
    const std::string& id = device(d);
    const auto before = observer->With([&](const World& world) {
      return std::pair{world.Trips(), world.devices.at(id).trips};
    });
    const uint64_t since_ns = operate::UnixNanoseconds();
    narrator.Say("a fault appears on " + id + ": " + faults[which]);
    ++faults_shown;
    ++report.faults_injected;
    auto played = plant.Play(id, {scenario.Fault(stage, static_cast<int>(d), which)}, true);
    if (!played) return Fail(played.error());
    if (Status s =
            Await(id + " trips on " + faults[which], 30s,
                  [&](const World& world) { return world.devices.at(id).trips > before.second; });
        !s) {
      return s;
    }
    ++report.faults_tripped;
    const double latency =
        observer->With([](const World& world) { return world.actuation_latency_us.back() / 1000; });
    char text[64];
    std::snprintf(text, sizeof text, "%.2f ms", latency);
    narrator.Verdict(true, id + " tripped: its contactor opened " + text +
                               " after the last sample of the window");
    std::string alert_text;
    if (Status s =
            Await("an alert for " + id, 30s,
                  [&](const World& world) {
                    for (const auto& alert : world.alerts) {
                      if (alert.device() != id || alert.cleared() || alert.at_ns() < since_ns) {
                        continue;
                      }
                      alert_text = alert.severity() + ": " + alert.text();
                      return true;
                    }
                    return false;
                  });
        !s) {
      return s;
    }
    narrator.Verdict(true, "alert, " + alert_text);
    const uint64_t others = observer->With([&](const World& world) {
      return (world.Trips() - world.devices.at(id).trips) - (before.first - before.second);
    });
    if (Status s = Expect(others == 0, "no healthy device trips meanwhile"); !s) return s;

    narrator.Say("the machine is repaired, the operator resets its contactor");
    auto repaired = plant.Play(id, LiveFor(stage, static_cast<int>(d), 0, 1), true);
    if (!repaired) return Fail(repaired.error());
    if (Status s = ResetContactor(id); !s) return s;
    return Await(id + " runs again with a closed contactor", 20s,
                 [&](const World& world) { return !world.devices.at(id).open; });
  }

  Status AwaitDrift(uint64_t since_ns) {
    DriftSeen drift;
    if (Status s = Await(
            "drift detected by the platform", 45s,
            [&](const World& world) {
              for (const auto& event : world.pipeline) {
                if (event.step() != "drift" || event.at_ns() < since_ns ||
                    event.state() != v1::PipelineEvent::SUCCEEDED || event.features().empty()) {
                  continue;
                }
                drift.features.assign(event.features().begin(), event.features().end());
                drift.psi.clear();
                for (const std::string& feature : drift.features) {
                  const auto psi = event.figures().find("psi." + feature);
                  drift.psi.push_back(psi == event.figures().end() ? 0 : psi->second);
                }
                return true;
              }
              return false;
            });
        !s) {
      return s;
    }
    drift.at_s = narrator.ElapsedSeconds();
    std::string names;
    for (size_t i = 0; i < drift.features.size() && i < 5; ++i) {
      char psi[32];
      std::snprintf(psi, sizeof psi, " (PSI %.2f)", drift.psi[i]);
      names += (i ? ", " : "") + drift.features[i] + psi;
    }
    narrator.Verdict(true, "drift of " + Plural(drift.features.size(), "feature") + ": " + names +
                               (drift.features.size() > 5 ? ", ..." : ""));
    report.drift.push_back(std::move(drift));
    return {};
  }

  Status Change(int stage) {
    const int short_run = std::max(1, trip_count - 1);
    narrator.Say("all machines now run at " +
                 sensors::ToString(scenario.stages()[stage].conditions) + ", in runs of " +
                 Plural(static_cast<size_t>(short_run), "window") + ": the model trips on " +
                 std::to_string(trip_count));
    if (Status s = DescribeMachines(stage); !s) return s;
    const uint64_t since_ns = operate::UnixNanoseconds();
    const double known_rate = report.rollouts.back().false_alarm_rate_after;
    const auto before = Watch(stage, short_run, kShowRepeats);
    if (!before) return Fail(before.error());
    if (Status s = Expect(before->AlarmRate() > known_rate,
                          "false alarms rise: " + Percent(before->AlarmRate()) + " of " +
                              std::to_string(before->windows) + " healthy windows, " +
                              Percent(known_rate) + " before the change");
        !s) {
      return s;
    }
    if (Status s = AwaitDrift(since_ns); !s) return s;

    const size_t from = PipelineEvents();
    Played played;
    Status done =
        PlayAll([&](int d) { return scenario.Learn(stage, d, short_run); },
                [&](int d) { return LiveFor(stage, d, short_run, kShowRepeats); }, &played);
    if (!done) return done;
    if (Status s = SubmitLabels(played); !s) return s;
    if (Status s = AwaitRollout(from, before->AlarmRate()); !s) return s;

    // The same windows as before, then the same machines without pause.
    const auto after = Watch(stage, short_run, 1);
    if (!after) return Fail(after.error());
    report.rollouts.back().false_alarm_rate_after = after->AlarmRate();
    if (Status s = Expect(after->AlarmRate() < before->AlarmRate(),
                          "false alarms fall: " + Percent(before->AlarmRate()) + " -> " +
                              Percent(after->AlarmRate()) + " of the same windows");
        !s) {
      return s;
    }
    const auto on = Watch(stage, 0, 1);
    if (!on) return Fail(on.error());
    return Expect(on->open == 0, "no contactor opens on " + std::to_string(on->windows) +
                                     " windows of healthy machines running on");
  }

  Status BadModels() {
    auto bad = platform.PublishBadModel();
    if (!bad) return Fail(bad.error());
    narrator.Say("a model that always alarms is published as v" + std::to_string(bad->version));

    const std::string& target = device(0);
    v1::Command forged;
    forged.set_command_id(operate::NewId());
    forged.set_device(target);
    auto* update = forged.mutable_update_model();
    update->set_name(bad->name);
    update->set_version(bad->version);
    update->set_digest(bad->digest);
    update->set_size(bad->size);
    update->set_key_id(bad->key_id);
    update->set_signature(std::string(64, '\x5a'));
    narrator.Say("someone writes an update command with a forged signature into the stream");
    const auto send = [&] { return op->Send(forged); };
    if (Status s = send(); !s) return s;
    std::string reason;
    Status refused = Await(
        target + " refuses the forged update", 20s,
        [&](const World& world) {
          for (const auto& event : world.devices.at(target).events) {
            if (event.command_id() == forged.command_id() &&
                event.type() == v1::DeviceEvent::MODEL_REJECTED) {
              reason = event.reason();
              return true;
            }
          }
          return false;
        },
        nullptr, send);
    if (!refused) return refused;
    narrator.Verdict(true, target + " refused it: " + reason);
    report.rejected_models.push_back({.device = target, .kind = "rejected", .reason = reason});

    narrator.Say("now it is signed properly and its roll-out is forced");
    if (Status s = platform.ForceRollout(*bad); !s) return s;
    Rejection reverted{.device = "", .kind = "reverted", .reason = ""};
    Status back =
        Await("a device reverts the bad model in its trial", 45s, [&](const World& world) {
          for (const auto& [id, seen] : world.devices) {
            for (const auto& event : seen.events) {
              if (event.type() == v1::DeviceEvent::MODEL_REVERTED &&
                  event.model_version() == bad->version) {
                reverted.device = id;
                reverted.reason = event.reason();
                return true;
              }
            }
          }
          return false;
        });
    if (!back) return back;
    narrator.Verdict(true, reverted.device + " reverted it: " + reverted.reason);
    report.rejected_models.push_back(reverted);

    const auto counts = observer->With([](const World& world) {
      std::map<std::string, size_t> windows;
      for (const auto& [id, seen] : world.devices) windows[id] = seen.windows.size();
      return windows;
    });
    if (Status s = Await("every device goes on with the champion", 20s,
                         [&](const World& world) {
                           return std::ranges::all_of(world.devices, [&](const auto& entry) {
                             return entry.second.windows.size() >=
                                    counts.at(entry.first) + kWindowsAfterRevert;
                           });
                         });
        !s) {
      return s;
    }
    const bool untouched = observer->With([&](const World& world) {
      return std::ranges::all_of(world.devices, [&](const auto& entry) {
        return entry.second.version == version && !entry.second.open &&
               std::ranges::none_of(entry.second.windows, [&](const Window& window) {
                 return window.model_version == bad->version;
               });
      });
    });
    return Expect(untouched, "no window was decided by the bad model; all devices run v" +
                                 std::to_string(version) + ", no contactor opened");
  }

  std::vector<std::string> LiveLines() {
    return observer->With([&](const World& world) {
      constexpr size_t kRecent = 40;
      std::vector<std::string> lines;
      for (const std::string& id : options.devices) {
        const auto it = world.devices.find(id);
        if (it == world.devices.end() || it->second.windows.empty()) continue;
        const DeviceSeen& seen = it->second;
        std::string strip;
        const size_t from = seen.windows.size() > kRecent ? seen.windows.size() - kRecent : 0;
        for (size_t i = from; i < seen.windows.size(); ++i) {
          strip += seen.windows[i].open ? "x" : seen.windows[i].alarm ? "!" : ".";
        }
        char text[160];
        std::snprintf(text, sizeof text, "  %-16s v%-2u %-6s %7zu windows  %s", id.c_str(),
                      seen.version, seen.open ? "OPEN" : "closed", seen.windows.size(),
                      strip.c_str());
        lines.emplace_back(text);
      }
      return lines;
    });
  }

  Status Tell() {
    struct Step {
      std::string heading;
      std::function<Status()> run;
    };
    std::vector<Step> steps = {{"Commissioning: level-1 models from the stream's own data",
                                [this] { return Commission(); }},
                               {"A fault on one machine", [this] { return ShowFault(0); }}};
    for (int stage = 1; stage < static_cast<int>(scenario.stages().size()); ++stage) {
      steps.push_back(
          {"Operating conditions change: " + sensors::ToString(scenario.stages()[stage].conditions),
           [this, stage] { return Change(stage); }});
      steps.push_back({"The fault is still caught", [this, stage] { return ShowFault(stage); }});
    }
    steps.push_back({"Bad models", [this] { return BadModels(); }});
    int number = 0;
    for (const Step& step : steps) {
      narrator.Heading(std::to_string(++number) + ". " + step.heading);
      const double start = narrator.ElapsedSeconds();
      const Status done = step.run();
      report.phases.push_back(
          {.name = step.heading, .at_s = start, .took_s = narrator.ElapsedSeconds() - start});
      if (!done) return done;
    }
    return {};
  }

  // Everything the devices have made, and nothing else, must be in the stream.
  Status Account() {
    for (const std::string& id : options.devices) {
      if (Status s = plant.Stop(id); !s) return s;
    }
    const auto settled = Clock::now() + 30s;
    uint64_t produced = 0;
    while (true) {
      auto counters = platform.ReadCounters();
      if (!counters) return Fail(counters.error());
      produced = counters->produced;
      const bool drained =
          counters->pending == 0 &&
          observer->WaitFor([&](const World& world) { return world.Records() >= produced; },
                            kSlice);
      // Twice the same count: the devices have fallen silent.
      auto again = platform.ReadCounters();
      if (!again) return Fail(again.error());
      if (drained && again->produced == produced) break;
      if (Clock::now() >= settled) break;
    }
    report.produced = produced;
    observer->With([&](const World& world) {
      report.durable = world.Records();
      report.windows = world.Windows();
      report.inferences = world.inferences;
      report.alerts = world.alerts.size();
      report.data_age_ms = world.data_age_ms;
      report.actuation_latency_us = world.actuation_latency_us;
      for (const auto& alert : world.alerts) {
        report.alert_data_age_ms.push_back(alert.data_age_ms());
      }
      for (const auto& [id, seen] : world.devices) {
        report.dropped += seen.dropped;
        report.duplicates_in_stream += seen.duplicates;
        report.out_of_order += seen.out_of_order;
      }
      report.false_trips =
          world.Trips() > report.faults_tripped ? world.Trips() - report.faults_tripped : 0;
      return 0;
    });
    report.lost = produced > report.durable ? produced - report.durable : 0;
    auto removed = platform.DuplicatesRemoved();
    if (!removed) return Fail(removed.error());
    report.duplicates_removed = *removed;
    for (const auto& process : site.Processes()) {
      if (const auto usage = process::UsageOf(process.pid)) {
        report.services_rss_mib[process.name] =
            static_cast<double>(usage->resident_bytes) / (1 << 20);
      }
    }
    if (Status s = Expect(report.lost == 0 && report.durable == produced,
                          std::to_string(produced) + " records produced, " +
                              std::to_string(report.durable) + " durable in the stream, " +
                              std::to_string(report.lost) + " lost");
        !s) {
      return s;
    }
    return Expect(report.duplicates_in_stream == 0 && report.out_of_order == 0,
                  "each record is in the stream once, in the order of its device");
  }
};

Expected<std::unique_ptr<Story>> Story::Create(Options options, const site::Site& site,
                                               const Scenario& scenario, Narrator& narrator,
                                               Report* report) {
  auto impl = std::make_unique<Impl>(std::move(options), site, scenario, narrator, report);
  auto observer = Observer::Start(site.access());
  if (!observer) return Fail(observer.error());
  impl->observer = std::move(*observer);
  auto op = operate::Operator::Create(site.access());
  if (!op) return Fail(op.error());
  impl->op = std::move(*op);
  narrator.ShowLive([i = impl.get()] { return i->LiveLines(); });
  return std::unique_ptr<Story>(new Story(std::move(impl)));
}

Story::Story(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Story::~Story() { impl_->narrator.ShowLive(nullptr); }

Status Story::Run() { return impl_->Tell(); }
Status Story::Settle() {
  impl_->narrator.Heading("Accounting");
  return impl_->Account();
}
void Story::Cancel() { impl_->cancelled = true; }

}  // namespace edgeloop::demo
