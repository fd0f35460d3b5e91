#include "tensor/io/safetensors.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "catch.h"
#include "tensor/ops/creation.h"
#include "tensor/ops/view.h"
#include "tests/io/io_testing.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

std::string with_length(const std::string& header, const std::string& data, uint64_t length) {
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + data;
}

std::string file_of(const std::string& header, size_t data_bytes) {
  return with_length(header, std::string(data_bytes, '\0'), header.size());
}

std::string raw_bytes(const Tensor& t) {
  return {static_cast<const char*>(t.raw_data()), static_cast<size_t>(t.numel()) * size_of(t.dtype())};
}

void check_same(const Tensor& a, const Tensor& b) {
  CHECK(a.dtype() == b.dtype());
  CHECK(a.shape() == b.shape());
  CHECK(raw_bytes(a.contiguous()) == raw_bytes(b.contiguous()));
}

// One tensor named a; what is given replaces the rest of its entry.
std::string entry(const std::string& fields) { return R"({"a":{)" + fields + "}}"; }

struct Violation {
  std::string header;
  int64_t data_bytes;
  const char* message;
};

const std::string kGood = R"("dtype":"U8","shape":[4],"data_offsets":[0,4])";

std::vector<Violation> violations() {
  const auto shape = [](const std::string& text) {
    return entry(R"("dtype":"U8","shape":)" + text + R"(,"data_offsets":[0,4])");
  };
  const auto offsets = [](const std::string& text) {
    return entry(R"("dtype":"U8","shape":[4],"data_offsets":)" + text);
  };
  const auto dtype = [](const std::string& text) {
    return entry(R"("dtype":)" + text + R"(,"shape":[4],"data_offsets":[0,4])");
  };
  const auto two = [](const std::string& first, const std::string& second) {
    return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first + R"(},"b":{"dtype":"U8","shape":[4],)" +
           R"("data_offsets":)" + second + "}}";
  };
  return {
      // The text itself
      {"", 0, "does not begin with '{'"},
      {" " + entry(kGood), 4, "does not begin with '{'"},
      {"[]", 0, "does not begin with '{'"},
      {"\xef\xbb\xbf{}", 0, "does not begin with '{'"},
      {entry(kGood) + "\n", 4, "does not end with '}' and spaces"},
      {entry(kGood) + std::string(1, '\0'), 4, "does not end with '}' and spaces"},
      {entry(kGood) + std::string(1, '\0') + "}", 4, "does not end with '}' and spaces"},
      {entry(kGood) + " {}", 4, "no JSON at byte 55: syntax error"},
      {"{\"\xff\":1}", 0, "invalid string: ill-formed UTF-8 byte"},
      {R"({"\ud800":1})", 0, "surrogate"},
      {"{\"a\":}", 0, "unexpected '}'"},
      {"{,}", 0, "unexpected ','"},
      {"{/**/}", 0, "invalid literal"},
      // Structure
      {R"({"a":1})", 0, "tensor 'a' is the number 1, not an object"},
      {R"({"a":[]})", 0, "tensor 'a' is a list, not an object"},
      {R"({"a":null})", 0, "tensor 'a' is null, not an object"},
      {R"({"a":{}})", 0, "tensor 'a': dtype is missing"},
      {entry(R"("dtype":"U8","data_offsets":[0,4])"), 4, "shape is missing"},
      {entry(R"("dtype":"U8","shape":[4])"), 4, "data_offsets is missing"},
      {entry(kGood + R"(,"strides":[1])"), 4, "unknown key 'strides'"},
      {entry(kGood + R"(,"dtype":"U8")"), 4, "dtype appears twice"},
      {entry(kGood + R"(,"shape":[4])"), 4, "shape appears twice"},
      {entry(kGood + R"(,"data_offsets":[0,4])"), 4, "data_offsets appears twice"},
      {R"({"a":{)" + kGood + R"(},"\u0061":{)" + kGood + "}}", 4, "tensor 'a' appears twice"},
      {"{\"" + std::string(4097, 'n') + "\":{" + kGood + "}}", 4, "a tensor's name has 4097 bytes"},
      // Metadata
      {R"({"__metadata__":{},"__metadata__":{}})", 0, "__metadata__ appears twice"},
      {R"({"__metadata__":"x"})", 0, "__metadata__ is a string, not an object"},
      {R"({"__metadata__":{"k":1}})", 0, "__metadata__ 'k' is the number 1, not a string"},
      {R"({"__metadata__":{"k":{}}})", 0, "__metadata__ 'k' is an object, not a string"},
      {R"({"__metadata__":{"k":"1","k":"1"}})", 0, "__metadata__ 'k' appears twice"},
      // dtype
      {dtype(R"("F33")"), 4, "unknown dtype F33"},
      {dtype(R"("f32")"), 4, "unknown dtype f32"},
      {dtype(R"("F16")"), 4, "F16 (4,) takes 8 bytes but data_offsets [0, 4] span 4"},
      {dtype(R"("I8")"), 4, "dtype I8 is not supported"},
      {dtype("8"), 4, "dtype is the number 8, not a string"},
      {dtype("[\"U8\"]"), 4, "dtype is a list, not a string"},
      // shape
      {shape("4"), 4, "shape is the number 4, not a list"},
      {shape("{}"), 4, "shape is an object, not a list"},
      {shape("[4.0]"), 4, "shape holds the number 4.0, not an integer"},
      {shape("[4e0]"), 4, "shape holds the number 4e0, not an integer"},
      {shape("[-4]"), 4, "shape holds the number -4, not an integer"},
      {shape("[-0]"), 4, "shape holds the number 0, not an integer"},
      {shape("[\"4\"]"), 4, "shape holds a string, not an integer"},
      {shape("[true]"), 4, "shape holds a boolean, not an integer"},
      {shape("[[4]]"), 4, "shape holds a list, not an integer"},
      {shape("[04]"), 4, "syntax error"},
      {shape("[1,1,1,1,1,1,1,1,4]"), 4, "more than 8 dimensions"},
      {shape("[9223372036854775808]"), 4, "size 9223372036854775808 is out of range"},
      {shape("[18446744073709551616]"), 4, "the number 18446744073709551616, not an integer"},
      {shape("[4294967296,4294967296]"), 4,
       "(4294967296, 4294967296) has too many elements"},  // product 2^64: 0 bytes?
      {shape("[0,4294967296,4294967296]"), 4, "(0, 4294967296, 4294967296) has too many elements"},
      {shape("[4294967296,4294967296,0]"), 4, "(4294967296, 4294967296, 0) has too many elements"},
      {shape("[5]"), 4, "takes 5 bytes but data_offsets [0, 4] span 4"},
      {entry(R"("dtype":"F32","shape":[4],"data_offsets":[0,4])"), 4, "F32 (4,) takes 16 bytes"},
      {shape("[]"), 4, "U8 () takes 1 bytes"},
      // data_offsets
      {offsets("[0]"), 4, "fewer than 2 numbers"},
      {offsets("[0,4,8]"), 4, "more than 2 numbers"},
      {offsets("null"), 4, "data_offsets is null, not a list"},
      {offsets("[0,4.0]"), 4, "data_offsets holds the number 4.0"},
      {offsets("[-4,0]"), 4, "data_offsets holds the number -4"},
      {offsets("[4,0]"), 4, "data_offsets [4, 0] run backwards"},
      {offsets("[0,4]"), 3, "its data end at byte 4 but the file has only 3"},
      {offsets("[18446744073709551612,18446744073709551615]"), 4, "its data end at byte 18446744073709551615"},
      // Layout
      {offsets("[1,5]"), 5, "begins at byte 1 and leaves a hole after byte 0"},
      {two("[0,4]", "[5,9]"), 9, "tensor 'b' begins at byte 5 and leaves a hole after byte 4"},
      {two("[0,4]", "[3,7]"), 7, "tensor 'b' begins at byte 3 and overlaps the one that ends at 4"},
      {two("[0,4]", "[0,4]"), 4, "tensor 'b' begins at byte 0 and overlaps the one that ends at 4"},
      {entry(kGood), 5, "the file has 1 bytes after the data"},
      {"{}", 7, "the file has 7 bytes after the data"},
  };
}

}  // namespace

