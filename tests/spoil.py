"""Spoil sound files in ways that their format understands: what a reader meets is almost right.

Every function takes a `random.Random` and something sound, and returns something spoilt: one seed, one file.
"""

import io
import json
import math
import pickle
import pickletools
import struct
import zipfile

import numpy as np

EDGES = [0, 1, 2, 7, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1]
WORDS = ["", "\x1b[31mred\x1b[0m", "a\nb", "\x00", "\u202eright to left", "\ud800", "x" * 3000, "../../etc", "NaN", "~",
         "\x9b5n", "\r", "labels", "__class__", "1e999", "-0", "9" * 5000]  # fmt: skip
NUMBERS = [0, -1, 1, 3, -(2**63), 2**64, 10**400, 1e300, -1e300, math.inf, -math.inf, math.nan, 0.5, True, 1e-320]


# ---- bytes -----------------------------------------------------------------------------------------------


def spoil_bytes(draw, content):
    """One to four small accidents, anywhere."""
    content = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        if not content:
            return bytes(content)
        at = draw.randrange(len(content))
        match draw.randrange(8):
            case 0:
                content[at] ^= 1 << draw.randrange(8)
            case 1:
                content[at] = draw.choice([0, 255, 127, 128, 10, 34, 40, 93])
            case 2:
                del content[at:]
            case 3:
                del content[at : at + draw.choice([1, 2, 4, 8, 100])]
            case 4:
                content[at:at] = content[at : at + draw.choice([1, 4, 8, 64, 1000])] * draw.choice([1, 2, 50])
            case 5:
                size = draw.choice([2, 4, 8])
                content[at : at + size] = (draw.choice(EDGES) % 256**size).to_bytes(
                    size, draw.choice(["little", "big"])
                )
            case 6:
                other = draw.randrange(len(content))
                content[at : at + 16] = content[other : other + 16]
            case 7:
                content[at : at + 8] = draw.randbytes(8)
    return bytes(content)


# ---- values ----------------------------------------------------------------------------------------------


def odd_value(draw, value, plain=False):
    """Something in place of a value; plain: of JSON's kinds alone."""
    if isinstance(value, np.ndarray) and draw.random() < 0.8 and not plain:
        return odd_array(draw, value)
    choices = [
        lambda: draw.choice(WORDS),
        lambda: draw.choice(NUMBERS),
        lambda: None,
        lambda: [],
        lambda: {},
        lambda: [value] * draw.choice([1, 2, 3, 1000]),
        lambda: {draw.choice(WORDS): value},
        lambda: deep(draw.choice([3, 50, 2000]), draw.random() < 0.5),
    ]
    if not plain:
        choices += [lambda: draw.choice(WORDS).encode(errors="replace"), lambda: (value,), lambda: np.float64(math.nan),
                    lambda: np.zeros(draw.choice([(), (0,), (3,), (2, 3), (1, 2, 3), (2, 0, 2)]))]  # fmt: skip
    return draw.choice(choices)()


def deep(levels, mapping):
    """Lists in lists, or mappings in mappings."""
    value = 1
    for _ in range(levels):
        value = {"a": value} if mapping else [value]
    return value


def odd_array(draw, values):
    """An array that is not quite the one it was."""
    with np.errstate(all="ignore"):
        match draw.randrange(12):
            case 0:
                return values.astype(draw.choice(["f2", "f4", "f8", ">f8", "i1", "u8", "?", "c8"]), copy=True) \
                    if values.dtype.kind in "fiu" else values  # fmt: skip
            case 1:
                return values[: draw.randrange(len(values) + 1)] if values.ndim else values
            case 2:
                return values[..., : draw.randrange(3)] if values.ndim else values
            case 3:
                return values[None]
            case 4:
                return values.reshape(-1)
            case 5 | 6 if values.dtype.kind == "f" and values.size:
                changed = values.copy()
                changed.flat[draw.randrange(values.size)] = draw.choice(NUMBERS[7:12])
                return changed
            case 7 if values.dtype.kind in "iu" and values.size:
                changed = values.astype("i8")
                changed.flat[draw.randrange(values.size)] = draw.choice([-1, 2**40, -(2**63)])
                return changed
            case 8:
                return values.astype(object)
            case 9:
                return values.astype("U8")
            case 10:
                return np.repeat(values, draw.choice([0, 2, 50]), axis=0) if values.ndim else values
            case _:
                return np.asfortranarray(values)


