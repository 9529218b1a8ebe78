#include "cli/templates/verify_templates.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/display/console.h"
#include "cli/templates/template_lists.h"
#include "common/base/status_macros.h"
#include "common/io/safetensors.h"
#include "worker/verification/operating_points.h"
#include "worker/verification/templates.h"

namespace arcshard::cli {
namespace {

using worker::IdentificationResult;

constexpr double kFars[] = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1};
constexpr double kFpirs[] = {0.01, 0.1};
constexpr int kRanks[] = {1, 5, 10};

struct Embeddings {
  std::vector<float> values;  // rows × dim
  int64_t dim = 0;
  ImageNames names;
};

absl::StatusOr<Embeddings> ReadEmbeddings(const std::string& path) {
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  ASSIGN_OR_RETURN(const SafetensorsFile::Entry* const entry, file.Find("embeddings"));
  if (entry->shape.size() != 2 || entry->shape[1] < 1) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": embeddings must be a matrix with a row for each image"));
  }
  Embeddings embeddings{.values = {}, .dim = entry->shape[1], .names = {}};
  ASSIGN_OR_RETURN(const std::vector<uint8_t> names, file.Read<uint8_t>("names"));
  absl::StatusOr<ImageNames> parsed =
      ImageNames::Parse({reinterpret_cast<const char*>(names.data()), names.size()}, entry->shape[0]);
  if (!parsed.ok()) return Annotate(parsed.status(), path);
  embeddings.names = *std::move(parsed);
  ASSIGN_OR_RETURN(embeddings.values, file.Read<float>("embeddings"));
  return embeddings;
}

struct Result {
  int64_t templates = 0, faces = 0, missing = 0;
  uint64_t pairs = 0, same_pairs = 0;
  std::vector<AcceptRate> accept_rates;  // of the pairs
  uint64_t gallery = 0;
  std::optional<IdentificationResult> identification;
};

absl::Status CheckMissing(const VerifyTemplatesOptions& options, const FaceList& list) {
  if (list.missing.empty() || options.skip_missing) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(options.templates, ": ", list.missing.size(), " of its images, such as ",
                                          list.missing.front(), ", have no embedding in ", options.embeddings,
                                          "; --skip-missing leaves them out"));
}

absl::Status Pairs(const VerifyTemplatesOptions& options, absl::Span<const float> features, int64_t dim,
                   const Numbering& templates, Result* result) {
  ASSIGN_OR_RETURN(const std::vector<worker::TemplatePair> pairs, ReadPairs(options.pairs, templates));
  std::vector<double> distances = worker::PairCosines(features, dim, pairs);
  std::vector<bool> same;
  for (size_t i = 0; i < pairs.size(); ++i) {
    distances[i] = -distances[i];
    same.push_back(pairs[i].same);
    result->same_pairs += pairs[i].same ? 1 : 0;
  }
  result->pairs = pairs.size();
  result->accept_rates = worker::AcceptRates(distances, same, kFars);
  if (!result->accept_rates.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(options.pairs, ": it must have pairs of the same subject and of different ones"));
}

absl::Status Search(const VerifyTemplatesOptions& options, absl::Span<const float> features, int64_t dim,
                    const Numbering& templates, Result* result) {
  Numbering subjects;
  ASSIGN_OR_RETURN(const auto gallery, ReadSubjects(options.gallery, templates, &subjects));
  ASSIGN_OR_RETURN(const auto probes, ReadSubjects(options.probes, templates, &subjects));
  result->gallery = gallery.size();
  result->identification = worker::Identify(features, dim, gallery, probes, kRanks, kFpirs);
  return absl::OkStatus();
}

std::string Text(const Result& result) {
  std::string text = absl::StrCat(result.templates, " templates of ", result.faces, " images",
                                  result.missing > 0 ? absl::StrCat("; ", result.missing, " left out") : "", "\n");
  if (result.pairs > 0) {
    absl::StrAppend(&text, "1:1, ", result.pairs, " pairs, ", result.same_pairs, " of the same subject\n");
    const uint64_t different = result.pairs - result.same_pairs;
    for (const AcceptRate& rate : result.accept_rates) {
      absl::StrAppendFormat(&text, "  TAR %.4f at FAR %.0e, %d false accepts%s\n", rate.tar, rate.far,
                            rate.false_accepts,
                            rate.far * static_cast<double>(different) < 1 ? " (too few pairs to tell it from 0)" : "");
    }
  }
  if (result.identification.has_value()) {
    const IdentificationResult& found = *result.identification;
    absl::StrAppend(&text, "1:N, ", found.probes, " probes against ", result.gallery, " templates; of ", found.mated,
                    " the subject is among them\n");
    for (size_t i = 0; i < found.rank_rates.size(); ++i) {
      absl::StrAppendFormat(&text, "  rank %d: %.4f\n", kRanks[i], found.rank_rates[i]);
    }
    for (const AcceptRate& rate : found.accept_rates) {
      absl::StrAppendFormat(&text, "  TPIR %.4f at FPIR %g\n", rate.tar, rate.far);
    }
  }
  return text;
}