TEST_CASE("safetensors: each violation of the format has its own message", "[io][safetensors]") {
  const auto all = violations();
  CHECK(all.size() >= 25);
  for (const auto& violation : all) {
    INFO("header: " << violation.header.substr(0, 200));
    const auto message =
        message_of<FormatError>([&] { parse_safetensors_header(violation.header, violation.data_bytes); });
    CHECK_THAT(message, ContainsSubstring(violation.message));
  }
  CHECK(parse_safetensors_header(entry(kGood) + "   ", 4).size() == 1);  // the common stem is not what is wrong
}

TEST_CASE("safetensors: a file is checked before anything is allocated for it", "[io][safetensors]") {
  const TemporaryFolder folder;
  const auto path = folder / "bad.safetensors";
  const auto message = [&](const std::string& bytes) {
    put(path, bytes);
    return message_of<FormatError>([&] { SafetensorsReader reader(path); });
  };
  CHECK_THAT(message(""), ContainsSubstring("it has 0 bytes"));
  CHECK_THAT(message("1234567"), ContainsSubstring("it has 7 bytes"));
  CHECK_THAT(message(with_length("{}", "", 3)), ContainsSubstring("3 bytes is announced but the file has only 10"));
  CHECK_THAT(message(with_length("{}", "", 100'000'001)), ContainsSubstring("at most 100000000"));
  CHECK_THAT(message(with_length("{}", "", ~uint64_t{0})), ContainsSubstring("at most 100000000"));
  CHECK_THAT(message(with_length("{}", "", 0)), ContainsSubstring("does not begin"));
  CHECK_THAT(message(file_of(entry(kGood), 5)), ContainsSubstring(path.string()));
  CHECK(message(file_of(entry(kGood), 4)).empty());
  CHECK_THROWS_AS(SafetensorsReader(folder / "none"), MissingInput);
  CHECK_THROWS_AS(SafetensorsReader(folder.path()), IoError);
}