def spoil_value(draw, value, plain=False, chance=0.25):
    """One node somewhere in nested containers is changed, dropped, doubled or renamed."""
    if isinstance(value, dict) and value and draw.random() > chance:
        key = draw.choice(list(value))
        changed = dict(value)
        match draw.randrange(8):
            case 0:
                changed.pop(key)
            case 1:
                changed[draw.choice(WORDS)] = changed.pop(key)
            case 2:
                changed[draw.choice(WORDS)] = value[key]
            case _:
                changed[key] = spoil_value(draw, value[key], plain, chance)
        return changed
    if isinstance(value, list | tuple) and value and draw.random() > chance:
        at = draw.randrange(len(value))
        changed = list(value)
        match draw.randrange(8):
            case 0:
                changed.pop(at)
            case 1:
                changed += [value[at]] * draw.choice([1, 2, 500])
            case _:
                changed[at] = spoil_value(draw, value[at], plain, chance)
        return tuple(changed) if isinstance(value, tuple) else changed
    return odd_value(draw, value, plain)


# ---- pickles ---------------------------------------------------------------------------------------------

PIECES = [b"]", b"}", b")", b"(", b"0", b"1", b"2", b"N", b"\x88", b"e", b"a", b"u", b"s", b"t", b"\x85", b"\x86", b"R",
          b"b", b"\x94", b"q\x00", b"h\x00", b"h\x01", b"h\x02", b"J\xff\xff\xff\xff", b"\x8a\x08" + b"\x7f" * 8, b".",
          b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"c_codecs\nencode\n", b"cos\nsystem\n", b"Q", b"\x81", b"\x93",
          b"I" + b"9" * 5000 + b"\n", b"X\x04\x00\x00\x00\x1b[1m", b"cnumpy.core.multiarray\nscalar\n"]  # fmt: skip


