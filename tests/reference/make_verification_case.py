#!/usr/bin/env python3
"""Records tests/data/verification_case.safetensors: verification by InsightFace's eval/verification.py, in plain NumPy.

    make_verification_case.py OUT.safetensors

What calculate_roc, calculate_accuracy and test do there, without scikit-learn. 203 pairs do not divide by 10 folds, and
embeddings are noisy enough that the folds disagree about the best threshold.
"""
import sys

import numpy as np
from safetensors.numpy import save_file

THRESHOLDS = np.arange(0, 4, 0.01)


def folds_of(pairs, folds):
    """scikit-learn's KFold(folds, shuffle=False): (train, test) indices."""
    sizes = np.full(folds, pairs // folds)
    sizes[: pairs % folds] += 1
    everything, at = np.arange(pairs), 0
    for size in sizes:
        test = everything[at : at + size]
        yield np.setdiff1d(everything, test), test
        at += size


def accuracy(threshold, distance, same):
    predicted = np.less(distance, threshold)
    right = np.sum(np.logical_and(predicted, same)) + np.sum(np.logical_and(~predicted, ~same))
    return float(right) / distance.size


def verify(originals, flips, same, folds=10):
    originals, flips = originals.astype(np.float64), flips.astype(np.float64)
    xnorm = np.mean([np.linalg.norm(row) for rows in (originals, flips) for row in rows])
    x = originals + flips
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    x = x / np.where(norm == 0, 1, norm)
    distance = np.sum(np.square(x[0::2] - x[1::2]), 1)
    accuracies, thresholds = [], []
    for train, test in folds_of(len(same), folds):
        best = np.argmax([accuracy(t, distance[train], same[train]) for t in THRESHOLDS])
        thresholds.append(THRESHOLDS[best])
        accuracies.append(accuracy(THRESHOLDS[best], distance[test], same[test]))
    return np.array([np.mean(accuracies), np.std(accuracies), np.mean(thresholds), xnorm])


def main():
    rng = np.random.default_rng(5)
    pairs, dim = 203, 8
    same = rng.random(pairs) < 0.5
    centers = rng.normal(0, 1, (2 * pairs, dim))
    centers[1::2][same] = centers[0::2][same]
    scale = rng.uniform(1, 30, (2 * pairs, 1))
    originals, flips = ((scale * (centers + rng.normal(0, 0.9, centers.shape))).astype(np.float32) for _ in range(2))
    originals[7] = flips[7] = 0  # an embedding that cannot be normalised
    save_file(
        {"originals": originals, "flips": flips, "same": same.astype(np.uint8),
         "accuracy_std_threshold_xnorm_10_folds": verify(originals, flips, same),
         "accuracy_std_threshold_xnorm_3_folds": verify(originals, flips, same, 3)},
        sys.argv[1])


if __name__ == "__main__":
    main()
