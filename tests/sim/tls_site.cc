#include "tls_site.h"

#include <iterator>

#include "ringcast/base/assert.h"

namespace ringcast::sim {
namespace {

/// Made so long ago that a run may see the next key come. Before zero, in a clock that wraps.
Time when_keys_were_made(World& world, Time now) {
  constexpr std::uint64_t kRunNs = 120 * kNsPerSecond;
  const std::uint64_t age_ns =
      std::uint64_t{tls::kTicketKeySeconds} * kNsPerSecond - world.random.below(kRunNs);
  return {.mono_ns = now.mono_ns - age_ns, .unix_ms = now.unix_ms};
}

}  // namespace

TlsSite::TlsSite(World& world, Time now)
    : seeded_(world.random.next()),
      cipher_(world),
      ticket_keys_(std::make_shared<tls::TicketKeys>(when_keys_were_made(world, now))),
      client_context_(TlsClient::make_context()) {
  reload(now);
}

void TlsSite::reload(Time now) {
  ticket_keys_->advance(now);
  auto loaded = tls::Context::load(
      {{.certificate = SIM_CERTIFICATE, .private_key = SIM_CERTIFICATE}}, ticket_keys_, now);
  RC_ASSERT(loaded.ok() && loaded.value().warnings.empty());
  context_ = loaded.value().context;
}

TlsKind TlsSite::draw_kind(Random& random) {
  static constexpr const char* kSuites13[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                              "TLS_CHACHA20_POLY1305_SHA256"};
  // A certificate with an Ed25519 key goes with those of ECDSA (RFC 8422 section 5.10).
  static constexpr const char* kSuites12[] = {"ECDHE-ECDSA-AES128-GCM-SHA256",
                                              "ECDHE-ECDSA-AES256-GCM-SHA384",
                                              "ECDHE-ECDSA-CHACHA20-POLY1305"};
  TlsKind kind;
  kind.version = random.chance(0.15) ? TLS1_2_VERSION : TLS1_3_VERSION;
  const std::size_t suite = random.below(std::size(kSuites13));
  kind.suite = kind.version == TLS1_3_VERSION ? kSuites13[suite] : kSuites12[suite];
  if (random.chance(0.3)) kind.protocol = "http/1.1";
  kind.retries = random.chance(0.1);
  kind.short_records = random.chance(0.05);
  return kind;
}

}  // namespace ringcast::sim
