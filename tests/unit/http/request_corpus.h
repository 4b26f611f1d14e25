#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ringcast/http/request.h"

namespace ringcast::http::test {

/// What the samples are parsed with.
inline constexpr ParserLimits kSampleLimits{1024, 64};

struct Sample {
  std::string_view name;
  std::string bytes;
  std::uint16_t status = 0;  ///< 0: accepted
  std::string_view reason = {};
};

/// Requests that are answered.
const std::vector<Sample>& good_samples();
/// Requests that are refused: smuggling, injection, malformed and oversized ones.
const std::vector<Sample>& bad_samples();

/// All that can be seen of a parser, as text, so that two of them can be compared.
std::string describe(const RequestParser& parser);

}  // namespace ringcast::http::test
