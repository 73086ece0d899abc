// The model a device has before the platform gives it one: features, no network, never trips.
#pragma once

#include <string>

#include "cli/site/layout.h"
#include "cli/site/options.h"
#include "contracts/error/error.h"

namespace edgeloop::site {

// Writes the factory model that fits the source's rate and channels; gives its path.
Expected<std::string> WriteFactoryModel(const Layout& layout, const Options& options,
                                        const DeviceOptions& device);

}  // namespace edgeloop::site
