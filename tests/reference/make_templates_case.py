#!/usr/bin/env python3
"""Records tests/data/templates: an IJB-style evaluation of random embeddings, in plain NumPy.

    make_templates_case.py OUT_FOLDER

Templates are formed as InsightFace's evaluation of IJB does it: the mean over the faces of a medium, the sum over the media of
a template, scaled to norm 1; with scores each embedding is multiplied by that of its detector first. TAR at FAR and TPIR at
FPIR are found by trying every threshold. A probe's rank is found by sorting.
"""
import json
import pathlib
import sys

import numpy as np
from safetensors.numpy import save_file

FARS = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
FPIRS = [0.01, 0.1]
RANKS = [1, 5, 10]


def rate(own, other, allowed_rate):
    """The largest share of `own` above a threshold that at most allowed_rate of `other` is above."""
    best = (0.0, 0)
    for threshold in np.concatenate([own, other, [-2.0]]):
        false = int(np.sum(other > threshold))
        if false <= np.floor(allowed_rate * len(other) + 1e-9):
            best = max(best, (float(np.mean(own > threshold)), false), key=lambda x: (x[0], x[1]))
    return best


def evaluate(embeddings, faces, pairs, gallery, probes, scores=None):
    features = {}
    for template in {t for _, t, _ in faces}:
        media = {}
        for row, t, medium in faces:
            if t == template:
                x = embeddings[row].astype(np.float64)
                media.setdefault(medium, []).append(x if scores is None else x * float(np.float32(scores[row])))
        total = sum(np.mean(m, axis=0) for m in media.values())
        features[template] = (total / np.linalg.norm(total)).astype(np.float32).astype(np.float64)
    cosine = np.array([features[a] @ features[b] for a, b, _ in pairs])
    same = np.array([label == 1 for _, _, label in pairs])
    result = {"tar": [rate(cosine[same], cosine[~same], far)[0] for far in FARS], "rank": [], "tpir": []}
    own, other, within = [], [], np.zeros(len(RANKS))
    subjects = {s for _, s in gallery}
    for template, subject in probes:
        score = np.array([features[template] @ features[g] for g, _ in gallery])
        mine = np.array([s == subject for _, s in gallery])
        other.append(score[~mine].max())
        if subject in subjects:
            own.append(score[mine].max())
            nearer = int(np.sum(score[~mine] >= own[-1]))
            within += [nearer < rank for rank in RANKS]
    result["rank"] = list(within / len(own))
    result["tpir"] = [rate(np.array(own), np.array(other), fpir)[0] for fpir in FPIRS]
    result["mated"] = len(own)
    return result


def main(out):
    rng = np.random.default_rng(5)
    dim, subjects = 16, 40
    centers = rng.normal(size=(subjects, dim))
    names, embeddings, faces, subject_of = [], [], [], {}
    template = 100
    for subject in range(subjects):
        for _ in range(3):
            subject_of[template] = subject
            for medium in range(rng.integers(1, 4)):
                for _ in range(rng.integers(1, 4)):
                    faces.append((len(names), template, 1000 * template + medium))
                    names.append("crop/%d.jpg" % (len(names) + 1))
                    embeddings.append(centers[subject] + 1.3 * rng.normal(size=dim))
            template += 1
    embeddings = np.array(embeddings, np.float32)
    scores = rng.uniform(0.2, 1, size=len(names)).round(4)
    templates = sorted(subject_of)
    pairs = [(a, b, int(subject_of[a] == subject_of[b])) for i, a in enumerate(templates) for b in templates[:i]]
    gallery = [(t, subject_of[t]) for t in templates[::3] if subject_of[t] < 30]
    probes = [(t, subject_of[t]) for t in templates if t not in dict(gallery)]

    out = pathlib.Path(out)
    out.mkdir(exist_ok=True)
    save_file({"embeddings": embeddings, "labels": np.full(len(names), -1, np.int64),
               "names": np.frombuffer(json.dumps(names).encode(), np.uint8)}, out / "embeddings.safetensors")
    (out / "faces.txt").write_text("".join("%s %d %d\n" % (names[r].split("/")[1], t, m) for r, t, m in faces))
    (out / "scores.txt").write_text("".join("%s 1.5 2.5 %g\n" % (n.split("/")[1], s) for n, s in zip(names, scores)))
    (out / "pairs.txt").write_text("".join("%d %d %d\n" % p for p in pairs))
    for name, rows in (("gallery", gallery), ("probes", probes)):
        (out / (name + ".csv")).write_text("TEMPLATE_ID,SUBJECT_ID,FILENAME\n" + "".join("%d,%d,x.jpg\n" % r for r in rows))
    expected = {"plain": evaluate(embeddings, faces, pairs, gallery, probes),
                "scored": evaluate(embeddings, faces, pairs, gallery, probes, scores)}
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(json.dumps(expected, indent=1))


main(sys.argv[1])
