// What the API answers, as JSON text.
#pragma once

#include <string>

#include "platform/mlops/pipeline/controller.h"

namespace edgeloop::mlops {

std::string StatusJson(Controller& controller);
std::string DriftJson(Controller& controller);
std::string RunsJson(Controller& controller);
std::string RolloutsJson(Controller& controller);

}  // namespace edgeloop::mlops
