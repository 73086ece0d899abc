// The parts of a gateway put together: for each device a source, a loop, a store and an update
// agent; for all of them one Sparkplug edge node.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"
#include "runtime/http/server.h"
#include "runtime/metrics/metrics.h"
#include "runtime/signing/signing.h"
#include "things/gateway/daemon/options.h"
#include "things/gateway/publish/edge_node.h"
#include "things/gateway/sense/device_loop.h"
#include "things/gateway/update/device_command.h"
#include "things/gateway/update/update_agent.h"

namespace edgeloop::gateway {

class Gateway {
 public:
  static Expected<std::unique_ptr<Gateway>> Create(GatewayOptions options,
                                                   metrics::Registry& metrics);
  ~Gateway();  // stops

  Status Start();
  void Stop();
  // Not ready while the broker is away: the device works on, but nobody hears of it.
  Status Ready() const;
  // GET /v1/devices; with plant_control also GET and POST /v1/plant/<device>.
  void AddRoutes(http::Server& server);

 private:
  struct Device {
    DeviceId id;
    const DeviceOptions* options = nullptr;
    size_t index = 0;
    std::unique_ptr<sensors::Source> source;
    std::unique_ptr<Actuator> actuator;
    std::unique_ptr<RecordStore> store;
    std::unique_ptr<UpdateAgent> agent;
    std::unique_ptr<DeviceLoop> loop;
    std::unique_ptr<ResetLog> resets;
  };

  Gateway(GatewayOptions options, metrics::Registry& metrics)
      : options_(std::move(options)), metrics_(metrics) {}

  Status AddDevice(const DeviceOptions& options);
  void OnCommand(Device& device, std::string_view bytes);
  void Emit(Device& device, const UpdateAnswer& answer);
  Expected<std::string> Fetch(const std::string& digest, uint64_t max_bytes) const;
  Device* Find(std::string_view name) const;
  std::string DevicesJson() const;
  http::Response DirectPlant(const http::Request& request);

  const GatewayOptions options_;
  metrics::Registry& metrics_;
  std::unique_ptr<signing::Verifier> verifier_;
  std::unique_ptr<FeatureSets> feature_sets_;
  std::unique_ptr<EdgeNode> node_;
  std::vector<std::unique_ptr<Device>> devices_;
  bool started_ = false;
};

}  // namespace edgeloop::gateway
