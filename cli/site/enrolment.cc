#include "cli/site/enrolment.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "cli/supervisor/supervisor.h"
#include "platform/services/identity/enrol.h"
#include "runtime/process/child.h"
#include "runtime/process/daemon.h"
#include "runtime/tls/tls.h"

namespace edgeloop::site {
namespace {

constexpr size_t kMaxTokenBytes = 4096;
constexpr auto kToolTimeout = std::chrono::seconds(20);
// A certificate that ends sooner is asked for anew.
constexpr long long kRenewBeforeSeconds = 7 * 24 * 3600;

const char* UnitName(Unit unit) {
  switch (unit) {
    case Unit::kService:
      return "service";
    case Unit::kDevice:
      return "device";
    case Unit::kOperator:
      return "operator";
  }
  return "?";
}

// Runs edgeloop-identity and gives what it printed.
Expected<std::string> RunTool(const std::vector<std::string>& command, const std::string& output) {
  std::filesystem::remove(output);
  auto child = process::Child::Start({.command = command, .output_path = output});
  if (!child) return Fail(child.error(), command[0]);
  const auto status = child->WaitFor(std::chrono::milliseconds(kToolTimeout));
  auto text = process::ReadWholeFile(output, kMaxTokenBytes);
  if (!status || *status != 0) {
    return Fail(ErrorCode::kInternal,
                command[0] + " " + command[1] + " failed:\n" + supervisor::LastLines(output, 5));
  }
  std::filesystem::remove(output);  // it held a token
  return text;
}

std::string Trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  const size_t line = text.rfind('\n');  // the token is the last line, warnings may precede it
  return line == std::string::npos ? text : text.substr(line + 1);
}

bool Usable(const tls::Files& files) {
  if (!std::filesystem::exists(files.key) || !std::filesystem::exists(files.ca)) return false;
  const auto left = tls::SecondsToExpiry(files.cert);
  return left && *left > kRenewBeforeSeconds;
}

}  // namespace

std::string AuthorityCertificate(const IdentityAuthority& authority) {
  return authority.state_dir + "/ca.pem";
}

Status InitAuthority(const IdentityAuthority& authority) {
  if (std::filesystem::exists(AuthorityCertificate(authority))) return {};
  auto done = RunTool({authority.binary, "init", "--state", authority.state_dir},
                      authority.state_dir + ".init");
  if (!done) return Fail(done.error());
  return {};
}

Status Enrol(const IdentityAuthority& authority, const Layout& layout, const std::string& name,
             Unit unit) {
  const tls::Files files = layout.Identity(name);
  if (Usable(files)) return {};
  if (Status made = MakePrivateDirectory(layout.Certs(name)); !made) return made;
  // Without a certificate the key is of no use: an enrolment was cut short, or it has run out.
  std::filesystem::remove(files.key);
  std::filesystem::remove(files.cert);

  auto token = RunTool({authority.binary, "token", "--state", authority.state_dir, "--name", name,
                        "--ou", UnitName(unit)},
                       layout.Run(name + ".token"));
  if (!token) return Fail(token.error());
  auto enrolled = identity::Enrol({.port = authority.port,
                                   .ca_path = AuthorityCertificate(authority),
                                   .name = name,
                                   .ou = UnitName(unit),
                                   .token = Trimmed(*token),
                                   .out_dir = layout.Certs(name)});
  if (!enrolled) return Fail(enrolled.error(), "enrolling " + name);
  return {};
}

}  // namespace edgeloop::site
