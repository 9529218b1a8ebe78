#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/io/safetensors.h"

namespace arcshard {

// Writes a file that torch.load reads as a dict of contiguous tensors, with weights_only=True too, and LibTorch as
// well: a zip archive as torch.save writes it since PyTorch 1.6. Needs memory for another copy of the tensors. The file
// appears whole or not at all. InvalidArgument: a tensor is of a type that is not written, or has another number of
// bytes than its shape says; other errors are those of AtomicFile.
absl::Status WriteTorchStateDict(const std::string& path, absl::Span<const TensorView> tensors);

}  // namespace arcshard
