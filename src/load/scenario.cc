#include "load/scenario.h"

#include <algorithm>

namespace ringcast::load {
namespace {

const std::vector<std::vector<std::string_view>> kStreamsOnly{{"--url"}};
const std::vector<std::vector<std::string_view>> kPublisherOnly{
    {"--publish-url", "--publish-redis"}};
const std::vector<std::vector<std::string_view>> kBoth{{"--url"},
                                                       {"--publish-url", "--publish-redis"}};

const std::vector<Scenario> kScenarios{
    {.name = "idle",
     .what = "streams without news: what they cost",
     .defaults = {{"--streams", "10000"}, {"--hold", "10"}},
     .required = kStreamsOnly,
     .events_more = {}},
    {.name = "fanout",
     .what = "every event to every stream, at a steady rate",
     .defaults = {{"--streams", "10000"}, {"--events", "100"}, {"--rate", "10"}},
     .required = kBoth,
     .events_more = {}},
    {.name = "storm",
     .what = "all streams drop at once, miss events, and come back with their Last-Event-ID",
     .defaults = {{"--streams", "10000"}, {"--storm", "10"}, {"--storm-missed", "10"}},
     .required = kBoth,
     .events_more = 10},
    {.name = "replay",
     .what = "streams open behind events that were published before, and get them all",
     .defaults = {{"--streams", "1000"}, {"--replay", "1000"}},
     .required = kBoth,
     .events_more = 0},
    {.name = "slow",
     .what = "some streams read slowly or not at all; the latency of the others is told apart",
     .defaults = {{"--streams", "10000"},
                  {"--slow-readers", "5%"},
                  {"--slow-bytes-per-second", "1000"},
                  {"--stalled", "5%"},
                  {"--events", "300"},
                  {"--rate", "20"},
                  {"--reconnect", ""}},
     .required = kBoth,
     .events_more = {}},
    {.name = "publish",
     .what = "how soon publications are acknowledged, with no streams or few",
     .defaults = {{"--streams", "0"},
                  {"--events", "50000"},
                  {"--rate", "5000"},
                  {"--publishers", "32"},
                  {"--read-replies-at-once", ""}},
     .required = kPublisherOnly,
     .events_more = {}},
    {.name = "mixed",
     .what = "events for single topics while broadcasts go to all",
     .defaults = {{"--streams", "20000"},
                  {"--topics", "1000"},
                  {"--events", "40"},
                  {"--rate", "2"},
                  {"--topic-rate", "400"},
                  {"--topic-publishers", "16"}},
     .required = kBoth,
     .events_more = {}},
};

}  // namespace

std::span<const Scenario> all_scenarios() {
  return kScenarios;
}

const Scenario* find_scenario(std::string_view name) {
  const auto found =
      std::find_if(kScenarios.begin(), kScenarios.end(),
                   [name](const Scenario& scenario) { return scenario.name == name; });
  return found == kScenarios.end() ? nullptr : &*found;
}

std::string describe(std::span<const Scenario::Default> defaults) {
  std::string out;
  for (const auto& [option, value] : defaults) {
    if (!out.empty()) out += ' ';
    out += option;
    if (!value.empty()) out.append(" ").append(value);
  }
  return out;
}

std::string describe_scenarios() {
  std::string out = "Scenarios, each with what it begins with; every option that is given wins:\n";
  for (const Scenario& scenario : kScenarios) {
    std::string name{scenario.name};
    name.resize(10, ' ');
    out.append("  ").append(name).append(scenario.what).append("\n");
    out.append(12, ' ').append(describe(scenario.defaults)).append("\n");
  }
  return out;
}

}  // namespace ringcast::load
