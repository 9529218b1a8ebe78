"""Unpacks from PyPI's wheels what a C++ program on the CPU needs: headers and libraries.

unpack_libtorch.py WHEEL_FOLDER LIBTORCH_FOLDER
"""
import pathlib
import shutil
import sys
import zipfile

# libtorch_cpu.so and the libraries that it loads, from torch/lib and from NVIDIA's wheels.
LIBRARIES = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}


def main():
    wheels, into = map(pathlib.Path, sys.argv[1:])
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                path = pathlib.PurePosixPath(member.filename)
                if path.parts[:2] == ("torch", "include") and not member.is_dir():
                    target = into.joinpath(*path.parts[1:])
                elif path.name in LIBRARIES and path.parent.name == "lib":
                    target = into / "lib" / path.name
                else:
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(target, "wb") as copy:
                    shutil.copyfileobj(source, copy)
    missing = sorted(name for name in LIBRARIES if not (into / "lib" / name).exists())
    if missing:
        sys.exit(f"unpack_libtorch.py: the wheels in {wheels} lack {', '.join(missing)}")


if __name__ == "__main__":
    main()
