#include "ringcast/server/server.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <thread>
#include <utility>

#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/random.h>
#include <unistd.h>

#include "ringcast/admin/admin_server.h"
#include "ringcast/admin/audit_writer.h"
#include "ringcast/auth/password_workers.h"
#include "ringcast/base/assert.h"
#include "ringcast/hub/embedded_store.h"
#include "ringcast/hub/exchange.h"
#include "ringcast/hub/redis_store.h"
#include "ringcast/uring/probe.h"

#include "capacity.h"
#include "certificates.h"
#include "listener.h"
#include "threads.h"

namespace ringcast::server {
namespace {

std::vector<int> usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

Result<uring::Descriptors> choose_descriptors(config::DescriptorChoice choice) {
  auto probed = uring::probe_kernel();
  if (!probed) return probed.error();
  switch (choice) {
    case config::DescriptorChoice::direct:
      return uring::Descriptors::direct;
    case config::DescriptorChoice::ordinary:
      return uring::Descriptors::ordinary;
    case config::DescriptorChoice::automatic:
      break;
  }
  return probed.value();
}

constexpr std::size_t kIdleAddressesMax = 65'536;
constexpr std::size_t kIdleUsersMax = 65'536;
constexpr std::size_t kSignedOutMax = 65'536;
constexpr std::uint32_t kPasswordThreadsMax = 2;

std::uint64_t random_number() {
  std::uint64_t number = 0;
  // Never short for so few bytes, and never fails once the kernel has started (getrandom(2)).
  const ssize_t got = getrandom(&number, sizeof number, 0);
  RC_ASSERT(got == sizeof number);
  return number;
}

Result<std::string> state_directory_of(const config::Config& config) {
  return config::find_state_directory(
      config.server.state_directory,
      // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes the environment
      [](const char* name) { return static_cast<const char*>(std::getenv(name)); });
}

/// Without `certificates` no listener speaks TLS, whatever a configuration says that was read
/// later.
std::shared_ptr<const shard::Policy> make_policy(const config::Config& config,
                                                 std::shared_ptr<const auth::Access> access,
                                                 const Certificates* certificates) {
  auto policy = std::make_shared<shard::Policy>();
  policy->access = std::move(access);
  policy->cors = http::CorsPolicy(config.cors);
  policy->trusted_proxies = config.server.trusted_proxies;
  for (const std::string& origin : config.server.public_origins) {
    const auto parsed = http::parse_origin(origin);
    RC_ASSERT(parsed.has_value());  // the configuration was checked
    policy->public_origins.push_back(*parsed);
  }
  policy->limits = config.limits;
  if (certificates != nullptr) {
    policy->tls = certificates->context();
    policy->redirect_to = config.tls.redirect_to;
  }
  return policy;
}

}  // namespace

bool asked_to_stop() {
  sigset_t pending;
  sigemptyset(&pending);
  return sigpending(&pending) == 0 &&
         (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

struct Server::Parts {
  shard::RateTable address_limits{kIdleAddressesMax, random_number()};
  shard::RateTable user_limits{kIdleUsersMax, random_number()};
  shard::SignedOut signed_out{kSignedOutMax};
  std::unique_ptr<admin::AuditWriter> audit;
  std::unique_ptr<auth::PasswordWorkers> passwords;
  std::unique_ptr<Certificates> certificates;  ///< null: no listener speaks TLS
  std::shared_ptr<const shard::Policy> policy;
  std::optional<auth::FirstUser> first_user;
  std::unique_ptr<hub::FileHighWater> high_water;
  std::unique_ptr<hub::EmbeddedStore> embedded;  ///< or:
  std::unique_ptr<hub::RedisStore> redis;
  hub::RedisCounters redis_counters;
  EventId floor;  ///< of the logs: before the first event that the store will deliver
  std::unique_ptr<hub::Exchange> exchange;
  std::unique_ptr<HubThread> hub;
  /// More shards than CPUs: those of one CPU accept from the same sockets. By CPU; else empty.
  std::deque<shard::SharedRoom> rooms;
  std::vector<std::unique_ptr<ShardThread>> shards;
  std::unique_ptr<admin::AdminServer> admin;
  std::vector<std::string> addresses;
  std::string admin_address;
  Capacity capacity;
  std::atomic<bool> draining{false};

  [[nodiscard]] Result<void> start(const config::Config& config);
  [[nodiscard]] Result<void> start_certificates(const config::TlsOptions& options);
  [[nodiscard]] Result<void> start_identity(const config::Config& config, std::size_t cpus,
                                            std::uint32_t shard_count);
  [[nodiscard]] Result<void> start_embedded_store(const config::Config& config);
  [[nodiscard]] Result<void> start_redis_store(const config::Config& config);
  [[nodiscard]] Result<void> start_hub(const config::Config& config, std::uint32_t shard_count);
  /// Waits until the logs hold what the store held at start, so that no client takes it for news.
  [[nodiscard]] Result<void> warm_up(const config::Config& config);
  [[nodiscard]] std::string not_ready() const;
  [[nodiscard]] Result<std::vector<Listeners>> listen(const config::Config& config,
                                                      std::uint32_t shard_count, std::size_t cpus);
  [[nodiscard]] Result<void> start_shards(const config::Config& config,
                                          uring::Descriptors descriptors,
                                          const std::vector<int>& cpus,
                                          const std::vector<Listeners>& listeners);
  [[nodiscard]] Result<void> start_admin(const config::Config& config);
  void begin_drain();
  void stop();
};

Result<void> Server::Parts::start(const config::Config& config) {
  const std::vector<int> cpus = usable_cpus();
  const auto shard_count =
      config.server.shards != 0 ? config.server.shards : static_cast<std::uint32_t>(cpus.size());
  auto descriptors = choose_descriptors(config.server.descriptors);
  if (!descriptors) return descriptors.error();
  auto planned =
      plan_capacity(config, shard_count, descriptors.value(), uring::raise_descriptor_limit());
  if (!planned) return planned.error();
  capacity = std::move(planned).value();

  // First what can fail and leaves nothing behind.
  if (auto started = start_certificates(config.tls); !started) return started;
  if (auto started = start_identity(config, cpus.size(), shard_count); !started) return started;
  if (auto started = start_hub(config, shard_count); !started) return started;
  const auto listeners = listen(config, shard_count, cpus.size());
  if (!listeners) return listeners.error();
  if (auto started = start_shards(config, descriptors.value(), cpus, listeners.value()); !started) {
    return started;
  }
  if (auto started = start_admin(config); !started) return started;
  if (auto warm = warm_up(config); !warm) return warm;
  for (const auto& shard : shards) shard->begin_accepting();
  return {};
}

Result<std::vector<Listeners>> Server::Parts::listen(const config::Config& config,
                                                     std::uint32_t shard_count, std::size_t cpus) {
  std::vector<Listeners> listeners;
  const std::size_t sockets = std::min<std::size_t>(shard_count, cpus);
  for (std::size_t i = 0; i < sockets && sockets < shard_count; ++i) {
    rooms.emplace_back((shard_count - i + sockets - 1) / sockets);
  }
  const auto open_all = [&](const std::vector<config::ListenAddress>& wanted,
                            bool tls) -> Result<void> {
    for (const config::ListenAddress& address : wanted) {
      auto opened = open_listeners(address, shard_count, sockets);
      if (!opened) return opened.error();
      opened.value().tls = tls;
      addresses.push_back((tls ? "https://" : "http://") +
                          config::to_string(opened.value().address));
      if (opened.value().shared) {
        spdlog::warn(
            "{} is in use by another process of this user: new connections are shared until it "
            "stops",
            addresses.back());
      }
      listeners.push_back(std::move(opened).value());
    }
    return {};
  };
  auto opened = open_all(config.server.listen, false);
  if (opened) opened = open_all(config.tls.listen, true);
  if (opened) return listeners;
  for (const Listeners& open : listeners) {
    for (const int descriptor : open.descriptors) close(descriptor);
  }
  return opened.error();
}

Result<void> Server::Parts::start_certificates(const config::TlsOptions& options) {
  if (options.listen.empty()) return {};
  const Time now = read_clock();
  certificates = std::make_unique<Certificates>(now);
  auto loaded = certificates->load(options, now);
  if (!loaded) return loaded.error();
  certificates->use(std::move(loaded).value(), options);
  return {};
}

Result<void> Server::Parts::start_identity(const config::Config& config, std::size_t cpus,
                                           std::uint32_t shard_count) {
  const auto directory = state_directory_of(config);
  if (!directory) return directory.error();
  auto loaded = auth::load_access(config.auth, directory.value());
  if (!loaded) return loaded.error();
  first_user = std::move(loaded.value().first_user);
  policy = make_policy(config, std::move(loaded.value().access), certificates.get());
  audit = std::make_unique<admin::AuditWriter>();
  // Half of the processors at most: hashing has the lowest priority, but takes cache and memory.
  const auto threads =
      static_cast<std::uint32_t>(std::clamp<std::size_t>(cpus / 2, 1, kPasswordThreadsMax));
  passwords = std::make_unique<auth::PasswordWorkers>(
      auth::PasswordWorkers::Options{.shards = shard_count, .threads = threads},
      [this](std::uint32_t shard) { shards[shard]->wake(); });
  return {};
}

Result<void> Server::Parts::start_embedded_store(const config::Config& config) {
  const auto directory = state_directory_of(config);
  if (!directory) return directory.error();
  auto opened = hub::FileHighWater::open(directory.value());
  if (!opened) return opened.error();
  high_water = std::move(opened).value();
  auto started = hub::EmbeddedStore::start(*high_water, read_clock());
  if (!started) return started.error();
  embedded = std::make_unique<hub::EmbeddedStore>(std::move(started).value());
  floor = embedded->floor();
  return {};
}

Result<void> Server::Parts::start_redis_store(const config::Config& config) {
  auto options = hub::with_password(config.redis);
  if (!options) return options.error();
  auto checked = hub::check_redis(options.value(),
                                  {.events = config.history.events, .bytes = config.history.bytes},
                                  asked_to_stop);
  if (!checked) return checked.error();
  const hub::RedisStart& start = checked.value();
  const std::uint64_t now_ms = read_clock().unix_ms;
  for (const hub::SignOut& gone : start.signed_out) {
    signed_out.add(gone.session, gone.expires_ms, now_ms);
  }
  floor = start.floor;
  redis = std::make_unique<hub::RedisStore>(
      hub::RedisStoreOptions{.redis = std::move(options).value(),
                             .floor = start.floor,
                             .event_bytes_max = config.limits.event_bytes,
                             .instance = random_number()},
      redis_counters);
  return {};
}

Result<void> Server::Parts::warm_up(const config::Config& config) {
  if (!redis) return {};
  constexpr auto kLook = std::chrono::milliseconds(5);
  const std::uint64_t patience_ms = config.redis.start_timeout_ms + 1'000;
  std::uint64_t deadline_ns = 0;
  std::uint64_t entries = 0;
  std::optional<std::uint64_t> warm_at;  // of the events ring
  for (;; std::this_thread::sleep_for(kLook)) {
    if (!warm_at && redis_counters.caught_up.get() != 0) warm_at = exchange->events().written();
    if (warm_at) {
      const auto is_there = [&](std::size_t shard) {
        return exchange->events().position(shard) >= *warm_at;
      };
      std::size_t there = 0;
      while (there < shards.size() && is_there(there)) ++there;
      if (there == shards.size()) return {};
    }
    if (asked_to_stop()) return Error{"asked to stop while the history was read from Redis"};
    const Time now = read_clock();
    // As long as it goes on it may take its time.
    if (deadline_ns == 0 || redis_counters.entries.get() != entries) {
      entries = redis_counters.entries.get();
      deadline_ns = now.mono_ns + patience_ms * kNsPerMs;
    } else if (now.mono_ns >= deadline_ns) {
      return Error{"Redis answered at first, but its history could not be read: " + not_ready()};
    }
  }
}

std::string Server::Parts::not_ready() const {
  if (draining.load()) return "the server is stopping";
  return redis ? hub::readiness(redis_counters) : std::string();
}

Result<void> Server::Parts::start_hub(const config::Config& config, std::uint32_t shard_count) {
  auto started =
      config.redis.url.empty() ? start_embedded_store(config) : start_redis_store(config);
  if (!started) return started;
  auto created = hub::Exchange::create(
      {.shards = shard_count,
       .event_bytes_max = config.limits.event_bytes,
       .frame_bytes_max = config.limits.event_bytes * shard::kFrameBytesFactor});
  if (!created) return created.error();
  exchange = std::move(created).value();
  hub = std::make_unique<HubThread>(*exchange,
                                    redis ? static_cast<hub::EventStore&>(*redis) : *embedded);
  return hub->wait_started();
}

Result<void> Server::Parts::start_shards(const config::Config& config,
                                         uring::Descriptors descriptors,
                                         const std::vector<int>& cpus,
                                         const std::vector<Listeners>& listeners) {
  const auto count = static_cast<std::uint32_t>(exchange->shards());
  shard::Services services{.policy = policy,
                           .addresses = address_limits,
                           .users = user_limits,
                           .signed_out = signed_out,
                           .passwords = passwords.get(),
                           .audit = audit.get(),
                           .request_id_base = random_number()};
  for (std::uint32_t i = 0; i < count; ++i) {
    ShardThread::Options options{.shard = {.index = i,
                                           .shards = count,
                                           .slots = capacity.slots,
                                           .streams_max = capacity.streams_max,
                                           .drain_ms = config.server.drain_seconds * 1000,
                                           .floor = floor,
                                           .accept_at_once = false,
                                           .older_history = redis != nullptr,
                                           .stream = config.stream,
                                           .history = config.history,
                                           .limits = config.limits,
                                           .tls = config.tls.connections},
                                 .ring = {.slots = capacity.slots, .descriptors = descriptors},
                                 .listeners = {},
                                 .cpu = config.server.pin ? cpus[i % cpus.size()] : -1,
                                 .shares_cpu = count > cpus.size()};
    if (!rooms.empty()) services.room = &rooms[i % cpus.size()];
    for (const Listeners& each : listeners) {
      options.listeners.push_back({.descriptor = each.descriptors[i], .tls = each.tls});
    }
    shards.push_back(std::make_unique<ShardThread>(std::move(options), services, *exchange));
  }
  for (const auto& shard : shards) shard->start();
  for (const auto& shard : shards) {
    if (auto started = shard->wait_started(); !started) return started;
  }
  return {};
}

Result<void> Server::Parts::start_admin(const config::Config& config) {
  if (!config.server.admin_listen) return {};
  admin::MetricsSources sources{
      .shards = {},
      .hub = &hub->counters(),
      .audit = audit.get(),
      .redis = redis ? &redis_counters : nullptr,
      .certificate_expiry_ms = certificates ? &certificates->expiry_ms() : nullptr};
  for (const auto& shard : shards) sources.shards.push_back(&shard->counters());
  auto started =
      admin::AdminServer::start({.address = config::to_sockaddr(*config.server.admin_listen)},
                                std::move(sources), [this] { return not_ready(); });
  if (!started) return started.error();
  admin = std::move(started).value();
  admin_address = "http://" + admin->address();
  return {};
}

void Server::Parts::begin_drain() {
  draining.store(true);
  for (const auto& shard : shards) shard->begin_drain();
}

void Server::Parts::stop() {
  begin_drain();
  for (const auto& shard : shards) shard->wait_finished();
  passwords.reset();         // its threads wake the shards' rings
  if (admin) admin->stop();  // it reads the counters of all that ends below
  if (hub) hub->stop();
  hub.reset();
  if (embedded) high_water->settle(embedded->last().ms);
  for (const auto& shard : shards) shard->release();
  shards.clear();
  audit.reset();  // writes what is left
}

Result<void> Server::reload(const config::Config& config) {
  // Certificates first: identity may make a user, whose password is shown only when all is well.
  Certificates* const certificates = parts_->certificates.get();
  std::optional<tls::Context::Loaded> fresh;
  if (certificates != nullptr && !config.tls.listen.empty()) {
    auto loaded = certificates->load(config.tls, read_clock());
    if (!loaded) return loaded.error();
    fresh = std::move(loaded).value();
  }
  const auto directory = state_directory_of(config);
  if (!directory) return directory.error();
  auto loaded = auth::load_access(config.auth, directory.value());
  if (!loaded) return loaded.error();
  if (fresh) certificates->use(std::move(*fresh), config.tls);
  parts_->first_user = std::move(loaded.value().first_user);
  parts_->policy = make_policy(config, std::move(loaded.value().access), certificates);
  for (const auto& shard : parts_->shards) shard->set_policy(parts_->policy);
  return {};
}

void Server::advance_keys(Time now) {
  if (parts_->certificates) parts_->certificates->advance(now);
}

const std::optional<auth::FirstUser>& Server::first_user() const {
  return parts_->first_user;
}

Result<std::unique_ptr<Server>> Server::start(const config::Config& config) {
  auto parts = std::make_unique<Parts>();
  if (auto started = parts->start(config); !started) {
    parts->stop();
    return started.error();
  }
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Server::~Server() {
  parts_->stop();
}

const std::vector<std::string>& Server::addresses() const {
  return parts_->addresses;
}
const std::string& Server::address_to_open() const {
  const std::string& redirect = parts_->policy->redirect_to;
  return redirect.empty() ? parts_->addresses.front() : redirect;
}
const std::string& Server::admin_address() const {
  return parts_->admin_address;
}
const std::string& Server::capacity() const {
  return parts_->capacity.description;
}
void Server::begin_drain() {
  parts_->begin_drain();
}

void Server::wait() {
  for (const auto& shard : parts_->shards) shard->wait_finished();
}

}  // namespace ringcast::server
