#include "load/options.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <random>
#include <sstream>
#include <vector>

#include <CLI/CLI.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include "ringcast/base/time.h"
#include "ringcast/tls/client_context.h"

#include "load/payload.h"
#include "load/request_fields.h"
#include "load/scenario.h"

namespace ringcast::load {
namespace {

constexpr int kExitUsage = 2;

/// A ring's table of sockets is bounded by RLIMIT_NOFILE; it need not be the whole of it.
std::uint32_t default_streams_per_ring() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<std::uint32_t>(std::clamp<rlim_t>(limit.rlim_cur / 20 * 19, 1, 19'000));
}

using Refusal = std::optional<std::string>;

/// The command line while it is being read: what CLI11 writes to, and what becomes of it.
class Reading {
 public:
  Reading() {
    Plan& plan = command_.plan;
    plan.token_prefix = "Authorization: Bearer ";
    plan.streams = 1;
    plan.channel = "events";
    plan.pipeline = 1024;
    plan.frame_bytes = 120;
    plan.streams_per_ring = default_streams_per_ring();
    plan.connecting_max = 512;
    plan.slow_bytes_per_second = 1'000;
    app_.add_option("SCENARIO", command_.scenario, "See the end")
        ->check(CLI::IsMember(scenario_names()));
    app_.footer(describe_scenarios());
    command_.options.timeout_seconds = 300;
    add_addresses();
    add_publishing();
    add_mixed();
    add_streams();
    add_phases();
    add_requests();
    add_tls();
    add_watching();
  }

  std::variant<Command, Answer> read(int argc, const char* const* argv) {
    // An option that may be repeated takes one value each time: what follows may be the scenario.
    for (CLI::Option* const option : app_.get_options()) option->allow_extra_args(false);
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      std::ostringstream out;
      std::ostringstream complaint;
      const bool asked = app_.exit(error, out, complaint) == 0;
      return Answer{asked ? 0 : kExitUsage, asked ? out.str() : complaint.str()};
    }
    for (const auto step :
         {&Reading::apply_scenario, &Reading::read_addresses, &Reading::read_publishing,
          &Reading::prepare_tls, &Reading::read_watched, &Reading::check_phases,
          &Reading::read_request_fields}) {
      if (const Refusal refused = (this->*step)()) {
        return Answer{kExitUsage, "ringcast-load: " + *refused + '\n'};
      }
    }
    Plan& plan = command_.plan;
    plan.threads = plan.streams == 0 ? 0 : std::min(plan.threads, plan.streams);
    plan.run = static_cast<std::uint16_t>(std::random_device{}());
    command_.options.progress = isatty(STDERR_FILENO) != 0;
    return std::move(command_);
  }

 private:
  static std::vector<std::string> scenario_names() {
    std::vector<std::string> names;
    for (const Scenario& scenario : all_scenarios()) names.emplace_back(scenario.name);
    return names;
  }

  [[nodiscard]] bool is_given(std::string_view option) {
    return app_.get_option(std::string{option})->count() > 0;
  }

  /// Gives the options that the command line does not.
  Refusal apply_scenario() {
    const Scenario* const scenario = find_scenario(command_.scenario);
    if (scenario == nullptr) return std::nullopt;
    for (const auto& group : scenario->required) {
      if (std::any_of(group.begin(), group.end(), [this](auto each) { return is_given(each); })) {
        continue;
      }
      std::string names;
      for (const std::string_view each : group) {
        names.append(names.empty() ? "" : " or ").append(each);
      }
      return command_.scenario + " needs " + names;
    }
    std::vector<Scenario::Default> chosen;
    for (const Scenario::Default& each : scenario->defaults) {
      if (is_given(each.option)) continue;
      CLI::Option* const option = app_.get_option(std::string{each.option});
      option->add_result(each.value.empty() ? "true" : std::string{each.value});
      option->run_callback();
      chosen.push_back(each);
    }
    command_.chosen = describe(chosen);
    if (!scenario->events_more || is_given("--events")) return std::nullopt;
    Plan& plan = command_.plan;
    plan.publications = storm_at_ + plan.storm_missed + plan.replay + *scenario->events_more;
    command_.chosen += " --events " + std::to_string(plan.publications);
    return std::nullopt;
  }

  /// A count, or a share of all streams.
  Refusal read_part(std::string_view option, const std::string& text, std::uint32_t& out) const {
    if (text.empty()) return std::nullopt;
    double number = 0;
    const char* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, number, std::chars_format::fixed);
    const bool is_percent = read.ptr + 1 == end && *read.ptr == '%';
    const bool is_share = is_percent || text.find('.') != std::string::npos;
    if (is_percent) number /= 100;
    const double most = is_share ? 1 : command_.plan.streams;
    if (read.ec != std::errc{} || (read.ptr != end && !is_percent) ||
        !(number >= 0 && number <= most)) {
      return std::string{option} + ' ' + text + ": neither a count nor a share of the streams";
    }
    out = static_cast<std::uint32_t>(is_share ? number * command_.plan.streams : number);
    return std::nullopt;
  }

