"""Reads an expert or buffer file with h5py and prints what it sees as one JSON object.

    python check_h5.py expert FILE
    python check_h5.py buffer FILE
    python check_h5.py set-int FILE ATTRIBUTE VALUE     (changes one attribute, for tests of bad input)
    python check_h5.py hostile FOLDER                   (writes files with links, external storage, huge shapes)
"""

import json
import os
import sys

import h5py
import numpy as np


def plain(value):
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        return plain(value.item())
    return value


def attributes(file):
    return {name: plain(value) for name, value in file.attrs.items()}


def read_expert(path):
    with h5py.File(path, "r") as file:
        arrays = {}
        for name, dataset in file["adapter"].items():
            assert dataset.dtype == np.dtype("<f4"), dataset.dtype
            assert dataset.fletcher32 and dataset.compression is None
            arrays[name] = {"shape": list(dataset.shape), "values": dataset[()].astype(float).ravel().tolist()}
        return {"attributes": attributes(file), "arrays": arrays}


def read_buffer(path):
    with h5py.File(path, "r") as file:
        blob = file["rows"][()].tobytes()
        offsets = file["row_offsets"][()].tolist()
        rows = [json.loads(blob[begin:end]) for begin, end in zip(offsets, offsets[1:])]
        return {"attributes": attributes(file), "rows": rows}


def set_int(path, name, value):
    with h5py.File(path, "r+") as file:
        file.attrs.modify(name, np.int64(value))


def write_hostile(folder):
    bounds = ("v110", "v110")

    def create(name):
        return h5py.File(os.path.join(folder, name), "w", libver=bounds)

    with create("external_storage.h5") as file:
        file.create_dataset("x", shape=(16,), dtype="<f4", external=[("/etc/hostname", 0, 64)])
    with create("external_link.h5") as file:
        file["x"] = h5py.ExternalLink("external_storage.h5", "/x")
    with create("soft_link.h5") as file:
        file["x"] = h5py.SoftLink("/y")
    # Links to groups, which h5py and HDF5 follow without a word.
    with create("other.h5") as file:
        file.create_dataset("g/x", data=np.zeros(4, "<f4"), chunks=(4,), fletcher32=True)
    with create("external_group.h5") as file:
        file["g"] = h5py.ExternalLink("other.h5", "/g")
    with create("soft_group.h5") as file:
        file.create_dataset("h/x", data=np.zeros(4, "<f4"), chunks=(4,), fletcher32=True)
        file["g"] = h5py.SoftLink("/h")
    with create("link_inside.h5") as file:
        file.create_group("a/b")["c"] = h5py.ExternalLink("other.h5", "/g")
    with create("huge_shape.h5") as file:
        file.create_dataset("x", shape=(2**36,), dtype="<f4", chunks=(1024,), fletcher32=True)
    with create("gzip.h5") as file:
        file.create_dataset("x", data=np.zeros(4096, "<f4"), chunks=(4096,), compression="gzip", fletcher32=True)
    with create("missing_chunks.h5") as file:
        file.create_dataset("x", shape=(4, 4), dtype="<f4", chunks=(4, 4), fletcher32=True)
        file.create_dataset("padding", data=np.zeros(4096, "<f4"))
    with create("double.h5") as file:
        file.create_dataset("x", data=np.zeros(4), chunks=(4,), fletcher32=True)
        file.attrs["kind"] = "variable length"


def main():
    command, path = sys.argv[1:3]
    if command == "expert":
        print(json.dumps(read_expert(path)))
    elif command == "buffer":
        print(json.dumps(read_buffer(path)))
    elif command == "set-int":
        set_int(path, sys.argv[3], int(sys.argv[4]))
    elif command == "hostile":
        write_hostile(path)
    else:
        sys.exit(f"unknown command {command}")


if __name__ == "__main__":
    main()
