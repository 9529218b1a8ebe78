#!/usr/bin/env python3
"""Writes the small verification sets in this folder: the same content, pickled in every way that arcshard reads.

    python make_pickles.py          (needs NumPy 2; the files are in the repository)

python3_protocolP        bytes and bool, as Python 3 writes them
python2_protocolP        str and bool, as Python 2 writes them, with its three opcodes for str
bytearray_protocolP      images as bytearray
numpy_protocolP          images as uint8 arrays, flags as a bool array
numpy_scalars_protocolP  flags as a list of numpy.bool_
numpy_columns_protocolP  images as uint8 arrays of N × 1, as OpenCV's imencode returned them, flags as a column
numpy_rows_protocolP     images as uint8 arrays of 1 × N, flags as an int64 array of 1 × P
numpy_fortran_protocolP  images as int8 arrays of N × 1 in Fortran's order, flags as a float64 array
numpy_values_protocolP   images as numpy.void and numpy.bytes_, flags as a list of numpy.int64
numpy_objects_protocolP  images and flags as arrays of objects
big_endian_protocolP     flags as an array of big-endian float32
floats_protocolP         flags as a list of float
"""
import pathlib
import pickle
import struct

import numpy as np

IMAGES = [b"first\x00\xff\n\r\t'\\", bytes(range(256)), b"", b"both ' and \"" + bytes(range(255, -1, -1))]
SAME = [True, False]


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 writes str."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_str_of_python2(self, text):
        if not self.bin:
            self.write(pickle.STRING + repr(text)[1:].encode("ascii") + b"\n")
        elif len(text) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(text)]) + text)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(text)) + text)
        self.memoize(text)

    dispatch[bytes] = save_str_of_python2


def main():
    folder = pathlib.Path(__file__).parent
    arrays = [np.frombuffer(image, np.uint8) for image in IMAGES]
    contents = {
        "python3": (IMAGES, SAME),
        "bytearray": ([bytearray(image) for image in IMAGES], SAME),
        "numpy": (arrays, np.array(SAME)),
        "numpy_scalars": (IMAGES, [np.bool_(same) for same in SAME]),
        "numpy_columns": ([array.reshape(-1, 1) for array in arrays], np.array(SAME).reshape(-1, 1)),
        "numpy_rows": ([array.reshape(1, -1) for array in arrays], np.array([SAME], np.int64)),
        "numpy_fortran": (
            [np.asfortranarray(array.view(np.int8).reshape(-1, 1)) for array in arrays],
            np.array(SAME, np.float64),
        ),
        "numpy_values": (
            [np.void(image) if image else np.bytes_(image) for image in IMAGES],
            list(np.array(SAME, np.int64)),
        ),
        "numpy_objects": (np.array(IMAGES, object), np.array(SAME, object)),
        "big_endian": (IMAGES, np.array(SAME, ">f4")),
        "floats": (IMAGES, [float(same) for same in SAME]),
    }
    for name, content in contents.items():
        for protocol in range(6):
            (folder / f"{name}_protocol{protocol}.bin").write_bytes(pickle.dumps(content, protocol=protocol))
    for protocol in range(3):
        with open(folder / f"python2_protocol{protocol}.bin", "wb") as file:
            Python2Pickler(file, protocol=protocol).dump((IMAGES, SAME))


if __name__ == "__main__":
    main()
