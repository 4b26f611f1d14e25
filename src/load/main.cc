#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>
#include <thread>

#include <CLI/CLI.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include "ringcast/base/time.h"
#include "ringcast/tls/client_context.h"

#include "load/payload.h"
#include "load/request_fields.h"
#include "load/run.h"

namespace {

using ringcast::load::Plan;
using ringcast::load::RunOptions;

constexpr int kExitIncomplete = 1;
constexpr int kExitUsage = 2;

std::atomic<bool> interrupted{false};
ringcast::load::Stretch stretch;

/// A ring's table of sockets is bounded by RLIMIT_NOFILE; it need not be the whole of it.
std::uint32_t default_streams_per_ring() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::uint32_t>(std::clamp<rlim_t>(limit.rlim_cur / 20 * 19, 1, 19'000));
}

int usage_error(const std::string& reason) {
  std::cerr << "ringcast-load: " << reason << '\n';
  return kExitUsage;
}

struct Redis {
  std::string publish;
  std::string subscribe;
};

/// Reads the addresses. Why not, if they cannot be.
std::optional<std::string> read_addresses(Plan& plan, const std::vector<std::string>& urls,
                                          const std::string& publish_url, const Redis& redis) {
  using ringcast::load::parse_redis_url;
  using ringcast::load::parse_url;
  for (const std::string& text : urls) {
    auto url = parse_url(text);
    if (!url) return url.error().message;
    plan.events.push_back(std::move(url.value()));
  }
  if (plan.streams > 0 && urls.empty()) return "--streams needs --url";
  if (plan.publications > 0 && publish_url.empty() == redis.publish.empty()) {
    return "--events needs either --publish-url or --publish-redis";
  }
  if (plan.publications > 0 && redis.publish.empty()) {
    auto url = parse_url(publish_url);
    if (!url) return url.error().message;
    plan.publish = std::move(url.value());
  }
  if (!redis.publish.empty()) {
    auto url = parse_redis_url(redis.publish);
    if (!url) return "--publish-redis " + url.error().message;
    plan.publish_redis = std::move(url.value());
  }
  if (redis.subscribe.empty()) {
    if (plan.subscribers + plan.others_messages == 0) return std::nullopt;
    return "--subscribers and --others need --subscribe-redis";
  }
  auto url = parse_redis_url(redis.subscribe);
  if (!url) return "--subscribe-redis " + url.error().message;
  plan.subscribe_redis = std::move(url.value());
  plan.subscribers = std::max(plan.subscribers, 1U);
  return std::nullopt;
}

struct Tls {
  ringcast::tls::ClientOptions options;
  bool any_option = false;
};

/// Says how TLS is spoken with each server that asks for it. Why not, if it cannot be.
std::optional<std::string> prepare_tls(Plan& plan, const Tls& tls) {
  bool any = false;
  const auto prepare = [&](ringcast::load::Url& url) -> std::optional<std::string> {
    if (!url.secure) return std::nullopt;
    any = true;
    auto options = tls.options;
    if (options.server_name.empty()) options.server_name = url.host_name;
    auto context = ringcast::tls::ClientContext::create(options, ringcast::read_clock());
    if (!context) return context.error().message;
    url.tls = std::move(context.value());
    return std::nullopt;
  };
  for (ringcast::load::Url& url : plan.events) {
    if (auto refused = prepare(url)) return refused;
  }
  if (auto refused = prepare(plan.publish)) return refused;
  if (tls.any_option && !any) return "the options of TLS need a URL with https://";
  return std::nullopt;
}

/// Reads `NAME=PID`. Why not, if it is not that.
std::optional<std::string> read_watched(RunOptions& options, const std::vector<std::string>& all) {
  for (const std::string& text : all) {
    const std::size_t at = text.find('=');
    pid_t pid = 0;
    if (at != std::string::npos) {
      std::from_chars(text.data() + at + 1, text.data() + text.size(), pid);
    }
    if (pid <= 0) return "--watch " + text + ": not NAME=PID";
    options.watched.push_back({.name = text.substr(0, at), .pid = pid});
  }
  return std::nullopt;
}

/// Checks the headers and reads the tokens. Why not, if it cannot be.
std::optional<std::string> read_request_fields(Plan& plan, const std::string& tokens_file) {
  if (plan.headers.size() > ringcast::load::kHeadersMax) {
    return "--header: at most " + std::to_string(ringcast::load::kHeadersMax);
  }
  for (const std::string& header : plan.headers) {
    if (auto checked = ringcast::load::check_header(header); !checked) {
      return "--header: " + checked.error().message;
    }
  }
  if (auto checked = ringcast::load::check_token_prefix(plan.token_prefix); !checked) {
    return "--token-prefix: " + checked.error().message;
  }
  if (tokens_file.empty()) return std::nullopt;
  auto tokens = ringcast::load::read_tokens(tokens_file);
  if (!tokens) return "--tokens-file " + tokens.error().message;
  plan.tokens = std::move(tokens.value());
  return std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
  Plan plan;
  RunOptions options;
  std::vector<std::string> urls;
  std::string publish_url;
  std::string publish_redis;
  std::string subscribe_redis;
  std::vector<std::string> watched;
  std::string json_file;
  std::string tokens_file;
  std::uint64_t storm_at = 0;
  Tls tls;
  std::string tls_version = "1.3";
  bool insecure = false;
  plan.token_prefix = "Authorization: Bearer ";
  plan.streams = 1;
  plan.channel = "events";
  plan.pipeline = 1024;
  plan.frame_bytes = 120;
  plan.streams_per_ring = default_streams_per_ring();
  plan.connecting_max = 512;
  options.timeout_seconds = 300;

  CLI::App app{
      "Opens event streams, publishes, and checks that every event reaches every stream exactly "
      "once\n"
      "and in order. Exit: 0 it did; 1 it did not, or the run could not go on; 2 wrong usage.\n"
      "SIGUSR1 begins and SIGUSR2 ends a stretch; the latency of the events due in it is told "
      "too.",
      "ringcast-load"};
  app.add_option("--url", urls,
                 "The event stream, http[s]://HOST:PORT/PATH; streams go round several of them");
  app.add_option("--streams", plan.streams, "How many")
      ->capture_default_str()
      ->check(CLI::Range(0U, 4'000'000U));
  app.add_option("--publish-url", publish_url,
                 "Takes POST {\"data\":…,\"topic\":…}; http or https");
  app.add_option("--publish-redis", publish_redis,
                 "redis://HOST[:PORT], takes PUBLISH of the same JSON on --channel, pipelined");
  app.add_option("--subscribe-redis", subscribe_redis,
                 "redis://HOST[:PORT] where bare subscribers get --channel beside the streams");
  app.add_option("--subscribers", plan.subscribers, "How many of these (default: 1)")
      ->check(CLI::Range(1U, 64U));
  app.add_option("--others", plan.others_messages,
                 "Messages of other publishers that each of them is to get before the run ends");
  app.add_option("--channel", plan.channel)->capture_default_str();
  app.add_option("--pipeline", plan.pipeline,
                 "PUBLISHes without a reply on each connection, at most")
      ->capture_default_str()
      ->check(CLI::Range(1U, 65'536U));
  app.add_option(
         "--publish-gather", plan.publish_gather_us,
         "Microseconds: what comes due within them is PUBLISHed together; as much is added to "
         "latency at most")
      ->capture_default_str()
      ->check(CLI::Range(0U, 100'000U));
  app.add_option("--events", plan.publications, "To publish")
      ->check(CLI::Range(0ULL, 4'000'000'000ULL));
  app.add_option("--rate", plan.rate,
                 "Events a second; latency then counts from when each was due. 0: as fast as they "
                 "are answered")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--publishers", plan.publishers,
                 "Connections that publish; order is checked for each of them")
      ->capture_default_str()
      ->check(CLI::Range(1U, 256U));
  app.add_option(
         "--bytes", plan.frame_bytes,
         "Size of a frame `id: <13 digits>-<1 digit>\\ndata: …\\n\\n`, chunk framing not counted; "
         "61 at least")
      ->capture_default_str()
      ->check(CLI::Range(61U, 1U << 20));
  app.add_option("--topics", plan.topics,
                 "Streams and events go round this many topics; 0: no topic")
      ->capture_default_str()
      ->check(CLI::Range(0U, 1'000'000U));
  app.add_option("--hold", options.hold_seconds, "Seconds of idling before publishing")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--stalled", plan.stalled,
                 "Of the streams: not read after the response head, not checked");
  app.add_flag("--stalled-resume", plan.resume_stalled,
               "Read them once all others have everything: each must come to the newest event, in "
               "order, and be told by a `gap` of every hole. With --reconnect also if they were "
               "ended meanwhile");
  app.add_option("--server-pid", options.server_pid,
                 "Measure this process: CPU for each delivery, memory");
  app.add_option("--watch", watched,
                 "NAME=PID: tell the CPU of this process too, for each of its threads; may be "
                 "repeated");
  app.add_option("--json", json_file, "Write the report there too; - is standard output");
  app.add_option("--timeout", options.timeout_seconds, "Seconds for the whole run")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_flag("--reconnect", plan.reconnect,
               "Open a stream that was ended again, with its Last-Event-ID");
  app.add_option("--last-event-id", plan.last_event_id, "Every stream begins with it");
  auto* storm = app.add_option(
      "--storm", storm_at,
      "When so many of the events have arrived everywhere, close all streams at once and open each "
      "again with its Last-Event-ID; the other events follow when all are back");
  app.add_option("--header", plan.headers,
                 "`Name: value`, for every request, those that publish too; may be repeated");
  app.add_option("--tokens-file", tokens_file,
                 "One token a line: streams, and connections that publish, go round them");
  app.add_option("--token-prefix", plan.token_prefix, "What stands before a token, name included")
      ->capture_default_str();
  app.add_option("--source", plan.sources,
                 "Address to connect from; may be repeated. Towards 127.0.0.0/8 found by itself");
  app.add_option("--gather", plan.gather_us,
                 "Microseconds that a reader rests after it has read something, so that not every "
                 "delivery wakes it; as much is added to latency at most")
      ->capture_default_str()
      ->check(CLI::Range(0U, 100'000U));
  app.add_option("--threads", plan.threads, "That read")
      ->capture_default_str()
      ->check(CLI::Range(1U, 64U));
  app.add_option("--streams-per-ring", plan.streams_per_ring, "At most RLIMIT_NOFILE")
      ->capture_default_str()
      ->check(CLI::Range(1U, 1U << 20));
  app.add_option("--connecting", plan.connecting_max,
                 "Unanswered connections at any moment, for each thread")
      ->capture_default_str()
      ->check(CLI::Range(1U, 65'536U));
  auto* tls_group = app.add_option_group("TLS", "With https://");
  tls_group->add_option("--tls-version", tls_version, "The only one that is spoken")
      ->capture_default_str()
      ->check(CLI::IsMember({"1.2", "1.3"}));
  tls_group->add_option("--tls-ciphersuite", tls.options.cipher_suite,
                        "The only one that is offered, by OpenSSL's name: TLS_AES_128_GCM_SHA256, "
                        "or for TLS 1.2 ECDHE-ECDSA-AES128-GCM-SHA256, … Default: OpenSSL's list");
  tls_group->add_option("--server-name", tls.options.server_name,
                        "Told to the server (SNI), and what its certificate must be for. Default: "
                        "the host of the URL");
  auto* ca = tls_group->add_option("--ca", tls.options.ca_file,
                                   "PEM file with the authorities to trust. Default: the system's");
  tls_group->add_flag("--insecure", insecure, "Do not verify certificates")->excludes(ca);
  tls_group->add_flag("--tls-resume", tls.options.resume,
                      "Resume with the newest ticket that the server has given to any stream");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }

  const Redis redis{publish_redis, subscribe_redis};
  if (const auto refused = read_addresses(plan, urls, publish_url, redis)) {
    return usage_error(*refused);
  }
  tls.options.version =
      tls_version == "1.2" ? ringcast::tls::Version::tls_1_2 : ringcast::tls::Version::tls_1_3;
  tls.options.verify = !insecure;
  const auto tls_options = tls_group->get_options();
  tls.any_option = std::any_of(tls_options.begin(), tls_options.end(),
                               [](const CLI::Option* option) { return option->count() > 0; });
  if (const auto refused = prepare_tls(plan, tls)) return usage_error(*refused);
  if (const auto refused = read_watched(options, watched)) return usage_error(*refused);
  if (plan.stalled > plan.streams) return usage_error("--stalled: more than --streams");
  if (plan.resume_stalled && (plan.stalled == 0 || plan.publications == 0)) {
    return usage_error("--stalled-resume needs --stalled and --events");
  }
  if (storm->count() > 0) {
    if (storm_at > plan.publications) return usage_error("--storm: more than --events");
    if (!publish_redis.empty()) return usage_error("--storm needs --publish-url");
    if (plan.stalled > 0)
      return usage_error("--storm: streams that are --stalled cannot come back");
    plan.storm_at = storm_at;
  }
  if (const auto refused = read_request_fields(plan, tokens_file)) return usage_error(*refused);
  plan.threads = plan.streams == 0 ? 0 : std::min(plan.threads, plan.streams);
  std::random_device random;
  plan.run = static_cast<std::uint16_t>(random());
  options.progress = isatty(STDERR_FILENO) != 0;

  struct sigaction action {};
  action.sa_handler = [](int) { interrupted.store(true); };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = [](int signal) {
    const std::uint64_t now_ns = ringcast::read_clock().mono_ns;
    signal == SIGUSR1 ? stretch.begin(now_ns) : stretch.end(now_ns);
  };
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGUSR2, &action, nullptr);
  plan.stretch = &stretch;

  const auto report = ringcast::load::run(plan, options, interrupted);
  if (json_file == "-") {
    std::cout << report.json();
  } else {
    std::cout << report.text();
    if (!json_file.empty() && !(std::ofstream{json_file} << report.json())) {
      return usage_error("--json " + json_file + ": cannot be written");
    }
  }
  return report.good() ? 0 : kExitIncomplete;
}
