"""What a cell has printed in columns becomes a table of the page; what it has said in sentences stays as it is.

In a notebook columns are spaces. A page has a narrower column and other letters, so it lays them out itself.
"""

import re

from docutils import nodes

NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?[x%]?|[+-]?(nan|inf)", re.I)
MATRIX_ROW = re.compile(r"\s*\[*\[ *([^\[\]a-zA-Z]*[ ,][^\[\]a-zA-Z]*)\]+,?")


def parts(text):
    """What was printed, from top to bottom: lines of words (str), or tables (lists of rows of cells).

    >>> list(parts("two ways\\nby hand   0.5\\npackage   0.25 s\\nThey agree."))
    ['two ways', [['by hand', '0.5'], ['package', '0.25 s']], 'They agree.']
    """
    lines, words = text.rstrip("\n").split("\n"), []
    while lines:
        lines = named(lines)
        rows = run = matrix(lines)
        if not rows:
            run = columned(lines)
            rows = cells(run) if run else []
        if len(rows) < 2:
            words.append(sentence(lines.pop(0)))
            continue
        if any(words):
            yield "\n".join(words).strip("\n")
        yield rows
        lines, words = lines[len(run) :], []
    if any(words):
        yield "\n".join(words).strip("\n")


def sentence(line):
    """A line without its columns."""
    return re.sub(r"(?<=\S)  +(?=\S)", " " if "[" in line else ", ", line.rstrip())


def matrix(lines):
    """The rows of an array, if the first lines are one."""
    rows = []
    for line in lines:
        found = MATRIX_ROW.fullmatch(line)
        if not found:
            break
        rows.append(found.group(1).replace(",", " ").split())
    return rows if len({*map(len, rows)}) == 1 else []


def columned(lines):
    """The first lines as far as they share their columns."""
    run, kept = [], []
    for line in lines:
        found = gutters([*run, line])
        if not line.strip() or not found or (len(run) > 1 and not held(kept, found, line)):
            break
        if len([cell for cell in cut(line, found) if cell]) < 2 and not line.startswith(" "):
            break
        if not alike([*run, line], found):
            break
        run, kept = [*run, line], found
    return run if len(run) > 1 else []


def alike(lines, places):
    """Whether what may be a sentence, for it has no wide gap, goes on behind a colon or as the other rows do."""
    rows = [(re.search(r"\S {2,}\S", line), *cut(line, places)) for line in lines]
    known = [[*map(kind, cells)] for wide, _, *cells in rows if wide]
    return all(wide or name.endswith(":") or [*map(kind, cells)] in known for wide, name, *cells in rows)


def kind(cell):
    """How a cell begins: with a number, or with which word."""
    first = cell.partition(" ")[0]
    return "number" if NUMBER.fullmatch(first) else first


def held(before, now, line):
    """Whether gaps stay where they were: an edge of each, or two blanks where pandas leaves out a repeated index."""
    pairs = zip(before, now, strict=False)
    wide = 2 if line.startswith(" ") else len(line)
    same = all(one[0] == other[0] or one[1] == other[1] or other[1] - other[0] >= wide for one, other in pairs)
    return same and len(before) == len(now)


def named(lines):
    """The same lines, the name that pandas puts under the head in its first column."""
    if len(lines) < 2 or not re.fullmatch(r"\S+( \S+)* {2,}", lines[1]):
        return lines
    name, head = lines[1].rstrip(), lines[0]
    first = re.match(r"(\S+( \S+)*)?", head).end()  # of the head: blank, or what all columns are called
    width = max(first, len(name))
    return lines if head[first:width].strip() else [name.ljust(width) + head[width:], *lines[2:]]


def gutters(lines):
    """(start, end) of each gap that all lines leave, and over which some line has two cells, two blanks apart."""
    width = max(map(len, lines))
    padded = [line.rstrip().ljust(width) for line in lines]
    blank = "".join(" " if all(line[place] == " " for line in padded) else "x" for place in range(width)).rstrip()
    gaps = [gap for gap in re.finditer(" +", blank) if gap.start()]
    found = [gap.span() for gap in gaps if not any(inside(line, gap) for line in lines)]
    while weak := [gap for place, gap in enumerate(found) if not any(parted(line, found, place) for line in padded)]:
        found.remove(min(weak, key=lambda gap: gap[1] - gap[0]))
    return found


def inside(line, gap):
    """Whether a gap lies in brackets."""
    before = line[: gap.start()]
    return before.count("[") > before.count("]") or before.count("(") > before.count(")")


def parted(line, places, which):
    """Whether the cells on both sides of a gap are there, two blanks or more apart."""
    edges = [0, *(edge for place in places for edge in place), len(line)]
    left, right = line[edges[2 * which] : edges[2 * which + 1]], line[edges[2 * which + 2] : edges[2 * which + 3]]
    if not left.strip() or not right.strip():
        return False
    blanks = len(left) - len(left.rstrip()) + len(right) - len(right.lstrip())
    return blanks + places[which][1] - places[which][0] > 1


def cut(line, places):
    """A line in cells."""
    starts, ends = [0, *(end for _, end in places)], [*(start for start, _ in places), len(line)]
    return [" ".join(line[start:end].split()) for start, end in zip(starts, ends, strict=True)]


def cells(lines):
    return [cut(line, gutters(lines)) for line in lines]


def has_head(rows):
    """Whether the first row names the columns: it holds no number, and there are numbers below."""
    numbers = [[bool(NUMBER.fullmatch(cell)) for cell in row] for row in rows]
    return not any(numbers[0]) and any(map(any, numbers[1:])) and len(rows) > 2 and sum(map(bool, rows[0])) > 1


def as_table(rows):
    """Rows as a table of the page."""
    table, group = nodes.table(classes=["mm-printed", "colwidths-auto"]), nodes.tgroup(cols=len(rows[0]))
    group.extend(nodes.colspec(colwidth=1) for _ in rows[0])
    head = 1 if has_head(rows) else 0
    for kind, part in ((nodes.thead, rows[:head]), (nodes.tbody, rows[head:])):
        if part:
            group += kind("", *(as_row(row) for row in part))
    table += group
    return table


def as_row(row):
    entries = []
    for cell in row:
        entry = nodes.entry(classes=["mm-number"] if NUMBER.fullmatch(cell) else [])
        entry += nodes.paragraph("", cell)
        entries.append(entry)
    return nodes.row("", *entries)


def lay_out(app, doctree):
    """In every page that is read: printed columns as tables."""
    for block in [*doctree.findall(nodes.literal_block)]:
        if not {"stream", "text_plain"} & {*block["classes"]}:
            continue
        found = [*parts(block.astext())]
        if any(isinstance(part, list) for part in found) or re.search(r"\S  +\S", block.astext()):
            block.replace_self([as_table(part) if isinstance(part, list) else said(block, part) for part in found])


def said(block, words):
    """Lines of words, in the look of what they were printed in."""
    copy = block.copy()
    copy.rawsource = words
    copy += nodes.Text(words)
    return copy


def setup(app):
    app.connect("doctree-read", lay_out)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