TEST_CASE("safetensors: deep nesting ends at once instead of filling the stack", "[io][safetensors]") {
  const std::string stems[] = {R"({"a":)", R"({"__metadata__":{"k":)", R"({"a":{"shape":)", R"({"a":{"data_offsets":)",
                               R"({"a":{"unknown":)"};
  for (const auto& stem : stems) {
    for (const std::string& level : {std::string("["), std::string(R"({"k":)")}) {
      std::string header = stem;
      for (int i = 0; i < 300'000; ++i) header += level;
      CHECK_THROWS_AS(parse_safetensors_header(header + "}", 0), FormatError);
    }
  }
}

TEST_CASE("safetensors: text of a hostile file is shown short and without control characters", "[io][safetensors]") {
  const std::string name = R"(\u001b[31m)" + std::string(4000, 'x');
  const auto message = message_of<FormatError>([&] { parse_safetensors_header("{\"" + name + "\":1}", 0); });
  CHECK(message.size() < 400);
  CHECK(message.find('\x1b') == message.npos);
}

TEST_CASE("safetensors: no change of one byte and no truncation gets past the checks unnoticed", "[io][safetensors]") {
  const std::string header = R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
                             R"("b":{"dtype":"BOOL","shape":[],"data_offsets":[8,9]}}  )";
  const std::string good = file_of(header, 9);
  const TemporaryFolder folder;
  const auto path = folder / "x";
  for (size_t length = 0; length < good.size(); ++length) {
    put(path, good.substr(0, length));
    CHECK_THROWS_AS(SafetensorsReader(path), FormatError);
  }
  // Either rejected, or a header of the same layout (another name, another metadata string): never anything else.
  const std::string bytes = std::string("\0\x01\x1f\x7f\x80\xff", 6) + "\"\\{}[]:,-+.eE0189 \n\tabtfFnuIUB";
  int accepted = 0;
  for (size_t at = 0; at < header.size(); ++at) {
    for (const char byte : bytes) {
      std::string changed = header;
      changed[at] = byte;
      const auto message = message_of<FormatError>([&] {
        int64_t end = 0;
        for (const auto& [name, found] : parse_safetensors_header(changed, 9)) {
          CHECK(found.end - found.begin == found.shape.numel() * static_cast<int64_t>(size_of(found.dtype)));
          end = std::max(end, found.end);
        }
        CHECK(end == 9);
      });
      accepted += message.empty() ? 1 : 0;
    }
  }
  CHECK(accepted > 0);
  CHECK(accepted < static_cast<int>(header.size() * bytes.size()) / 4);
}

TEST_CASE("safetensors: every dtype, empty and rank-0 tensors and views come back bit by bit", "[io][safetensors]") {
  const float inf = std::numeric_limits<float>::infinity();
  Tensor special = tensor_of({0.0, -0.0, 1e-42, 3.5}, {4});
  special.mutable_data<float>()[0] = std::nanf("7");
  special.mutable_data<float>()[3] = -inf;
  const Tensor base = arange(0, 24).reshape({2, 3, 4});
  NamedTensors tensors = {{"special", special},
                          {"f64", tensor_of({0.1, -1e300}, {2}, DType::f64)},
                          {"bf16", tensor_of({1.0, 2.5, -3.0}, {3}, DType::bf16)},
                          {"i64", tensor_of({-5.0, 9e15}, {2, 1}, DType::i64)},
                          {"i32", tensor_of({-7.0}, {1}, DType::i32)},
                          {"u8", tensor_of({0.0, 255.0, 7.0}, {3}, DType::u8)},
                          {"bool", tensor_of({1.0, 0.0, 1.0}, {3}, DType::boolean)},
                          {"scalar", scalar(4.0)},
                          {"empty", Tensor::empty({3, 0, 2})},
                          {"empty bool", Tensor::empty({0}, DType::boolean)},
                          {"transposed", transpose(base, 0, 2)},
                          {"sliced", slice(base, 1, 1, 3)},
                          {"na\"me \\ \n \xc3\xa4", scalar(1.0)},
                          {"", scalar(2.0)}};
  const std::map<std::string, std::string> metadata = {{"format", "pt"}, {"quote\"", "line\nbreak"}, {"", ""}};
  const TemporaryFolder folder;
  const auto path = folder / "all.safetensors";
  save_safetensors(path, tensors, metadata);

  const SafetensorsReader reader(path);
  CHECK(reader.metadata() == metadata);
  CHECK(reader.entries().size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    REQUIRE(reader.contains(name));
    check_same(reader.read(name), tensor);
  }
  const auto all = reader.read_all();
  REQUIRE(all.size() == tensors.size());
  CHECK(all.front().first.empty());
  CHECK(std::is_sorted(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; }));
  CHECK_FALSE(reader.contains("none"));
  CHECK_THAT(message_of<FormatError>([&] { reader.read("none"); }), ContainsSubstring("has no tensor 'none'"));
}

