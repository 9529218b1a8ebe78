#!/usr/bin/env python3
"""Records tests/data/verification_case.safetensors: verification by InsightFace's eval/verification.py, in plain NumPy.

    make_verification_case.py OUT.safetensors

Computes the same as calculate_roc, calculate_accuracy and test there, without scikit-learn. 203 pairs do not divide evenly
into 10 folds, and the embeddings are so noisy that the folds have different best thresholds. Also records the best single
threshold over all pairs, and TAR at FAR 1e-3 and 1e-4, found by trying all thresholds that differ.
"""
import sys

import numpy as np
from safetensors.numpy import save_file

THRESHOLDS = np.arange(0, 4, 0.01)


def folds_of(pairs, folds):
    """Yields (train, test) indices as scikit-learn's KFold(folds, shuffle=False) does."""
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


def distances(originals, flips):
    x = originals.astype(np.float64) + flips.astype(np.float64)
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    x = x / np.where(norm == 0, 1, norm)
    return np.sum(np.square(x[0::2] - x[1::2]), 1)


def verify(originals, flips, same, folds=10):
    xnorm = np.mean([np.linalg.norm(row.astype(np.float64)) for rows in (originals, flips) for row in rows])
    distance = distances(originals, flips)
    accuracies, thresholds = [], []
    for train, test in folds_of(len(same), folds):
        best = np.argmax([accuracy(t, distance[train], same[train]) for t in THRESHOLDS])
        thresholds.append(THRESHOLDS[best])
        accuracies.append(accuracy(THRESHOLDS[best], distance[test], same[test]))
    return np.array([np.mean(accuracies), np.std(accuracies), np.mean(thresholds), xnorm])


def all_thresholds(distance):
    """One threshold that accepts no pair, one between each two neighbouring distances, and one that accepts all pairs."""
    d = np.unique(distance)
    return np.concatenate([d[:1], (d[:-1] + d[1:]) / 2, [4.0]])


def overall(distance, same):
    thresholds = all_thresholds(distance)
    accuracies = [accuracy(t, distance, same) for t in thresholds]
    return np.array([np.max(accuracies), thresholds[np.argmax(accuracies)]])


def accept_rates(distance, same, fars=(1e-3, 1e-4)):
    rows = []
    for far in fars:
        best = (-1.0, 0)
        for t in all_thresholds(distance):
            false_accepts = np.sum(np.logical_and(distance < t, ~same))
            if false_accepts <= far * np.sum(~same):
                best = max(best, (np.sum(np.logical_and(distance < t, same)) / np.sum(same), false_accepts))
        rows.append([far, *best])
    return np.array(rows)


def main():
    rng = np.random.default_rng(5)
    pairs, dim = 203, 8
    same = rng.random(pairs) < 0.5
    centers = rng.normal(0, 1, (2 * pairs, dim))
    centers[1::2][same] = centers[0::2][same]
    scale = rng.uniform(1, 30, (2 * pairs, 1))
    originals, flips = ((scale * (centers + rng.normal(0, 0.9, centers.shape))).astype(np.float32) for _ in range(2))
    originals[7] = flips[7] = 0  # an embedding that cannot be normalised
    distance = distances(originals, flips)
    save_file(
        {"originals": originals, "flips": flips, "same": same.astype(np.uint8),
         "accuracy_std_threshold_xnorm_10_folds": verify(originals, flips, same),
         "accuracy_std_threshold_xnorm_3_folds": verify(originals, flips, same, 3),
         "overall_accuracy_threshold": overall(distance, same), "far_tar_false_accepts": accept_rates(distance, same)},
        sys.argv[1])


if __name__ == "__main__":
    main()
