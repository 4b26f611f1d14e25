#include "ringcast/tls/warm_up.h"

#include <string>

#include "ringcast/base/time.h"
#include "ringcast/tls/client_session.h"
#include "ringcast/tls/session.h"

namespace ringcast::tls {
namespace {

constexpr int kFlightsMax = 8;  // of each side; a full handshake takes two

}  // namespace

Result<void> warm_up(const std::shared_ptr<const Context>& context) {
  // Nobody is to be convinced: it is our own certificate.
  const auto clients =
      ClientContext::create({.server_name = "warm.invalid", .verify = false}, Time{});
  if (!clients) return clients.error();
  ClientSession client(clients.value());
  Session server(context);
  std::string heard_by_server;
  std::string heard_by_client;
  const auto exchange = [&] {
    server.feed(client.take_output(), heard_by_server);
    client.feed(server.take_output(), heard_by_client);
  };
  for (int i = 0; i < kFlightsMax && client.has_output(); ++i) exchange();
  client.write("?");
  exchange();
  RecordCipher cipher;
  if (heard_by_server == "?" && server.take_over(cipher)) return {};
  return Error{server.reason().empty() ? client.reason() : server.reason()};
}

}  // namespace ringcast::tls