def spoil_pickle(draw, content):
    """Instructions are dropped, doubled, swapped, repeated thousands of times, or given other arguments."""
    try:
        starts = [place for _, _, place in pickletools.genops(content)]
    except Exception:
        return spoil_bytes(draw, content)
    pieces = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]
    for _ in range(draw.choice([1, 1, 2, 3])):
        at = draw.randrange(len(pieces))
        match draw.randrange(9):
            case 0:
                del pieces[at]
            case 1:
                pieces.insert(at, pieces[draw.randrange(len(pieces))])
            case 2:
                other = draw.randrange(len(pieces))
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case 3 | 4:
                pieces.insert(at, draw.choice(PIECES))
            case 5:
                pieces[at] = draw.choice(PIECES)
            case 6:
                end = at + draw.choice([1, 2, 5, 20])
                some = pieces[at:end]
                pieces[at:end] = some * max(1, min(draw.choice([2, 100, 3000]), 2**20 // (sum(map(len, some)) + 1)))
            case 7:
                pieces[at] = pieces[at][:1] + spoil_bytes(draw, pieces[at][1:])
            case 8:
                piece = draw.choice(PIECES)
                pieces.insert(at, piece * min(draw.choice([10, 10_000, 300_000]), 2**20 // len(piece)))
        if not pieces:
            break
    return b"".join(pieces)[: 2**22]


def pickled(draw, value):
    """A spoilt object, soundly pickled, or the other way round, or both."""
    way = draw.randrange(4)
    value = spoil_value(draw, value) if way else value
    try:
        content = pickle.dumps(value, protocol=draw.randrange(6))
    except (RecursionError, ValueError, OverflowError):  # too deep, or too many digits, for those who write as well
        content = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    return (
        content if way in (1, 2) else spoil_pickle(draw, content) if draw.random() < 0.7 else spoil_bytes(draw, content)
    )


# ---- archives --------------------------------------------------------------------------------------------


def spoil_zip(draw, content, inside):
    """One member is changed by `inside(draw, name, bytes)`, or dropped, renamed, doubled; or the archive itself."""
    if draw.random() < 0.25:
        return spoil_bytes(draw, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at = draw.randrange(len(members))
    name, held = members[at]
    match draw.randrange(6):
        case 0:
            del members[at]
        case 1:
            members[at] = draw.choice(WORDS).replace("\ud800", "?") + ".npy", held
        case 2:
            members.append((name, held))
        case _:
            members[at] = name, inside(draw, name, held)
    packed = io.BytesIO()
    with zipfile.ZipFile(
        packed, "w", draw.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]), compresslevel=1
    ) as archive:
        for name, held in members:
            archive.writestr(zipfile.ZipInfo(name or "empty"), held)
    return packed.getvalue()


HEADERS = ["<f8", "|V0", "|O", "<U0", "<U1000000", ">i2", "<c16", "|S0", "<M8[D]", "|b1", "f8,f8", "\x1b[1m"]
SHAPES = ["()", "(0,)", "(10**12,)", "(-1,)", "(20, 6, 3)", "(2**62, 4)", "(1,) * 40", "(20,)", "((20,),)", "(20.0,)"]


def spoil_npy(draw, _, content):
    """Another header before the same numbers, or other numbers."""
    if draw.random() < 0.4:
        return spoil_bytes(draw, content)
    if draw.random() < 0.4:
        try:
            packed = io.BytesIO()
            np.save(packed, odd_array(draw, np.load(io.BytesIO(content))), allow_pickle=True)
            return packed.getvalue()
        except Exception:
            return spoil_bytes(draw, content)
    told = "{'descr': %r, 'fortran_order': %s, 'shape': %s, }" % (  # noqa: UP031
        draw.choice(HEADERS), draw.choice(["False", "True", "1"]), draw.choice(SHAPES))  # fmt: skip
    if draw.random() < 0.1:
        told = "(" * draw.choice([50, 5000]) + told
    head = told.encode("latin1", "replace").ljust(100) + b"\n"
    body = content[10 + int.from_bytes(content[8:10], "little") :]
    if draw.random() < 0.2:
        body = bytes(draw.choice([10**6, 3 * 10**7]))  # which pack well
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + body


def spoil_torch(draw, name, content):
    """The pickle inside what torch wrote, or the numbers beside it."""
    return spoil_pickle(draw, content) if name.endswith(".pkl") else spoil_bytes(draw, content)


def spoil_safetensors(draw, content):
    """The header, as JSON or as bytes, and its length; or the numbers."""
    size = int.from_bytes(content[:8], "little")
    if draw.random() < 0.3:
        return spoil_bytes(draw, content)
    told, body = json.loads(content[8 : 8 + size]), content[8 + size :]
    if "__metadata__" in told and draw.random() < 0.6:
        inside = {key: json.loads(text) for key, text in told["__metadata__"].items()}
        told["__metadata__"] = {key: dumps(draw, spoil_value(draw, value, plain=True)) for key, value in inside.items()}
    else:
        told = spoil_value(draw, told, plain=True)
    head = dumps(draw, told).encode(errors="surrogatepass")
    return (draw.choice([len(head)] * 5 + EDGES) % 2**64).to_bytes(8, "little") + head + body


def dumps(draw, value):
    """JSON, lone surrogates and numbers that are none included."""
    try:
        return json.dumps(value, ensure_ascii=draw.random() < 0.5)
    except (RecursionError, ValueError):  # too deep, or too many digits, for those who write as well
        return draw.choice(["[" * 100_000, "9" * 5000, '{"a":' * 100_000])


# ---- text ------------------------------------------------------------------------------------------------

KEYS = "system seed survival model.width train.lr data.samples pair threads setting labelled window".split()
YAML = """
&a [*a];!!binary x;!!timestamp x;!!int x;!!float x;!!null x;!!set {a};!!omap [a];<<: {system: single};*nowhere
1e-3;.nan;.inf;-.inf;2001-01-01;~;1:30:20;0b11;yes;-1;!!bool x;%YAML 9.9;...;[1, 2, 3];[0.1, 0.5];[single, copy]
{};[];true;!!python/object/apply:os.system [true];!<tag:yaml.org,2002:str> 3;&a [1,1,1,1,1,1];[*a,*a,*a,*a,*a]
""".strip()
YAML = [piece for line in YAML.splitlines() for piece in line.split(";")]
YAML += [
    "? [1]\n: 2",
    "9" * 9000,
    "0x" + "f" * 9000,
    "[" * 2000,
    "{a: " * 500,
    "|\n  x",
    "'\x1b[1m'",
    "\x1b",
    "1" * 400,
]
YAML += ["[" + ",".join("0123456789" * 100) + "]", "---\n---", "\ufeff", "\t"]


def spoil_yaml(draw, text):
    """Lines and values are swapped for others; laughs, tags, depths and digits are put in."""
    lines = text.split("\n")
    for _ in range(draw.choice([1, 1, 2, 3])):
        at = draw.randrange(len(lines))
        match draw.randrange(6):
            case 0:
                lines[at] = lines[at].partition(":")[0] + ": " + draw.choice(YAML)
            case 1:
                lines.insert(at, draw.choice(YAML))
            case 2:
                lines.insert(at, lines[draw.randrange(len(lines))])
            case 3:
                lines[at] = f"{draw.choice(KEYS)}: {draw.choice(YAML)}"
            case 4:
                lines = laughs(draw) + lines
            case 5:
                return spoil_bytes(draw, "\n".join(lines).encode()).decode(errors="replace")
    return "\n".join(lines)


def laughs(draw):
    """Aliases of aliases, or mappings merged into mappings."""
    levels, wide = draw.choice([3, 9, 30]), draw.choice([2, 10])
    if draw.random() < 0.5:
        rows = ["a0: &a0 [" + ",".join(["1"] * wide) + "]"]
        return rows + [f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * wide) + "]" for n in range(1, levels)]
    return ["b0: &b0 {x: 1}"] + [f"b{n}: &b{n}\n  <<: [{','.join([f'*b{n - 1}'] * wide)}]" for n in range(1, levels)]
