"""Prints a line for each file of a model: its name, and the SHA-256 of its tensors' bytes: model_bits.py FOLDER

The headers of the files are left out, since they name the view of the run in which a file was written.
"""
import hashlib
import pathlib
import sys

for path in sorted(pathlib.Path(sys.argv[1]).glob("*.safetensors")):
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    print(path.name, hashlib.sha256(content[header:]).hexdigest())
