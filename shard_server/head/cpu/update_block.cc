#include "shard_server/head/cpu/update_block.h"

#include <algorithm>
#include <utility>

#include "shard_server/head/arithmetic/element_ops.h"
#include "shard_server/head/cpu/kernels/vectorised.h"

namespace arcshard::head {
namespace {

// Octets for which bits are computed at once: more than the compiler unrolls, so that it vectorises the loops.
constexpr int64_t kOctets = 32;

ARCSHARD_INLINED void PhiloxOfOctets(uint64_t key, uint64_t low, const uint64_t (&high)[kOctets],
                                     uint32_t (&c)[4][kOctets]) {
  for (int64_t i = 0; i < kOctets; ++i) {
    c[0][i] = static_cast<uint32_t>(low);
    c[1][i] = static_cast<uint32_t>(low >> 32);
    c[2][i] = static_cast<uint32_t>(high[i]);
    c[3][i] = static_cast<uint32_t>(high[i] >> 32);
  }
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int64_t i = 0; i < kOctets; ++i) {
      const uint64_t a = uint64_t{0xD2511F53} * c[0][i];
      const uint64_t b = uint64_t{0xCD9E8D57} * c[2][i];
      c[0][i] = static_cast<uint32_t>(b >> 32) ^ c[1][i] ^ k0;
      c[1][i] = static_cast<uint32_t>(b);
      c[2][i] = static_cast<uint32_t>(a >> 32) ^ c[3][i] ^ k1;
      c[3][i] = static_cast<uint32_t>(a);
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
}

// Updates the weights, the moments and the inverse norm of a row. `random`: RandomsOfRow(dim) values, a third of them
// for the weights and a third for each moment.
template <typename Step, typename W, typename V>
ARCSHARD_INLINED void UpdateRow(const Step& optimizer, const typename Step::OfClass& of_class, const ClassStore& store,
                                int64_t row, const float* __restrict h, const uint32_t* __restrict random) {
  const Step step = optimizer;  // a copy: its members stay in registers
  const int64_t dim = store.options().dim;
  const int64_t stride = RandomsOfRow(dim) / 3;
  W* __restrict const w = store.weights().template row<W>(row);
  V* __restrict const moment0 = store.moment(0).template row<V>(row);
  V* __restrict const moment1 = Step::kMoments == 2 ? store.moment(1).template row<V>(row) : moment0;
  float& inverse_norm = store.inverse_norms()[row];
  const float radial = Dot(dim, h, w) * inverse_norm * inverse_norm;
  for (int64_t d = 0; d < dim; ++d) {
    RandomOfElement bits;
    if constexpr (!std::is_same_v<W, float>) bits.weight = random[d];
    if constexpr (!std::is_same_v<V, float>) {
      bits.moment0 = random[stride + d];
      if constexpr (Step::kMoments == 2) bits.moment1 = random[2 * stride + d];
    }
    step(of_class, {h[d], radial}, w[d], moment0[d], moment1[d], bits);
  }
  inverse_norm = InverseNorm(Dot(dim, w, w));
}

template <typename Step, typename W, typename V>
ARCSHARD_INLINED void UpdateRows(const Step& optimizer, const UpdateStep& update, const BlockRows& rows, const float* h,
                                 uint32_t* randoms, const ClassStore& store) {
  const int64_t dim = store.options().dim;
  const int64_t stride = RandomsOfRow(dim) / 3;
  uint32_t count = 0;
  typename Step::OfClass of_class = optimizer.ForClass(count);
  for (int64_t i = 0; i < rows.count; ++i, h += dim) {
    const int64_t row = rows[i];
    const int64_t j = store.options().range.begin + row;
    if constexpr (Step::kMoments == 2) {
      const uint32_t before = count;
      count = ++store.counts()[row];
      if (count != before) of_class = optimizer.ForClass(count);  // usually the same as that of the class before
    }
    if constexpr (!std::is_same_v<W, float>) {
      FillRoundingBits(update.rounding, update.step, j, Rounded::kWeight, dim, randoms);
    }
    if constexpr (!std::is_same_v<V, float>) {
      FillRoundingBits(update.rounding, update.step, j, Rounded::kMoment0, dim, randoms + stride);
      if constexpr (Step::kMoments == 2) {
        FillRoundingBits(update.rounding, update.step, j, Rounded::kMoment1, dim, randoms + 2 * stride);
      }
    }
    UpdateRow<Step, W, V>(optimizer, of_class, store, row, h, randoms);
  }
}

template <typename Step>
ARCSHARD_INLINED void UpdateRowsOfTypes(const Step& optimizer, const UpdateStep& update, const BlockRows& rows,
                                        const float* h, uint32_t* randoms, const ClassStore& store) {
  const bool narrow_moments = store.options().moments == DataType::kBfloat16;
  if (store.options().weights == DataType::kFloat32) {
    narrow_moments ? UpdateRows<Step, float, Bfloat16>(optimizer, update, rows, h, randoms, store)
                   : UpdateRows<Step, float, float>(optimizer, update, rows, h, randoms, store);
  } else {
    narrow_moments ? UpdateRows<Step, Bfloat16, Bfloat16>(optimizer, update, rows, h, randoms, store)
                   : UpdateRows<Step, Bfloat16, float>(optimizer, update, rows, h, randoms, store);
  }
}

ARCSHARD_VECTORISED
void UpdateBlockOf(const SgdStep& optimizer, const UpdateStep& update, const BlockRows& rows, const float* h,
                   uint32_t* randoms, const ClassStore& store) {
  UpdateRowsOfTypes(optimizer, update, rows, h, randoms, store);
}

ARCSHARD_VECTORISED
void UpdateBlockOf(const AdamWStep& optimizer, const UpdateStep& update, const BlockRows& rows, const float* h,
                   uint32_t* randoms, const ClassStore& store) {
  UpdateRowsOfTypes(optimizer, update, rows, h, randoms, store);
}

}  // namespace

OptimizerStep MakeOptimizerStep(const HeadOptions& options, float lr) {
  if (const auto* const sgd = std::get_if<SgdOptions>(&options.optimizer)) return SgdStep(*sgd, lr);
  return AdamWStep(std::get<AdamWOptions>(options.optimizer), lr);
}

void UpdateBlock(const UpdateStep& update, const BlockRows& rows, const float* h, uint32_t* randoms,
                 const ClassStore& store) {
  std::visit([&](const auto& optimizer) { UpdateBlockOf(optimizer, update, rows, h, randoms, store); },
             update.optimizer);
}

ARCSHARD_VECTORISED
void FillRoundingBits(const RoundingBits& rounding, uint64_t step, int64_t j, Rounded what, int64_t dim,
                      uint32_t* randoms) {
  for (int64_t octet = 0; octet * RoundingBits::kDims < dim; octet += kOctets) {
    uint64_t high[kOctets];
    for (int64_t i = 0; i < kOctets; ++i) high[i] = RoundingBits::Counter(j, octet + i, what);
    uint32_t words[4][kOctets];
    PhiloxOfOctets(rounding.key, step, high, words);
    uint32_t* const out = randoms + octet * RoundingBits::kDims;
    for (int64_t i = 0; i < kOctets; ++i) {
      for (int64_t word = 0; word < 4; ++word) {
        out[8 * i + 2 * word] = words[word][i] & 0xffffu;
        out[8 * i + 2 * word + 1] = words[word][i] >> 16;
      }
    }
  }
}

}  // namespace arcshard::head
