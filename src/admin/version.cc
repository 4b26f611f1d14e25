#include "ringcast/admin/version.h"

namespace ringcast::admin {

std::string_view version() {
  return RINGCAST_VERSION;
}

}  // namespace ringcast::admin