  void add_addresses() {
    Plan& plan = command_.plan;
    app_.add_option("--url", urls_,
                    "The event stream, http[s]://HOST:PORT/PATH; streams go round several of them. "
                    "{topic} stands for the topic's name, which otherwise goes into the query");
    app_.add_option("--publish-url", publish_url_,
                    "Takes the events; http or https. {topic} stands for the topic's name");
    app_.add_option("--publish-redis", publish_redis_,
                    "redis://HOST[:PORT], takes PUBLISH of the same body on --channel, pipelined");
    app_.add_option("--subscribe-redis", subscribe_redis_,
                    "redis://HOST[:PORT] where bare subscribers get --channel beside the streams");
    app_.add_option("--subscribers", plan.subscribers, "How many of these (default: 1)")
        ->check(CLI::Range(1U, 64U));
    app_.add_option("--others", plan.others_messages,
                    "Messages of other publishers that each of them is to get before the run ends");
    app_.add_option("--channel", plan.channel)->capture_default_str();
    app_.add_option("--source", plan.sources,
                    "Address to connect from; may be repeated. Towards 127.0.0.0/8 found by "
                    "itself");
  }

  void add_publishing() {
    Plan& plan = command_.plan;
    app_.add_option("--publish-body", publish_body_,
                    "What is published, with {data} or {json_data} (in a JSON string) and, if "
                    "wanted, {topic}. Default: {\"data\":\"{json_data}\"}, with the \"topic\" if "
                    "there is one");
    app_.add_option("--publish-type", plan.publish_type, "Its Content-Type")->capture_default_str();
    app_.add_option("--publish-method", plan.publish_method, "Any 2xx acknowledges the event")
        ->capture_default_str();
    app_.add_option("--broadcast-topic", plan.broadcast_topic,
                    "What {topic} stands for when there is none")
        ->capture_default_str();
    app_.add_option("--pipeline", plan.pipeline,
                    "PUBLISHes without a reply on each connection, at most")
        ->capture_default_str()
        ->check(CLI::Range(1U, 65'536U));
    app_.add_option(
            "--publish-gather", plan.publish_gather_us,
            "Microseconds: what comes due within them is PUBLISHed together; as much is added to "
            "latency at most")
        ->capture_default_str()
        ->check(CLI::Range(0U, 100'000U));
    app_.add_option("--events", plan.publications, "To publish")
        ->check(CLI::Range(0ULL, 4'000'000'000ULL));
    app_.add_option("--rate", plan.rate,
                    "Events a second; latency then counts from when each was due. 0: as fast as "
                    "they are answered")
        ->capture_default_str()
        ->check(CLI::NonNegativeNumber);
    app_.add_option("--publishers", plan.publishers,
                    "Connections that publish; order is checked for each of them")
        ->capture_default_str()
        ->check(CLI::Range(1U, 256U));
    app_.add_option(
            "--bytes", plan.frame_bytes,
            "Size of a frame `id: <13 digits>-<1 digit>\\ndata: …\\n\\n`, chunk framing not "
            "counted; 61 at least")
        ->capture_default_str()
        ->check(CLI::Range(61U, 1U << 20));
  }

  void add_mixed() {
    Plan& plan = command_.plan;
    app_.add_option("--topic-rate", plan.topic_rate,
                    "Beside --events at --rate, which then go to all streams: events a second for "
                    "single topics, round all of them")
        ->check(CLI::PositiveNumber);
    app_.add_option("--topic-events", plan.topic_publications,
                    "How many of these. Default: as many as there is time for")
        ->check(CLI::Range(0ULL, 4'000'000'000ULL));
    app_.add_option("--topic-publishers", plan.topic_publishers,
                    "Connections that publish them. Default: --publishers")
        ->check(CLI::Range(1U, 256U));
    app_.add_flag("--read-replies-at-once", plan.prompt_replies,
                  "With --publish-redis: acknowledgements are timed, which costs the generator a "
                  "wake-up for each");
  }

  void add_streams() {
    Plan& plan = command_.plan;
    app_.add_option("--streams", plan.streams, "How many")
        ->capture_default_str()
        ->check(CLI::Range(0U, 4'000'000U));
    app_.add_option("--topics", plan.topics,
                    "Streams and events go round this many topics; 0: no topic")
        ->capture_default_str()
        ->check(CLI::Range(0U, 1'000'000U));
    app_.add_option("--stalled", stalled_,
                    "Of the streams, a count or a share such as 0.05 or 5%: not read after the "
                    "response head, not checked");
    app_.add_option("--slow-readers", slow_readers_,
                    "Of the others, a count or a share: read slowly; their latency is told apart");
    app_.add_option("--slow-bytes-per-second", plan.slow_bytes_per_second,
                    "What each of these reads at most")
        ->capture_default_str()
        ->check(CLI::Range(1U, 1U << 30));
    app_.add_option("--late-buffer", plan.late_buffer_bytes,
                    "SO_RCVBUF of streams that are stalled or slow, so that less is held for them "
                    "between the ends. 0: the system's")
        ->capture_default_str()
        ->check(CLI::Range(0U, 1U << 30));
    app_.add_flag("--stalled-resume", plan.resume_stalled,
                  "Read these two kinds once all others have everything: each must come to the "
                  "newest event, in order, and be told by a `gap` of every hole. With --reconnect "
                  "also if they "
                  "were ended meanwhile");
    app_.add_flag("--reconnect", plan.reconnect,
                  "Open a stream that was ended again, with its Last-Event-ID");
    app_.add_option("--last-event-id", plan.last_event_id, "Every stream begins with it");
    app_.add_option("--gather", plan.gather_us,
                    "Microseconds that a reader rests after it has read something, so that not "
                    "every delivery wakes it; as much is added to latency at most. Not while "
                    "streams are being opened")
        ->capture_default_str()
        ->check(CLI::Range(0U, 100'000U));
    app_.add_option("--threads", plan.threads, "That read")
        ->capture_default_str()
        ->check(CLI::Range(1U, 64U));
    app_.add_option("--streams-per-ring", plan.streams_per_ring, "At most RLIMIT_NOFILE")
        ->capture_default_str()
        ->check(CLI::Range(1U, 1U << 20));
    app_.add_option("--connecting", plan.connecting_max,
                    "Unanswered connections at any moment, for each thread")
        ->capture_default_str()
        ->check(CLI::Range(1U, 65'536U));
  }

  void add_phases() {
    Plan& plan = command_.plan;
    app_.add_option("--hold", command_.options.hold_seconds, "Seconds of idling before publishing")
        ->capture_default_str()
        ->check(CLI::NonNegativeNumber);
    storm_ = app_.add_option(
        "--storm", storm_at_,
        "When so many of the events have arrived everywhere, close all streams at once and open "
        "each again with its Last-Event-ID; the other events follow when all are back");
    app_.add_option("--storm-missed", plan.storm_missed,
                    "So many of the events that follow are published while all streams are closed; "
                    "they are back when they have these");
    app_.add_option("--replay", plan.replay,
                    "So many of the events are published while there is only one stream; then all "
                    "others open with the ID from before them, and each is to get them all");
    app_.add_option("--timeout", command_.options.timeout_seconds, "Seconds for the whole run")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
  }

  void add_requests() {
    Plan& plan = command_.plan;
    app_.add_option("--header", plan.headers,
                    "`Name: value`, for every request, those that publish too; may be repeated");
    app_.add_option("--tokens-file", tokens_file_,
                    "One token a line: streams, and connections that publish, go round them");
    app_.add_option("--token-prefix", plan.token_prefix,
                    "What stands before a token, name included")
        ->capture_default_str();
  }

  void add_tls() {
    tls_group_ = app_.add_option_group("TLS", "With https://");
    tls_group_->add_option("--tls-version", tls_version_, "The only one that is spoken")
        ->capture_default_str()
        ->check(CLI::IsMember({"1.2", "1.3"}));
    tls_group_->add_option("--tls-ciphersuite", tls_.cipher_suite,
                           "The only one that is offered, by OpenSSL's name: "
                           "TLS_AES_128_GCM_SHA256, or for TLS 1.2 ECDHE-ECDSA-AES128-GCM-SHA256, "
                           "… Default: OpenSSL's list");
    tls_group_->add_option("--server-name", tls_.server_name,
                           "Told to the server (SNI), and what its certificate must be for. "
                           "Default: the host of the URL");
    auto* ca = tls_group_->add_option("--ca", tls_.ca_file,
                                      "PEM file with the authorities to trust. Default: the "
                                      "system's");
    tls_group_->add_flag("--insecure", insecure_, "Do not verify certificates")->excludes(ca);
    tls_group_->add_flag("--tls-resume", tls_.resume,
                         "Resume with the newest ticket that the server has given to any stream");
  }

  void add_watching() {
    app_.add_option("--server-pid", command_.options.server_pids,
                    "Measure this process: CPU for each delivery, memory. May be repeated: all "
                    "together are the server")
        ->check(CLI::PositiveNumber);
    app_.add_option("--watch", watched_,
                    "NAME=PID: tell the CPU of this process too, for each of its threads; may be "
                    "repeated");
    app_.add_option("--json", command_.json_file,
                    "Write the report there too; - is standard output");
  }

  Refusal read_addresses() {
    Plan& plan = command_.plan;
    for (const std::string& text : urls_) {
      auto url = parse_url(text);
      if (!url) return url.error().message;
      plan.events.push_back(std::move(url.value()));
    }
    if (plan.streams > 0 && urls_.empty()) return "--streams needs --url";
    if (plan.publications > 0 && publish_url_.empty() == publish_redis_.empty()) {
      return "--events needs either --publish-url or --publish-redis";
    }
    if (plan.publications > 0 && publish_redis_.empty()) {
      auto url = parse_url(publish_url_);
      if (!url) return url.error().message;
      plan.publish = std::move(url.value());
    }
    if (!publish_redis_.empty()) {
      auto url = parse_redis_url(publish_redis_);
      if (!url) return "--publish-redis " + url.error().message;
      plan.publish_redis = std::move(url.value());
    }
    if (subscribe_redis_.empty()) {
      if (plan.subscribers + plan.others_messages == 0) return std::nullopt;
      return "--subscribers and --others need --subscribe-redis";
    }
    auto url = parse_redis_url(subscribe_redis_);
    if (!url) return "--subscribe-redis " + url.error().message;
    plan.subscribe_redis = std::move(url.value());
    plan.subscribers = std::max(plan.subscribers, 1U);
    return std::nullopt;
  }

  Refusal read_publishing() {
    Plan& plan = command_.plan;
    if (!publish_body_.empty()) {
      auto body = BodyTemplate::parse(publish_body_);
      if (!body) return "--publish-body: " + body.error().message;
      plan.publish_body = std::move(body.value());
    }
    if (auto checked = check_method(plan.publish_method); !checked) {
      return "--publish-method: " + checked.error().message;
    }
    if (auto checked = check_header("Content-Type: " + plan.publish_type); !checked) {
      return "--publish-type: " + checked.error().message;
    }
    if (auto checked = check_topic(plan.broadcast_topic); !checked) {
      return "--broadcast-topic: " + checked.error().message;
    }
    return std::nullopt;
  }

  /// Says how TLS is spoken with each server that asks for it.
  Refusal prepare_tls() {
    tls_.version = tls_version_ == "1.2" ? tls::Version::tls_1_2 : tls::Version::tls_1_3;
    tls_.verify = !insecure_;
    bool any = false;
    const auto prepare = [&](Url& url) -> Refusal {
      if (!url.secure) return std::nullopt;
      any = true;
      auto options = tls_;
      if (options.server_name.empty()) options.server_name = url.host_name;
      auto context = tls::ClientContext::create(options, read_clock());
      if (!context) return context.error().message;
      url.tls = std::move(context.value());
      return std::nullopt;
    };
    for (Url& url : command_.plan.events) {
      if (auto refused = prepare(url)) return refused;
    }
    if (auto refused = prepare(command_.plan.publish)) return refused;
    const auto options = tls_group_->get_options();
    const bool any_option =
        std::any_of(options.begin(), options.end(),
                    [](const CLI::Option* option) { return option->count() > 0; });
    if (any_option && !any) return "the options of TLS need a URL with https://";
    return std::nullopt;
  }

  /// Reads `NAME=PID`.
  Refusal read_watched() {
    for (const std::string& text : watched_) {
      const std::size_t at = text.find('=');
      pid_t pid = 0;
      if (at != std::string::npos) {
        std::from_chars(text.data() + at + 1, text.data() + text.size(), pid);
      }
      if (pid <= 0) return "--watch " + text + ": not NAME=PID";
      command_.options.watched.push_back({.name = text.substr(0, at), .pid = pid});
    }
    return std::nullopt;
  }

  Refusal check_phases() {
    Plan& plan = command_.plan;
    if (auto refused = read_part("--stalled", stalled_, plan.stalled)) return refused;
    if (auto refused = read_part("--slow-readers", slow_readers_, plan.slow)) return refused;
    const bool any_late = plan.stalled > 0 || plan.slow > 0;
    if (plan.stalled > plan.streams - plan.slow) {
      return "--stalled and --slow-readers: more than --streams";
    }
    if (plan.resume_stalled && (!any_late || plan.publications == 0)) {
      return "--stalled-resume needs --stalled or --slow-readers, and --events";
    }
    if (auto refused = check_mixed()) return refused;
    if (auto refused = check_replay()) return refused;
    if (storm_->count() == 0) {
      return plan.storm_missed > 0 ? Refusal{"--storm-missed needs --storm"} : std::nullopt;
    }
    if (storm_at_ > plan.publications || plan.storm_missed > plan.publications - storm_at_) {
      return "--storm and --storm-missed: more than --events";
    }
    if (any_late) return "--storm: streams that are --stalled or slow cannot come back";
    if (plan.is_mixed()) return "--storm cannot be mixed with --topic-rate";
    plan.storm_at = storm_at_;
    return std::nullopt;
  }

  Refusal check_mixed() {
    Plan& plan = command_.plan;
    if (plan.topic_rate <= 0) {
      return plan.topic_publications > 0 ? Refusal{"--topic-events needs --topic-rate"}
                                         : std::nullopt;
    }
    if (plan.topics == 0 || plan.publications == 0 || plan.rate <= 0) {
      return "--topic-rate needs --topics, --events and --rate";
    }
    if (plan.topic_publications == 0) {
      plan.topic_publications = std::max<std::uint64_t>(
          1, static_cast<std::uint64_t>(static_cast<double>(plan.publications) / plan.rate *
                                        plan.topic_rate));
    }
    if (app_.get_option("--topic-publishers")->count() == 0) {
      plan.topic_publishers = plan.publishers;
    }
    return std::nullopt;
  }

  Refusal check_replay() const {
    const Plan& plan = command_.plan;
    if (plan.replay == 0) return std::nullopt;
    if (plan.replay > plan.publications) return "--replay: more than --events";
    if (plan.streams < 2) return "--replay needs two --streams, one of which finds the position";
    if (storm_->count() > 0 || plan.stalled > 0 || plan.slow > 0 || plan.is_mixed() ||
        plan.subscribers > 0 || !plan.last_event_id.empty()) {
      return "--replay cannot be combined with --storm, --stalled, --slow-readers, --topic-rate, "
             "--subscribers or --last-event-id";
    }
    return std::nullopt;
  }

  /// Checks the headers and reads the tokens.
  Refusal read_request_fields() {
    Plan& plan = command_.plan;
    if (plan.headers.size() > kHeadersMax) {
      return "--header: at most " + std::to_string(kHeadersMax);
    }
    for (const std::string& header : plan.headers) {
      if (auto checked = check_header(header); !checked) {
        return "--header: " + checked.error().message;
      }
    }
    if (auto checked = check_token_prefix(plan.token_prefix); !checked) {
      return "--token-prefix: " + checked.error().message;
    }
    if (tokens_file_.empty()) return std::nullopt;
    auto tokens = read_tokens(tokens_file_);
    if (!tokens) return "--tokens-file " + tokens.error().message;
    plan.tokens = std::move(tokens.value());
    return std::nullopt;
  }

  Command command_;
  CLI::App app_{
      "Opens event streams, publishes, and checks that every event reaches every stream exactly "
      "once\n"
      "and in order. Exit: 0 it did; 1 it did not, or the run could not go on; 2 wrong usage.\n"
      "SIGUSR1 begins and SIGUSR2 ends a stretch; the latency of the events due in it is told "
      "too.",
      "ringcast-load"};
  CLI::Option_group* tls_group_ = nullptr;
  CLI::Option* storm_ = nullptr;
  std::vector<std::string> urls_;
  std::string publish_url_;
  std::string publish_redis_;
  std::string subscribe_redis_;
  std::string publish_body_;
  std::vector<std::string> watched_;
  std::string tokens_file_;
  std::string stalled_;
  std::string slow_readers_;
  std::uint64_t storm_at_ = 0;
  tls::ClientOptions tls_;
  std::string tls_version_ = "1.3";
  bool insecure_ = false;
};

}  // namespace

std::variant<Command, Answer> read_command_line(int argc, const char* const* argv) {
  return Reading{}.read(argc, argv);
}

}  // namespace ringcast::load