TEST_CASE("safetensors: the bytes written depend on the tensors only", "[io][safetensors]") {
  const TemporaryFolder folder;
  const Tensor a = tensor_of({1.0, 2.0}, {2});
  const Tensor b = tensor_of({1.0}, {1}, DType::u8);
  const Tensor c = tensor_of({3.0}, {}, DType::f64);
  save_safetensors(folder / "1", {{"b", b}, {"a", a}, {"c", c}}, {{"format", "pt"}});
  save_safetensors(folder / "2", {{"c", c}, {"a", a}, {"b", b}}, {{"format", "pt"}});
  const std::string header = R"({"__metadata__":{"format":"pt"},"c":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
                             R"("a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
                             R"("b":{"dtype":"U8","shape":[1],"data_offsets":[16,17]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  CHECK(get(folder / "1") == with_length(padded, raw_bytes(c) + raw_bytes(a) + raw_bytes(b), padded.size()));
  CHECK(get(folder / "1") == get(folder / "2"));
  save_safetensors(folder / "none", {});
  CHECK(get(folder / "none") == with_length("{}      ", "", 8));
  CHECK(SafetensorsReader(folder / "none").entries().empty());
}

TEST_CASE("safetensors: what the format cannot hold is not written", "[io][safetensors]") {
  const TemporaryFolder folder;
  const auto path = folder / "x";
  const Tensor one = scalar(1.0);
  const auto message = [&](const NamedTensors& tensors, const std::map<std::string, std::string>& metadata = {}) {
    return message_of<Error>([&] { save_safetensors(path, tensors, metadata); });
  };
  CHECK_THAT(message({{"a", one}, {"b", one}, {"a", scalar(1.0, DType::i64)}}), ContainsSubstring("called 'a'"));
  CHECK_THAT(message({{"a", Tensor()}}), ContainsSubstring("'a' is undefined"));
  CHECK_THAT(message({{"__metadata__", one}}), ContainsSubstring("__metadata__"));
  CHECK_THAT(message({{std::string(4097, 'n'), one}}), ContainsSubstring("4097 bytes"));
  CHECK_THAT(message({{"\xff", one}}), ContainsSubstring("not UTF-8"));
  CHECK_THAT(message({{"a", one}}, {{"k", "\xff"}}), ContainsSubstring("not UTF-8"));
  CHECK(folder.entries() == 0);
}

