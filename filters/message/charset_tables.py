#!/usr/bin/python3
"""Writes charset_tables.c: charset_tables.py > charset_tables.c"""

SETS = (
    [("iso8859%d" % i, "iso8859_%d" % i) for i in range(2, 17) if i != 12]
    + [("windows125%d" % i, "cp125%d" % i) for i in range(9)]
    + [("windows874", "cp874"), ("koi8r", "koi8_r"), ("koi8u", "koi8_u"),
       ("macintosh", "mac_roman"), ("ibm437", "cp437"), ("ibm850", "cp850"),
       ("ibm852", "cp852"), ("ibm866", "cp866")])


def upper_half(codec):
    for byte in range(128, 256):
        try:
            yield ord(bytes([byte]).decode(codec))
        except UnicodeDecodeError:
            yield 0xFFFD


print("""/*
 * Upper halves of single-byte charsets: what 0x80 to 0xFF mean, 0xFFFD for
 * nothing. Made from the mapping tables of Unicode by
 * filters/message/charset_tables.py; not edited by hand.
 */
#include "filters/message/charset_tables.h"

const struct charset_table charset_tables[] = {""")
for name, codec in SETS:
    print('\t{ "%s", {' % name)
    half = list(upper_half(codec))
    for i in range(0, 128, 8):
        print("\t\t" + " ".join("0x%04x," % c for c in half[i:i + 8]))
    print("\t} },")
print("""};

const unsigned charset_tables_n =
    sizeof(charset_tables) / sizeof(charset_tables[0]);""")
