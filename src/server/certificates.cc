#include "certificates.h"

#include <array>
#include <ctime>
#include <string>
#include <utility>

#include <spdlog/spdlog.h>

namespace ringcast::server {
namespace {

std::string date_of(std::uint64_t unix_ms) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm parts{};
  std::array<char, 32> text{};
  if (gmtime_r(&seconds, &parts) == nullptr) return "a day that nobody can name";
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text.data();
}

}  // namespace

Certificates::Certificates(Time now) : ticket_keys_(std::make_shared<tls::TicketKeys>(now)) {}

Result<tls::Context::Loaded> Certificates::load(const config::TlsOptions& options, Time now) const {
  auto loaded = tls::Context::load(config::certificate_files(options), ticket_keys_, now);
  if (!loaded) return Error{"tls: " + loaded.error().message};
  return loaded;
}

void Certificates::use(tls::Context::Loaded loaded, const config::TlsOptions& options) {
  context_ = std::move(loaded.context);
  const std::uint64_t expiry_ms = context_->first_expiry_unix_ms();
  expiry_ms_.set(expiry_ms);
  std::string files;
  for (const std::string& file : options.certificates) {
    files += (files.empty() ? "" : ", ") + file;
  }
  const bool one = options.certificates.size() == 1;
  spdlog::info("tls: {} {}; {} on {}", files, one ? "is in use" : "are in use",
               one ? "it expires" : "the first of them expires", date_of(expiry_ms));
  for (const std::string& warning : loaded.warnings) spdlog::warn("tls: {}", warning);
}

void Certificates::advance(Time now) {
  if (ticket_keys_->advance(now)) spdlog::debug("tls: a new key for session tickets");
}

}  // namespace ringcast::server
