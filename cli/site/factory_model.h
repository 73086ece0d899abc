// The model a device has before the platform gives it one: features, no network, never trips.
#pragma once

#include <string>

#include "cli/site/layout.h"
#include "cli/site/options.h"
#include "contracts/error/error.h"
#include "things/gateway/sensors/recordings.h"

namespace edgeloop::site {

// What the devices' sources will give. One model serves the whole fleet, so all must agree.
Expected<sensors::RateAndChannels> FleetFormat(const Options& options);

// Gives the path of the file.
Expected<std::string> WriteFactoryModel(const Layout& layout, const Options& options,
                                        const sensors::RateAndChannels& format);

}  // namespace edgeloop::site
