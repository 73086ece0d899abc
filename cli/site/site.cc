#include "cli/site/site.h"

#include <chrono>
#include <filesystem>
#include <optional>

#include "cli/site/enrolment.h"
#include "cli/site/factory_model.h"
#include "cli/site/service_configs.h"
#include "cli/site/status_file.h"
#include "platform/services/mqtt_broker/broker_config.h"
#include "runtime/process/daemon.h"
#include "runtime/signing/signing.h"

namespace edgeloop::site {
namespace {

constexpr std::chrono::seconds kReadyWithin{30};

}  // namespace

struct Site::Impl {
  Impl(Options o, const std::string& state_dir) : options(std::move(o)), access{} {
    access.layout = Layout(state_dir);
  }

  Options options;
  Access access;
  std::optional<StateLock> lock;
  int64_t started_at_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                              std::chrono::system_clock::now().time_since_epoch())
                              .count();
  std::string signing_key;
  std::string signing_public;
  std::string key_id;
  std::unique_ptr<supervisor::Supervisor> supervisor;  // last: its thread uses the rest

  std::string Binary(const std::string& name) const { return options.binaries + "/" + name; }

  Status TakeStateDirectory() {
    if (Status made = access.layout.Create(); !made) return made;
    auto taken = StateLock::Take(access.layout);
    if (!taken) return Fail(taken.error());
    lock.emplace(std::move(*taken));
    EndLeftovers(access.layout);
    std::filesystem::remove(access.layout.StatusFile());
    return {};
  }

  Status ChoosePorts() {
    auto ports = Ports::Load(access.layout.PortsFile());
    if (!ports) return Fail(ports.error());
    access.ports = std::move(*ports);
    access.ports.ForgetTaken();
    std::vector<std::string> listeners = {"identity.listen", "identity.health", "mosquitto.listen",
                                          "stream.listen",   "stream.health",   "registry.listen",
                                          "registry.health", "bridge.health",   "sidecar.health",
                                          "mlops.listen",    "mlops.health"};
    for (const auto& gateway : options.gateways) listeners.push_back(gateway.id + ".health");
    for (const std::string& listener : listeners) {
      if (auto port = access.ports.Choose(listener); !port) return Fail(port.error());
    }
    return access.ports.Save(access.layout.PortsFile());
  }

  Status MakeSigningKey() {
    const std::string dir = access.layout.Data("mlops");
    if (Status made = MakePrivateDirectory(dir); !made) return made;
    signing_key = dir + "/signing.key";
    signing_public = access.layout.root() + "/certs/model-signing.pub";
    if (!std::filesystem::exists(signing_key)) {
      if (Status made = signing::CreateKeyFile(signing_key, signing_public); !made) return made;
    }
    auto signer = signing::Signer::Load(signing_key);
    if (!signer) return Fail(signer.error());
    key_id = signer->key_id();
    return {};
  }

  Status StartSupervisor() {
    std::vector<std::string> ids;
    for (const auto& gateway : options.gateways) ids.push_back(gateway.id);
    access.gateways = ids;
    auto created = supervisor::Supervisor::Create(
        {.on_change = [this, ids](const std::vector<supervisor::ProcessState>& states) {
          // Others read it; nothing of ours depends on it.
          (void)WriteStatusFile(access.layout, started_at_ms, ids, states);
        }});
    if (!created) return Fail(created.error());
    supervisor = std::move(*created);
    return {};
  }

  Status Launch(const std::string& name, std::vector<std::string> command) {
    return supervisor->Start({.name = name,
                              .command = std::move(command),
                              .log_path = access.layout.Log(name),
                              .ready = [this, name] { return access.Ready(name); }},
                             kReadyWithin);
  }

  // A daemon of ours: configuration, data directory, process.
  Status Daemon(const std::string& name, const std::string& binary, const std::string& config) {
    if (Status made = MakePrivateDirectory(access.layout.Data(name)); !made) return made;
    const std::string path = access.layout.Config(name);
    if (Status s = process::WriteFileAtomically(path, config, 0600); !s) return s;
    return Launch(name, {Binary(binary), "--config", path});
  }

