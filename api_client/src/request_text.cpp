#include <api_client/client.hpp>

namespace api_client {
namespace {

// RFC 3986 section 2.3: what needs no encoding anywhere.
bool is_unreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

void append_encoded(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (is_unreserved(byte)) {
      out += character;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
}

}  // namespace

std::string path(std::initializer_list<std::string_view> segments) {
  std::string out;
  for (const std::string_view segment : segments) {
    out += '/';
    append_encoded(out, segment);
  }
  return out;
}

std::string target(std::string path,
                   const std::vector<std::pair<std::string, std::string>>& query) {
  char separator = path.find('?') == std::string::npos ? '?' : '&';
  for (const auto& [name, value] : query) {
    if (value.empty()) continue;
    path += separator;
    append_encoded(path, name);
    path += '=';
    append_encoded(path, value);
    separator = '&';
  }
  return path;
}

std::string Response::trace_id() const {
  return std::string(headers.get("X-Trace-Id").value_or(""));
}

std::optional<Receipt> Response::receipt() const {
  const auto header = headers.get("HyperMesh-Receipt");
  return header ? parse_receipt(*header) : std::nullopt;
}

bool Response::changed() const {
  return headers.get("HyperMesh-Changed") != "false";
}

// RFC 7234 section 5.5: code, agent, text in quotes.
std::vector<std::string> Response::warnings() const {
  std::vector<std::string> texts;
  for (const std::string_view header : headers.all("Warning")) {
    const auto open = header.find('"');
    if (open == std::string_view::npos) continue;
    std::string text;
    for (std::size_t i = open + 1; i < header.size() && header[i] != '"'; ++i) {
      if (header[i] == '\\' && i + 1 < header.size()) ++i;
      text += header[i];
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace api_client