TEST_CASE("safetensors: a BOOL byte other than 0 and 1 is refused", "[io][safetensors]") {
  const TemporaryFolder folder;
  const std::string header = R"({"m":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})";
  const auto path = put(folder / "x", with_length(header, std::string("\0\1\2", 3), header.size()));
  const SafetensorsReader reader(path);  // only reading the tensor looks at its bytes
  CHECK_THAT(message_of<FormatError>([&] { reader.read("m"); }), ContainsSubstring("'m' is BOOL"));
}

TEST_CASE("safetensors: a file that shrinks after it was opened is an error, not a crash", "[io][safetensors]") {
  const TemporaryFolder folder;
  const auto path = folder / "x";
  save_safetensors(path, {{"a", zeros({100'000})}});
  const SafetensorsReader reader(path);
  std::filesystem::resize_file(path, 5'000);
  CHECK_THROWS_AS(reader.read("a"), IoError);
}

TEST_CASE("safetensors: the reference files are read, and written again to the same bytes", "[io][safetensors]") {
  const TemporaryFolder folder;
  int files = 0;
  for (const auto& found : std::filesystem::recursive_directory_iterator(SFUMATO_SOURCE_DIR "/tests/golden")) {
    if (found.path().extension() != ".safetensors") continue;
    INFO(found.path());
    const SafetensorsReader reader(found.path());
    CHECK_FALSE(reader.entries().empty());
    save_safetensors(folder / "copy", reader.read_all(), reader.metadata());
    CHECK((get(folder / "copy") == get(found.path())));  // in brackets: megabytes are not to be printed
    ++files;
  }
  CHECK(files >= 12);
}

TEST_CASE("safetensors: F16 is read as f32", "[io][safetensors]") {
  const TemporaryFolder folder;
  // 1, -2, 65504 (the largest), 2^-24 (the least), -0, 2^-14 (the least normal), infinity, 1/3 rounded
  const uint16_t halves[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x0400, 0x7c00, 0x3555};
  const std::string header = R"({"h":{"dtype":"F16","shape":[8],"data_offsets":[0,16]}})";
  const std::string data(reinterpret_cast<const char*>(halves), sizeof(halves));
  const auto path = put(folder / "half.safetensors", with_length(header, data, header.size()));
  const SafetensorsReader file(path);
  CHECK(file.entries().at("h").half);
  CHECK(file.entries().at("h").dtype == DType::f32);
  const std::vector<double> expected{
      1, -2, 65504, 0x1p-24, -0.0, 0x1p-14, std::numeric_limits<double>::infinity(), 0x1.554p-2};
  for (const Tensor& tensor : {file.read("h"), file.read_all().at(0).second}) {
    CHECK(tensor.dtype() == DType::f32);
    CHECK(tensor.to_vector() == expected);
    CHECK(std::signbit(tensor.to_vector()[4]));
  }
}

TEST_CASE("safetensors: many pieces read by many threads are what was written", "[io][safetensors]") {
  const TemporaryFolder folder;
  NamedTensors written;
  for (int i = 0; i < 3; ++i) {
    Tensor tensor = Tensor::empty({700'001});  // 2.7 pieces, and the ends lie within elements' reach of each other
    float* values = tensor.mutable_data<float>();
    for (int64_t j = 0; j < tensor.numel(); ++j) values[j] = static_cast<float>(j * 3 + i);
    written.emplace_back("t" + std::to_string(i), tensor);
  }
  written.emplace_back("u", Tensor::empty({0, 3}));
  save_safetensors(folder / "x", written);
  const NamedTensors read = SafetensorsReader(folder / "x").read_all();
  REQUIRE(read.size() == 4);
  for (size_t i = 0; i < 4; ++i) {
    CHECK(read[i].first == written[i].first);
    CHECK((read[i].second.to_vector() == written[i].second.to_vector()));
  }
}