nlohmann::ordered_json RatesJson(const std::vector<AcceptRate>& rates, const char* false_rate, const char* true_rate) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const AcceptRate& rate : rates) {
    json.push_back({{false_rate, rate.far}, {true_rate, rate.tar}, {"false_accepts", rate.false_accepts}});
  }
  return json;
}

std::string Json(const Result& result) {
  nlohmann::ordered_json json = {
      {"templates", result.templates}, {"images", result.faces}, {"missing_images", result.missing}};
  if (result.pairs > 0) {
    json["verification"] = {{"pairs", result.pairs},
                            {"same_pairs", result.same_pairs},
                            {"accept_rates", RatesJson(result.accept_rates, "far", "tar")}};
  }
  if (result.identification.has_value()) {
    const IdentificationResult& found = *result.identification;
    nlohmann::ordered_json ranks = nlohmann::ordered_json::object();
    for (size_t i = 0; i < found.rank_rates.size(); ++i) ranks[std::to_string(kRanks[i])] = found.rank_rates[i];
    json["identification"] = {{"probes", found.probes},
                              {"mated_probes", found.mated},
                              {"gallery", result.gallery},
                              {"rank", ranks},
                              {"accept_rates", RatesJson(found.accept_rates, "fpir", "tpir")}};
  }
  return json.dump(2) + "\n";
}

}  // namespace

absl::StatusOr<std::string> VerifyTemplates(const VerifyTemplatesOptions& options) {
  ASSIGN_OR_RETURN(const Embeddings embeddings, ReadEmbeddings(options.embeddings));
  Numbering templates;
  ASSIGN_OR_RETURN(FaceList list, ReadFaces(options.templates, embeddings.names, &templates));
  RETURN_IF_ERROR(CheckMissing(options, list));
  if (!options.scores.empty()) RETURN_IF_ERROR(ReadWeights(options.scores, embeddings.names, &list.faces));
  Result result{.templates = templates.size(),
                .faces = static_cast<int64_t>(list.faces.size()),
                .missing = static_cast<int64_t>(list.missing.size()),
                .accept_rates = {},
                .identification = {}};
  const int64_t dim = embeddings.dim;
  const std::vector<float> features =
      worker::TemplateFeatures(embeddings.values, dim, std::move(list.faces), templates.size(), options.unit);
  if (!options.pairs.empty()) RETURN_IF_ERROR(Pairs(options, features, dim, templates, &result));
  if (!options.gallery.empty()) RETURN_IF_ERROR(Search(options, features, dim, templates, &result));
  return options.json ? Json(result) : Text(result);
}

VerifyTemplatesCommand::VerifyTemplatesCommand(CommandLine program)
    : Command(program.AddCommand("verify-templates",
                                 "Evaluate embeddings by an IJB protocol: templates, 1:1 and 1:N, from lists")) {
  line()
      .Add("embeddings", &options_.embeddings, "What arcshard embed wrote about the images")
      .ValueName("embeddings.safetensors")
      .Required();
  line()
      .Add("--templates", &options_.templates,
           "A line per image: its name, its template, its medium (ijbc_face_tid_mid.txt)")
      .ValueName("FILE")
      .Required();
  line()
      .Add("--pairs", &options_.pairs, "1:1, a line per pair: two templates, and 1 or 0 (ijbc_template_pair_label.txt)")
      .ValueName("FILE");
  CommandLineOption gallery =
      line().Add("--gallery", &options_.gallery, "1:N, a line per template: it and its subject").ValueName("FILE");
  CommandLineOption probes = line()
                                 .Add("--probes", &options_.probes, "1:N, the templates to search for, likewise")
                                 .ValueName("FILE")
                                 .Needs(gallery);
  gallery.Needs(probes);
  line()
      .Add("--scores", &options_.scores, "Weights of the images: a line's first field is the name, its last the score")
      .ValueName("FILE");
  line().AddFlag("--unit", &options_.unit, "Scale each image's embedding to norm 1 before templates are formed");
  line().AddFlag("--skip-missing", &options_.skip_missing, "Leave out images that have no embedding");
  line().AddFlag("--json", &options_.json, "As JSON");
}

absl::Status VerifyTemplatesCommand::Check() const {
  if (!options_.pairs.empty() || !options_.gallery.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "verify-templates needs --pairs, or --gallery and --probes (see arcshard verify-templates --help)");
}

absl::StatusOr<int> VerifyTemplatesCommand::Run() {
  ASSIGN_OR_RETURN(const std::string text, VerifyTemplates(options_));
  RETURN_IF_ERROR(options_.json ? PrintData(text) : PrintText(text));
  return 0;
}

}  // namespace arcshard::cli
