#pragma once

namespace ringcast::test {

/// A host name that has the addresses 127.0.0.2 and 127.0.0.1, in this order, for this process.
inline constexpr const char* kTwoAddresses = "two-addresses.test";

}  // namespace ringcast::test
