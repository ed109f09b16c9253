// The other side of the envelope benchmark: simdjson finds the same fields on demand, and parses
// the same documents into its DOM.
//
//   simdjson_side scan|validate SECONDS FILE   one measurement a line read from stdin
//
// For every line on stdin it takes the documents of FILE in turn for about SECONDS of CPU time and
// prints the nanoseconds of CPU time a document, and a sum of what was found.
#include <simdjson.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

using namespace simdjson;

static double cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

static std::vector<padded_string> read_documents(const char *path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<padded_string> documents;
  for (size_t at = 0; at + 4 <= bytes.size();) {
    uint32_t length;
    std::memcpy(&length, bytes.data() + at, 4);
    documents.emplace_back(bytes.data() + at + 4, length);
    at += 4 + length;
  }
  return documents;
}

// Where the values of an envelope's fields stand, as text.
struct Envelope {
  std::string_view event_id, type, spec_version, timestamp, trace_id, payload, tenant_id, session_id,
      causation_id, owner_epoch, owner_claim, in, fold_version;
};

static bool is(const ondemand::raw_json_string &key, const char *name, size_t length) {
  return std::memcmp(key.raw(), name, length) == 0 && key.raw()[length] == '"';
}

// The place of a field: by the first byte, then the whole name.
static std::string_view *slot(Envelope &e, const ondemand::raw_json_string &key) {
#define FIELD(name) \
  if (is(key, #name, sizeof #name - 1)) return &e.name
  switch (*key.raw()) {
    case 'c': FIELD(causation_id); break;
    case 'e': FIELD(event_id); break;
    case 'f': FIELD(fold_version); break;
    case 'i': FIELD(in); break;
    case 'o': FIELD(owner_epoch); FIELD(owner_claim); break;
    case 'p': FIELD(payload); break;
    case 's': FIELD(spec_version); FIELD(session_id); break;
    case 't': FIELD(type); FIELD(timestamp); FIELD(trace_id); FIELD(tenant_id); break;
  }
#undef FIELD
  return nullptr;
}

static size_t scan(ondemand::parser &parser, const padded_string &text) {
  Envelope e;
  ondemand::document document;
  ondemand::object object;
  if (parser.iterate(text).get(document) || document.get_object().get(object)) return 0;
  for (auto field : object) {
    ondemand::raw_json_string key;
    if (field.key().get(key)) return 0;
    std::string_view *at = slot(e, key);
    if (at == nullptr) continue;
    ondemand::value value = field.value();
    ondemand::json_type type;
    if (value.type().get(type)) return 0;
    if (type == ondemand::json_type::object) {
      ondemand::object inner;
      if (value.get_object().get(inner) || inner.raw_json().get(*at)) return 0;
    } else {
      *at = value.raw_json_token();
    }
  }
  if (e.event_id.empty() || e.type.empty() || e.spec_version.empty() || e.timestamp.empty() || e.trace_id.empty() || e.payload.empty()) return 0;
  return e.payload.size() + (e.session_id.empty() ? 0 : 1) + (e.fold_version.empty() ? 0 : 1);
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  bool is_scan = std::strcmp(arguments[1], "scan") == 0;
  double seconds = std::stod(arguments[2]);
  auto documents = read_documents(arguments[3]);
  ondemand::parser on_demand;
  dom::parser dom;
  for (int line = getchar(); line != EOF; line = getchar()) {
    size_t rounds = 0, sum = 0;
    double began = cpu_seconds(), now = began;
    do {
      for (int batch = 0; batch < 64; batch++, rounds++)
        for (auto &document : documents)
          if (is_scan) {
            sum += scan(on_demand, document);
          } else {
            dom::element root;
            sum += dom.parse(document).get(root) == SUCCESS;
          }
      now = cpu_seconds();
    } while (now - began < seconds);
    std::printf("%.3f %zu\n", (now - began) * 1e9 / rounds / documents.size(), sum / rounds);
    std::fflush(stdout);
  }
}
