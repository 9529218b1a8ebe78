#include "cli/model/model_commands.h"

#include "cli/command/model_program.h"

namespace arcshard::cli {

EmbedCommand::EmbedCommand(CommandLine program)
    : Command(program.AddCommand("embed", "Write the embeddings of images to a safetensors file")) {
  line()
      .Add("backbone", &options_.backbone, "The backbone, as a run writes it")
      .ValueName("backbone.safetensors")
      .Required();
  line()
      .Add("input", &options_.input,
           "A training set (folder, train.rec or list), a folder of images, an image, or a .bin of pairs")
      .Required();
  line()
      .Add("output", &options_.output,
           "Tensors embeddings (n×D), labels (n; -1: none) and names (bytes of a JSON list)")
      .ValueName("out.safetensors")
      .Required();
  line().AddFlag("--flip", &options_.flip, "Add the embedding of the mirrored image, as verify does");
  line().AddFlag("--normalize", &options_.normalize, "Scale embeddings to norm 1");
  line().AddFlag("--force", &options_.force, "Replace the output if it exists");
  line().AddFlag("--skip-damaged", &options_.skip_damaged, "Leave out images that cannot be decoded, and name them");
  options_.forward.AddTo(&line());
}

absl::StatusOr<int> EmbedCommand::Run() { return HandOverToModelProgram(); }

VerifyCommand::VerifyCommand(CommandLine program)
    : Command(program.AddCommand("verify", "Measure a trained backbone on verification sets")) {
  line()
      .Add("backbone", &options_.backbone, "The backbone, as a run writes it")
      .ValueName("backbone.safetensors")
      .Required();
  line()
      .Add("sets", &options_.sets, "InsightFace's .bin files or PLSC's lists of pairs")
      .ValueName("set.bin")
      .Required();
  options_.forward.AddTo(&line());
}

absl::StatusOr<int> VerifyCommand::Run() { return HandOverToModelProgram(); }

}  // namespace arcshard::cli