  IdentityAuthority Authority() const {
    return {.binary = Binary("edgeloop-identity"),
            .state_dir = access.layout.Data("identity"),
            .port = access.ListenPort("identity")};
  }

  Status Enrolled(const std::string& name, Unit unit) {
    return Enrol(Authority(), access.layout, name, unit);
  }

  Status StartMosquitto() {
    auto path = mqtt_broker::WriteBrokerFiles(
        {.port = access.ListenPort("mosquitto"), .tls = access.layout.Identity("mosquitto")},
        access.layout.root() + "/config");
    if (!path) return Fail(path.error());
    return Launch("mosquitto", {options.mosquitto, "-c", *path});
  }

  Status Run(const Progress& progress) {
    const auto format = FleetFormat(options);
    if (!format) return Fail(format.error());
    const auto factory = WriteFactoryModel(access.layout, options, *format);
    if (!factory) return Fail(factory.error());
    const ServiceConfigs configs{.options = options,
                                 .access = access,
                                 .signing_key = signing_key,
                                 .signing_public = signing_public,
                                 .module_socket = access.layout.Run("module.sock")};
    struct Step {
      std::string name;
      std::function<Status()> run;
    };
    std::vector<Step> steps;
    const auto daemon = [&](const std::string& name, std::string config) {
      steps.push_back({name, [this, name, config = std::move(config)] {
                         return Daemon(name, "edgeloop-" + name, config);
                       }});
    };
    daemon("identity", configs.Identity());
    steps.push_back({"certificates", [this] {
                       if (Status s = Enrolled(std::string(kOperatorName), Unit::kOperator); !s) {
                         return s;
                       }
                       for (const char* name :
                            {"mosquitto", "stream", "registry", "bridge", "sidecar", "mlops"}) {
                         if (Status s = Enrolled(name, Unit::kService); !s) return s;
                       }
                       for (const auto& gateway : options.gateways) {
                         if (Status s = Enrolled(gateway.id, Unit::kDevice); !s) return s;
                       }
                       return Status();
                     }});
    steps.push_back({"mosquitto", [this] { return StartMosquitto(); }});
    daemon("stream", configs.Stream());
    daemon("registry", configs.Registry(key_id));
    daemon("bridge", configs.Bridge());
    daemon("module", configs.Module());
    daemon("sidecar", configs.Sidecar());
    daemon("mlops", configs.Mlops(*format));
    for (const auto& gateway : options.gateways) {
      steps.push_back({gateway.id, [&] {
                         return Daemon(gateway.id, "edgeloop-gateway",
                                       configs.Gateway(gateway, *factory));
                       }});
    }
    for (const Step& step : steps) {
      progress(step.name);
      if (Status done = step.run(); !done) return done;
    }
    return {};
  }
};

Expected<std::unique_ptr<Site>> Site::Start(Options options, const std::string& state_dir,
                                            const Progress& progress) {
  auto impl = std::make_unique<Impl>(std::move(options), state_dir);
  if (Status s = impl->TakeStateDirectory(); !s) return Fail(s.error());
  if (Status s = impl->ChoosePorts(); !s) return Fail(s.error());
  if (Status s = impl->MakeSigningKey(); !s) return Fail(s.error());
  if (Status s = InitAuthority(impl->Authority()); !s) return Fail(s.error());
  if (Status s = impl->StartSupervisor(); !s) return Fail(s.error());
  if (Status s = impl->Run(progress); !s) {
    impl->supervisor->Stop();
    return Fail(s.error());
  }
  return std::unique_ptr<Site>(new Site(std::move(impl)));
}

Site::Site(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Site::~Site() { Stop(); }

void Site::Stop() { impl_->supervisor->Stop(); }
const Access& Site::access() const { return impl_->access; }
const Options& Site::options() const { return impl_->options; }
std::vector<supervisor::ProcessState> Site::Processes() const {
  return impl_->supervisor->Snapshot();
}

}  // namespace edgeloop::site
