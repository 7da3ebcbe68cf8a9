#!/usr/bin/python3
"""Writes casemap_table.c: what RFC 5051 makes of each character.

Per character: its simple titlecase, then its decomposition (canonical or
compatible) as often as there is one. Characters that stay themselves and
Hangul syllables (which have no decomposition in UnicodeData.txt) are left out.

	./casemap_table.py > casemap_table.c
"""
import unicodedata


def decompose(ch):
    d = unicodedata.decomposition(ch)
    if not d:
        return ch
    parts = [p for p in d.split() if not p.startswith("<")]
    return "".join(decompose(chr(int(p, 16))) for p in parts)


def fold(ch):
    t = ch.title()
    return decompose(t if len(t) == 1 else ch)


entries, pool, known = [], bytearray(), {}
for cp in range(0x80, 0x110000):
    if 0xD800 <= cp < 0xE000 or 0xAC00 <= cp < 0xD7A4:
        continue
    out = fold(chr(cp))
    if out == chr(cp):
        continue
    b = out.encode()
    if b not in known:
        at = pool.find(b)
        if at < 0:
            at = len(pool)
            pool += b
        known[b] = at
    entries.append((cp, known[b], len(b)))

print("/* Made by casemap_table.py from Unicode %s; do not edit. */"
      % unicodedata.unidata_version)
print('#include "filters/sieve/casemap_table.h"\n')
print("const struct casemap_entry casemap_entries[] = {")
line = "\t"
for cp, at, n in entries:
    e = "{0x%x,%d,%d}," % (cp, at, n)
    if len(line) + len(e) > 78:
        print(line)
        line = "\t"
    line += e
print(line)
print("};\n\nconst unsigned casemap_count = %d;\n" % len(entries))
print("const unsigned char casemap_bytes[] = {")
line = "\t"
for b in pool:
    e = "%d," % b
    if len(line) + len(e) > 78:
        print(line)
        line = "\t"
    line += e
print(line)
print("};")
