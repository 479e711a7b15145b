"""Pickles that run code in an ordinary reader, and pickles that ask for more than a machine has."""

import codecs
import copyreg
import operator
import os
import pickle
import struct
import subprocess

import numpy as np
import torch


class Call:
    """Something that runs `function(*arguments)` when an ordinary reader loads it."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return (self.function, self.arguments)

    def __call__(self):
        """So that what it returns may be called in turn."""


def programs(canary):
    """name -> an object whose pickle would leave `canary` behind, or call what no array needs."""
    touch = f"touch {canary}"
    opened = f"open({str(canary)!r}, 'w').close()"
    return {
        "os.system": Call(os.system, touch),
        "subprocess": Call(subprocess.call, ["touch", str(canary)]),
        "eval": Call(eval, opened),
        "exec": Call(exec, opened),
        "open": Call(open, str(canary), "w"),
        "import": Call(__import__, "os"),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "methodcaller": Call(Call(operator.methodcaller, "system", touch), Call(__import__, "os")),
        "map": Call(list, Call(map, os.system, [touch])),
        "pickle.loads": Call(pickle.loads, pickle.dumps(Call(os.system, touch))),
        "torch.load": Call(torch.load, str(canary)),
        "torch storage": Call(torch.storage._load_from_bytes, pickle.dumps(Call(os.system, touch))),
        "numpy.load": Call(np.load, str(canary), None, True),
        "numpy.save": Call(np.save, str(canary), 1),
        "numpy.fromfile": Call(np.fromfile, str(canary)),
        "codecs": Call(codecs.open, str(canary), "w"),
        "copyreg": Call(copyreg._reconstructor, subprocess.Popen, object, None),
        "compile": Call(compile, opened, "file", "exec"),
    }


DEEP = 200_000  # to hash a tuple nested so deep ends the interpreter


def _global(module, name):
    return f"c{module}\n{name}\n".encode()


def _short(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


_DTYPE = _global("numpy", "dtype") + _short("f8") + b"\x89\x88\x87R"
_OBJECTS = _global("numpy", "dtype") + _short("O8") + b"\x89\x88\x87R"
_EMPTY = _global("numpy.core.multiarray", "_reconstruct") + _global("numpy", "ndarray") + b"K\x00\x85" + _short("b")
_EMPTY += b"\x87R"
_HUGE = b"\x8a\x06" + (10**13).to_bytes(6, "little")


def raw(canary):
    """name -> the bytes of a pickle that no object gives: tricks with single instructions, and absurd sizes."""
    array = b"\x80\x02" + _EMPTY + b"(K\x01"
    eight = b"\x89" + _short("12345678") + b"tb."
    scalar, rebuild = (_global("numpy.core.multiarray", name) for name in ("scalar", "_reconstruct"))
    laughs = b"".join(b"q%c](" % place + b"h%c" % place * 10 + b"e" for place in range(60))
    system = _global("os", "system") + _short(f"touch {canary}")
    return {
        "INST": b"(" + _short(f"touch {canary}") + b"ios\nsystem\n.",
        "OBJ": b"(" + _global("os", "system") + _short(f"touch {canary}") + b"o.",
        "NEWOBJ": b"\x80\x02" + _global("os", "system") + _short(f"touch {canary}") + b"\x85\x81.",
        "REDUCE on a class": b"\x80\x02" + _global("numpy", "ndarray") + _HUGE + b"\x85R.",
        "BUILD on a dict": b"\x80\x02}" + _short("__class__") + b"K\x01s}b.",
        "BUILD on a function": b"\x80\x02" + _global("numpy", "dtype") + b"}" + _short("x") + b"K\x01sb.",
        "BUILD of slots": b"\x80\x02" + _EMPTY + b"}" + b"}\x86b.",
        "APPEND to an array": b"\x80\x02" + _EMPTY + b"K\x01a.",
        "a dotted name": b"\x80\x04" + _short("numpy") + _short("ndarray.tofile") + b"\x93.",
        "EXT1": b"\x80\x02\x82\x01.",
        "PERSID": b"P1\n.",
        "a memo that holds what runs": b"\x80\x02" + system + b"\x85q\x00h\x00R.",
        "STACK_GLOBAL": b"\x80\x04" + _short("posix") + _short("system") + b"\x93" + _short("true") + b"\x85R.",
        "an object scalar": b"\x80\x02" + scalar + _OBJECTS + system + b"\x85R\x86R.",
        "an object array of bytes": array + b"K\x01\x85" + _OBJECTS + eight,
        "a huge array": array + _HUGE + b"\x85" + _DTYPE + eight,
        "a huge empty array": b"\x80\x02"
        + rebuild
        + _global("numpy", "ndarray")
        + _HUGE
        + b"\x85"
        + _short("b")
        + b"\x87R.",
        "a negative shape": array + b"J\xff\xff\xff\xff\x85" + _DTYPE + eight,
        "a record dtype": b"\x80\x02" + _global("numpy", "dtype") + _short("V8") + b"\x89\x88\x87R.",
        "a huge dtype": b"\x80\x02" + _global("numpy", "dtype") + _short("S9999999999") + b"\x89\x88\x87R.",
        "huge bytes": b"\x80\x04\x8e" + (10**13).to_bytes(8, "little") + b"x.",
        "huge writable bytes": b"\x80\x05\x96" + (10**13).to_bytes(8, "little") + b"x.",
        "huge text": b"\x80\x04\x8d" + (10**13).to_bytes(8, "little") + b"x.",
        "a huge number": b"\x80\x02\x8b" + (2**31 - 1).to_bytes(4, "little") + b"x.",
        "a huge frame": b"\x80\x04\x95" + (10**13).to_bytes(8, "little") + b"}.",
        "a huge memo": b"\x80\x02}r" + (2**32 - 1).to_bytes(4, "little") + b".",
        "a key nested deep": b"\x80\x02})" + b"\x85" * DEEP + b"K\x01s.",
        "a list nested deep": b"\x80\x02" + b"]" * DEEP + b"a" * (DEEP - 1) + b".",
        "ten billion laughs": b"\x80\x02]" + laughs + b".",
        "an endless list": b"\x80\x02]q\x00h\x00a.",
        "marks without end": b"\x80\x02" + b"(" * DEEP,
        "a protocol of the future": b"\x80\x63}.",
    }
