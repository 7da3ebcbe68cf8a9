"""Messages with attachments: hostile ones, and a hundred kinds of harmless ones,
all made here."""
import base64
import bz2
import gzip
import io
import lzma
import os
import shutil
import struct
import subprocess
import tarfile
import wave
import zipfile
import zlib
from email import policy
from email.message import EmailMessage

from . import until

# --- messages ---------------------------------------------------------------


def wrap(*parts, subject="attached", body="See the attachment."):
    """A multipart/mixed message of ready-made parts (bytes with their own
    header)."""
    out = [b"From: a@b.test\nTo: fred@d1.test\nSubject: " + subject.encode() +
           b"\nMessage-ID: <m1@b.test>\nMIME-Version: 1.0\n"
           b'Content-Type: multipart/mixed; boundary="=-outer"\n\n'
           b"--=-outer\nContent-Type: text/plain\n\n" + body.encode() + b"\n"]
    for p in parts:
        out.append(b"--=-outer\n" + p + (b"" if p.endswith(b"\n") else b"\n"))
    return b"".join(out) + b"--=-outer--\n"


def part(name, kind, data, encoding="base64"):
    head = f"Content-Type: {kind}"
    if name:
        head += f'; name="{name}"\nContent-Disposition: attachment;\n' \
                f' filename="{name}"'
    if encoding == "base64":
        data = base64.encodebytes(data)
    return (head + f"\nContent-Transfer-Encoding: {encoding}\n\n").encode() + data


def attach(name, kind, data, **kw):
    return wrap(part(name, kind, data), **kw)


# --- what is in them -----------------------------------------------------------

def exe():
    """A DOS and PE header: a program to everybody who looks."""
    b = bytearray(1024)
    b[0:3] = b"MZ\x90"
    b[0x18] = 0x40
    b[0x3c] = 0x80
    b[0x80:0x86] = b"PE\0\0\x4c\x01"
    b[0x94] = 0xe0
    b[0x96] = 2
    b[0x98:0x9a] = b"\x0b\x01"
    b[0xdc] = 2
    return bytes(b)


def elf():
    with open("/bin/true", "rb") as f:
        return f.read()


def zipped(*members, how=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as z:
        for name, data in members:
            z.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data,
                       compress_type=how)
    return out.getvalue()


def zip_crypto(data, password, crc):
    """PKWARE's traditional encryption, as every zip program can."""
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0xedb88320 if i & 1 else 0)
        table.append(i)
    keys = [0x12345678, 0x23456789, 0x34567890]

    def update(c):
        keys[0] = keys[0] >> 8 ^ table[(keys[0] ^ c) & 255]
        keys[1] = ((keys[1] + (keys[0] & 255)) * 134775813 + 1) & 0xffffffff
        keys[2] = keys[2] >> 8 ^ table[(keys[2] ^ keys[1] >> 24) & 255]

    for c in password:
        update(c)
    out = bytearray()
    for c in bytes(11) + bytes([crc >> 24]) + data:
        k = keys[2] | 2
        out.append(c ^ (k * (k ^ 1) >> 8 & 255))
        update(c)
    return bytes(out)


def encrypted_zip(name, data, password=b"secret"):
    crc = zlib.crc32(data)
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = zip_crypto(c.compress(data) + c.flush(), password, crc)
    name = name.encode()
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 1, 8, 0, 0x5c21, crc,
                        len(packed), len(data), len(name), 0) + name + packed
    central = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 1, 8, 0,
                          0x5c21, crc, len(packed), len(data), len(name), 0, 0,
                          0, 0, 0, 0) + name
    return local + central + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1,
                                         len(central), len(local), 0)


def bomb(levels):
    """As 42.zip: archives of archives, of zeros in the end; 16^n * 64 MB."""
    data = zipped(("0.dll", bytes(64 << 20)))
    for _ in range(levels):
        data = zipped(*((f"lib {i:x}.zip", data) for i in range(16)))
    return data


def flat_bomb():
    return zipped(("zeros.txt", bytes(128 << 20)))


def truncated():
    whole = zipped(*((f"{i}.bin", os.urandom(2000)) for i in range(5)))
    return whole[:len(whole) // 2]


def picture_and_zip():
    """A picture to a viewer, an archive with a program to an unpacker."""
    gif = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
    z = zipped(("setup.exe", exe()))
    return gif + z


def pdf_and_zip():
    return pdf() + zipped(("x.js", b"var x = 1;\n"))


SCRIPT = b"#!/bin/sh\necho pwned >/tmp/x\n" * 3


def hostile():
    """(name, message, verdict): what the policy of contrib/vbox.conf says."""
    inner = (b"From: x@y.test\nSubject: fwd\nMIME-Version: 1.0\n"
             b'Content-Type: multipart/mixed; boundary="in"\n\n--in\n' +
             part("docs.zip", "application/zip",
                  zipped(("docs/", b""), ("docs/readme", SCRIPT))) +
             b"--in--\n")
    return [
        ("program as invoice.pdf",
         attach("invoice.pdf", "application/pdf", exe()), "reject"),
        ("ELF without a name",
         wrap(part("", "application/octet-stream", elf())), "reject"),
        ("script in a zip in a message",
         wrap(b"Content-Type: message/rfc822\n\n" + inner), "reject"),
        ("program in a zip in a zip",
         attach("a.zip", "application/zip", zipped(("b.zip", zipped(
             ("c.bin", exe()))))), "reject"),
        ("program in a gzip",
         attach("a.gz", "application/gzip", gzip.compress(exe())), "reject"),
        ("double extension",
         attach("photo.jpg.js", "image/jpeg", b"alert(1)\n"), "reject"),
        ("extension with trailing dots",
         attach("photo.scr . .", "image/jpeg", b"MZ?\n"), "reject"),
        ("batch file called notes",
         attach("notes", "text/plain", b"@echo off\r\ndel *.*\r\n"), "reject"),
        ("script called notes.txt",
         attach("notes.txt", "text/plain", b"#!/usr/bin/perl\nprint 1;\n"),
         "reject"),
        ("page called picture.jpg",
         attach("picture.jpg", "image/jpeg", HTML), "tag"),
        ("RFC 2231 name",
         wrap(b"Content-Type: application/octet-stream\n"
              b"Content-Disposition: attachment;\n"
              b" filename*0*=UTF-8''inv%6Fice.e; filename*1=xe\n\n"
              b"hello\n"), "reject"),
        ("encrypted zip",
         attach("secret.zip", "application/zip",
                encrypted_zip("s.doc", b"hello" * 100)), "quarantine"),
        ("zip bomb", attach("42.zip", "application/zip", bomb(3)),
         "quarantine"),  # deeper than is looked
        ("zip bomb of two levels", attach("42.zip", "application/zip", bomb(1)),
         "reject"),
        ("flat bomb", attach("flat.zip", "application/zip", flat_bomb()),
         "reject"),
        ("gzip bomb", attach("x.gz", "application/gzip",
                             gzip.compress(bytes(64 << 20))), "reject"),
        ("truncated archive",
         attach("half.zip", "application/zip", truncated()), "quarantine"),
        ("picture and archive in one",
         attach("cat.gif", "image/gif", picture_and_zip()), "reject"),
        ("PDF and archive in one",
         attach("paper.pdf", "application/pdf", pdf_and_zip()), "reject"),
        ("a text called picture.png",
         attach("picture.png", "image/png", b"just text\n" * 20), "tag"),
        ("an encoding that nobody knows",
         wrap(part("x.dat", "application/octet-stream", b"#$%&'()", "x-own")),
         "quarantine"),
        ("3000 parts",
         wrap(*[part(f"{i}.txt", "text/plain", b"x\n") for i in range(3000)]),
         "quarantine"),
        ("four levels of archives",
         attach("deep.zip", "application/zip", deep(5)), "quarantine"),
    ]


def deep(n):
    data = zipped(("end.txt", b"the end\n"))
    for i in range(n):
        data = zipped((f"{i}.zip", data), how=zipfile.ZIP_STORED)
    return data


# --- a hundred harmless kinds ----------------------------------------------------

def pdf(version="1.4", text="Hello"):
    body = f"""%PDF-{version}
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >> endobj
% {text}
trailer << /Root 1 0 R /Size 4 >>
%%EOF
"""
    return body.encode()


def png(w=8, h=8):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + \
            struct.pack(">I", zlib.crc32(kind + data))
    raw = b"".join(b"\0" + bytes(3 * w) for _ in range(h))
    return b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)) + chunk(
        b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


JPEG = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300" + "08" * 64 +
    "ffc0000b080001000101011100ffc4001400010000000000000000000000000000"
    "0009ffda0008010100003f0054ffd9")
EXIF = JPEG[:2] + bytes.fromhex("ffe10022457869660000") + \
    b"II*\0\x08\0\0\0\0\0\0\0" + bytes(14) + JPEG[2:]
GIF = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"


def bmp():
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 58, 0, 0, 54, 40, 1, 1, 1, 24,
                               0, 4, 2835, 2835, 0, 0) + b"\xff\0\0\0"


def tiff():
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHIIHHII", 2, 256, 3, 1, 1, 257,
                                            3, 1, 1) + bytes(20)


def webp():
    vp8 = b"VP8 " + struct.pack("<I", 30) + b"0\1\0\x9d\1*\1\0\1\0" + bytes(20)
    return b"RIFF" + struct.pack("<I", 4 + len(vp8)) + b"WEBP" + vp8


def mp4(brand=b"isom"):
    return struct.pack(">I", 24) + b"ftyp" + brand + b"\0\0\2\0" + brand + \
        b"mp41" + struct.pack(">I", 8) + b"moov" + bytes(200)


def wav():
    out = io.BytesIO()
    with wave.open(out, "wb") as w:
        w.setparams((1, 2, 8000, 100, "NONE", ""))
        w.writeframes(bytes(200))
    return out.getvalue()


CONTENT_TYPES = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' \
    b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/' \
    b'content-types"><Default Extension="xml" ContentType="application/xml"/>' \
    b'</Types>'


def ooxml(folder, main, *more):
    xml = b'<?xml version="1.0" encoding="UTF-8"?>\n<x>' + b"text " * 50 + \
        b"</x>"
    return zipped(("[Content_Types].xml", CONTENT_TYPES), ("_rels/.rels", xml),
                  (f"{folder}/{main}.xml", xml),
                  ("docProps/core.xml", xml), ("docProps/app.xml", xml), *more)


def odf(kind):
    xml = b'<?xml version="1.0" encoding="UTF-8"?>\n<office:document/>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(zipfile.ZipInfo("mimetype"),
                   f"application/vnd.oasis.opendocument.{kind}")
        for name in ("content.xml", "styles.xml", "META-INF/manifest.xml"):
            z.writestr(zipfile.ZipInfo(name), xml, zipfile.ZIP_DEFLATED)
        z.writestr("Thumbnails/thumbnail.png", png())
    return out.getvalue()


def ole(name):
    """A compound file with one stream of a well-known name."""
    head = bytearray(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    head[24:34] = struct.pack("<HHHHH", 0x3e, 3, 0xfffe, 9, 6)
    head[44:64] = struct.pack("<IIIII", 1, 1, 0, 4096, 0xfffffffe)
    head[64:76] = struct.pack("<III", 0, 0xfffffffe, 0)
    head[76:80] = struct.pack("<I", 0)
    head[80:512] = b"\xff" * 432
    fat = struct.pack("<III", 0xfffffffd, 0xfffffffe, 0xfffffffe) + b"\xff" * 500

    def entry(title, kind, child):
        t = title.encode("utf-16-le") + b"\0\0"
        return t.ljust(64, b"\0") + struct.pack("<HBBIII", len(t), kind, 1,
                                                0xffffffff, 0xffffffff, child) \
            + bytes(36) + struct.pack("<IQ", 0xfffffffe, 0)
    directory = entry("Root Entry", 5, 1) + entry(name, 2, 0xffffffff)
    return bytes(head) + fat[:512] + directory.ljust(512, b"\0") + bytes(4096)


def epub():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(zipfile.ZipInfo("mimetype"), "application/epub+zip")
        z.writestr(zipfile.ZipInfo("OEBPS/a.xhtml"), b"<html/>")
    return out.getvalue()


def tar(mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as t:
        info = tarfile.TarInfo("notes.txt")
        info.size = 6
        t.addfile(info, io.BytesIO(b"hello\n"))
    return out.getvalue()


ICS = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\nMETHOD:REQUEST\r\n" \
    b"BEGIN:VEVENT\r\nUID:1@x\r\nDTSTAMP:20260101T000000Z\r\n" \
    b"DTSTART:20260102T100000Z\r\nSUMMARY:Meeting\r\nEND:VEVENT\r\n" \
    b"END:VCALENDAR\r\n"
VCARD = b"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Jane Doe\r\nEMAIL:jane@d.test\r\n" \
    b"END:VCARD\r\n"
HTML = b"<!DOCTYPE html>\n<html><head><title>x</title></head><body>" \
    b"<p>Hello</p></body></html>\n"
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" ' \
    b'width="9" height="9"><circle r="4"/></svg>\n'
RTF = rb"{\rtf1\ansi{\fonttbl\f0 Arial;}\f0 Hello\par}"
CSV = b"name,amount\n" + b"".join(b"row %d,%d\n" % (i, i) for i in range(50))
XML = b'<?xml version="1.0" encoding="UTF-8"?>\n<invoice><id>7</id></invoice>\n'
TEXT = b"Dear Fred,\n\nplease find the figures below.\n\nYours, Jane\n" * 4
PGP_PUBLIC = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n" + base64.encodebytes(
    bytes(range(200))) + b"=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
PEM = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(bytes(300)) + \
    b"-----END CERTIFICATE-----\n"


def files():
    """(name, declared type, bytes)."""
    word = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    show = "application/vnd.openxmlformats-officedocument.presentationml"
    octets = "application/octet-stream"
    return [
        ("report.pdf", "application/pdf", pdf()),
        ("report17.pdf", "application/pdf", pdf("1.7")),
        ("report20.pdf", "application/pdf", pdf("2.0")),
        ("REPORT.PDF", octets, pdf(text="x" * 5000)),
        ("letter.docx", word + ".document", ooxml("word", "document")),
        ("letter.dotx", word + ".template", ooxml("word", "document")),
        ("with-picture.docx", word + ".document",
         ooxml("word", "document", ("word/media/image1.png", png()),
               ("word/media/image2.jpeg", JPEG))),
        ("figures.xlsx", sheet + ".sheet", ooxml("xl", "workbook")),
        ("slides.pptx", show + ".presentation", ooxml("ppt", "presentation")),
        ("drawing.vsdx", "application/vnd.ms-visio.drawing",
         ooxml("visio", "document")),
        ("text.odt", "application/vnd.oasis.opendocument.text", odf("text")),
        ("calc.ods", "application/vnd.oasis.opendocument.spreadsheet",
         odf("spreadsheet")),
        ("impress.odp", "application/vnd.oasis.opendocument.presentation",
         odf("presentation")),
        ("draw.odg", "application/vnd.oasis.opendocument.graphics",
         odf("graphics")),
        ("old.doc", "application/msword", ole("WordDocument")),
        ("old.xls", "application/vnd.ms-excel", ole("Workbook")),
        ("old.ppt", "application/vnd.ms-powerpoint",
         ole("PowerPoint Document")),
        ("rtf.doc", "application/msword", RTF),
        ("mail.msg", "application/vnd.ms-outlook", ole("__nameid_version1.0")),
        ("letter.rtf", "application/rtf", RTF),
        ("book.epub", "application/epub+zip", epub()),
        ("photo.jpg", "image/jpeg", JPEG),
        ("photo.JPEG", "image/jpeg", EXIF),
        ("scan.png", "image/png", png()),
        ("big.png", "image/png", png(300, 300)),
        ("anim.gif", "image/gif", GIF),
        ("old87.gif", "image/gif", GIF.replace(b"89a", b"87a")),
        ("paint.bmp", "image/bmp", bmp()),
        ("fax.tif", "image/tiff", tiff()),
        ("fax.tiff", "image/tiff", tiff()),
        ("web.webp", "image/webp", webp()),
        ("logo.svg", "image/svg+xml", SVG),
        ("plain.svg", "image/svg+xml", SVG.split(b"\n", 1)[1]),
        ("icon.ico", "image/x-icon",
         struct.pack("<HHHBBBBHHII", 0, 1, 1, 1, 1, 0, 0, 1, 32, 40, 22) +
         bytes(40)),
        ("phone.heic", "image/heic", mp4(b"heic")),
        ("phone.avif", "image/avif", mp4(b"avif")),
        ("image.psd", "image/vnd.adobe.photoshop",
         b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 1, 1, 8, 3) +
         bytes(40)),
        ("page.eps", "application/postscript",
         b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"),
        ("paper.ps", "application/postscript", b"%!PS-Adobe-3.0\nshowpage\n"),
        ("song.mp3", "audio/mpeg",
         b"ID3\3\0\0\0\0\0\x0a" + bytes(10) + b"\xff\xfb\x90\0" + bytes(800)),
        ("raw.mp3", "audio/mpeg", (b"\xff\xfb\x90\0" + bytes(413)) * 3),
        ("voice.wav", "audio/x-wav", wav()),
        ("voice.ogg", "audio/ogg", b"OggS\0\2" + bytes(20) +
         b"\1\x1e\1vorbis" + bytes(22)),
        ("voice.opus", "audio/ogg", b"OggS\0\2" + bytes(20) +
         b"\1\x13OpusHead\1" + bytes(10)),
        ("lossless.flac", "audio/flac", b"fLaC\0\0\0\x22" + bytes(40)),
        ("phone.m4a", "audio/mp4", mp4(b"M4A ")),
        ("phone.amr", "audio/amr", b"#!AMR\n" + bytes(64)),
        ("tune.mid", "audio/midi", b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\4"
         b"\0\xff/\0"),
        ("clip.mp4", "video/mp4", mp4(b"mp42")),
        ("clip.mov", "video/quicktime", mp4(b"qt  ")),
        ("clip.3gp", "video/3gpp", mp4(b"3gp4")),
        ("clip.avi", "video/x-msvideo", b"RIFF\0\1\0\0AVI LIST" + bytes(240)),
        ("clip.mkv", "video/x-matroska",
         bytes.fromhex("1a45dfa3a34286810142f7810142f2810442f381084282886d6174"
                       "726f736b61428781044285810218538067") + bytes(80)),
        ("clip.webm", "video/webm",
         bytes.fromhex("1a45dfa39f4286810142f7810142f2810442f381084282847765"
                       "626d42878102428581021853806701") + bytes(80)),
        ("clip.mpg", "video/mpeg", b"\0\0\1\xba\x44\0\4\0\4\1\0\0\3\xf8" +
         bytes(100)),
        ("invite.ics", "text/calendar; method=REQUEST", ICS),
        ("jane.vcf", "text/vcard", VCARD),
        ("table.csv", "text/csv", CSV),
        ("semicolons.csv", "text/csv", CSV.replace(b",", b";")),
        ("excel.csv", "application/vnd.ms-excel", CSV),
        ("latin.csv", "text/csv; charset=iso-8859-1",
         "Größe;Straße\n1;2\n".encode("latin-1")),
        ("tabs.tsv", "text/tab-separated-values", CSV.replace(b",", b"\t")),
        ("notes.txt", "text/plain", TEXT),
        ("utf8.txt", "text/plain; charset=utf-8", "grüße aus köln\n".encode()),
        ("utf16.txt", "text/plain; charset=utf-16",
         "hello\r\n".encode("utf-16")),
        ("latin1.txt", "text/plain", "gr\xfc\xdfe\n".encode("latin-1")),
        ("empty.txt", "text/plain", b""),
        ("server.log", "text/plain",
         b"Jan  1 00:00:00 host daemon[1]: started\n" * 30),
        ("readme.md", "text/markdown", b"# Title\n\n- one\n- two\n"),
        ("page.html", "text/html", HTML),
        ("page.htm", "text/html", HTML.lower()),
        ("secure.html", "text/html", HTML.replace(b"<p>", b"<script>\n"
         b"(function () { var x = 1; window.y = function (z) { return x; };\n"
         b"})();</script><p>")),
        ("invoice.xml", "application/xml", XML),
        ("xrechnung.xml", "text/xml", XML.replace(b"<invoice>",
         b'<rsm:CrossIndustryInvoice xmlns:rsm="urn:un:unece">')),
        ("data.json", "application/json", b'{"a": [1, 2, 3], "b": "text"}\n'),
        ("conf.yaml", "application/yaml", b"a: 1\nb:\n  - x\n  - y\n"),
        ("fix.patch", "text/x-patch",
         b"--- a/x.txt\n+++ b/x.txt\n@@ -1 +1 @@\n-old\n+new\n"),
        ("fix.diff", "text/x-diff",
         b"diff --git a/x.c b/x.c\nindex 1..2 100644\n--- a/x.c\n+++ b/x.c\n"
         b"@@ -1 +1 @@\n-int a;\n+int b;\n"),
        ("main.c", "text/x-csrc", b"#include <stdio.h>\nint main(void)\n{\n"
         b"\treturn 0;\n}\n"),
        ("style.css", "text/css", b"body { color: #333; }\n"),
        ("paper.tex", "application/x-tex",
         b"\\documentclass{article}\n\\begin{document}\nHi\n\\end{document}\n"),
        ("refs.bib", "text/x-bibtex", b"@article{a, title={T}, year=2026}\n"),
        ("schema.sql", "application/sql",
         b"CREATE TABLE a (id INTEGER);\nINSERT INTO a VALUES (1);\n"),
        ("subs.srt", "application/x-subrip",
         b"1\n00:00:01,000 --> 00:00:02,000\nHello\n"),
        ("track.gpx", "application/gpx+xml",
         b'<?xml version="1.0"?>\n<gpx version="1.1"><trk/></gpx>\n'),
        ("place.kml", "application/vnd.google-earth.kml+xml",
         b'<?xml version="1.0"?>\n<kml xmlns="http://www.opengis.net/kml/2.2"/>'
         b"\n"),
        ("docs.zip", "application/zip",
         zipped(("docs/a.txt", TEXT), ("docs/b.pdf", pdf()),
                ("docs/c.png", png()))),
        ("win.zip", "application/x-zip-compressed", zipped(("b.docx",
         ooxml("word", "document")))),
        ("stored.zip", "application/zip",
         zipped(("a.txt", TEXT), how=zipfile.ZIP_STORED)),
        ("empty.zip", "application/zip", zipped()),
        ("notes.txt.gz", "application/gzip", gzip.compress(TEXT)),
        ("src.tar", "application/x-tar", tar()),
        ("src.tar.gz", "application/gzip", tar("w:gz")),
        ("src.tgz", "application/x-gtar", tar("w:gz")),
        ("src.tar.bz2", "application/x-bzip2", tar("w:bz2")),
        ("notes.bz2", "application/x-bzip2", bz2.compress(TEXT)),
        ("notes.xz", "application/x-xz", lzma.compress(TEXT)),
        ("old.7z", "application/x-7z-compressed",
         b"7z\xbc\xaf\x27\x1c\0\4" + bytes(24)),
        ("old.rar", "application/vnd.rar", b"Rar!\x1a\7\0" + bytes(40)),
        ("face.ttf", "font/ttf", b"\0\1\0\0\0\4\0\x40\0\2\0\0" + bytes(60)),
        ("face.woff2", "font/woff2", b"wOF2\0\1\0\0" + bytes(60)),
        ("db.sqlite", "application/vnd.sqlite3",
         b"SQLite format 3\0\x10\0\1\1\0\x40\x20\x20" + bytes(80)),
        ("winmail.dat", "application/ms-tnef", b"\x78\x9f\x3e\x22\1\0" +
         bytes(60)),
        ("key.asc", "application/pgp-keys", PGP_PUBLIC),
        ("cert.pem", "application/x-pem-file", PEM),
        ("unknown.xyz", octets, bytes(range(256)) * 8),
        ("no-extension", octets, b"\x00\x01\x02 data " * 40),
    ]


def messages(scratch):
    """Whole messages: (name, bytes)."""
    alternative = EmailMessage(policy=policy.default)
    alternative["From"], alternative["Subject"] = "a@b.test", "both"
    alternative.set_content("plain\n")
    alternative.add_alternative(HTML.decode(), subtype="html")
    related = EmailMessage(policy=policy.default)
    related["From"], related["Subject"] = "a@b.test", "picture inside"
    related.set_content("plain\n")
    related.add_alternative(HTML.decode(), subtype="html")
    related.get_payload()[1].add_related(png(), "image", "png", cid="<1@x>")
    invite = EmailMessage(policy=policy.default)
    invite["From"], invite["Subject"] = "a@b.test", "invitation"
    invite.set_content("Come\n")
    invite.add_alternative(ICS.decode(), subtype="calendar",
                           params={"method": "REQUEST"})
    yield "plain", b"From: a@b.test\nSubject: hi\n\nhello\n"
    yield "no header", b"\njust a body\n"
    yield "alternative", alternative.as_bytes()
    yield "related", related.as_bytes()
    yield "invitation", invite.as_bytes()
    yield "html alone", (b"From: a@b.test\nMIME-Version: 1.0\n"
                         b"Content-Type: text/html\n\n" + HTML)
    yield "forwarded", wrap(b"Content-Type: message/rfc822\n\n" +
                            attach("a.pdf", "application/pdf", pdf()))
    yield "digest", (b"From: l@b.test\nMIME-Version: 1.0\nContent-Type: "
                     b"multipart/digest; boundary=d\n\n--d\n\nSubject: 1\n\none\n"
                     b"--d\n\nSubject: 2\n\ntwo\n--d--\n")
    yield "bounce", (b"From: <>\nMIME-Version: 1.0\nContent-Type: multipart/"
                     b"report; report-type=delivery-status; boundary=r\n\n"
                     b"--r\n\nSorry.\n--r\nContent-Type: message/delivery-status"
                     b"\n\nReporting-MTA: dns; b.test\n\nFinal-Recipient: rfc822;"
                     b" x@y\nAction: failed\nStatus: 5.1.1\n\n--r\nContent-Type:"
                     b" text/rfc822-headers\n\nSubject: x\n--r--\n")
    yield "quoted-printable", (b"From: a@b.test\nMIME-Version: 1.0\nContent-Type:"
                               b" text/plain; charset=utf-8\nContent-Transfer-"
                               b"Encoding: quoted-printable\n\ngr=C3=BCn\n")
    yield "8-bit", (b"From: a@b.test\nMIME-Version: 1.0\nContent-Type: text/plain"
                    b"\nContent-Transfer-Encoding: 8-bit\n\ngr\xc3\xbcn\n")
    yield "uuencode in the text", (b"From: a@b.test\n\nbegin 644 a.txt\n"
                                   b"#86)C\n`\nend\n")
    yield from smime(scratch)
    yield from pgp(scratch)


def smime(scratch):
    key, cert = scratch / "k.pem", scratch / "c.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                    "-keyout", key, "-out", cert, "-subj", "/CN=a@b.test",
                    "-days", "30"], check=True, stderr=subprocess.DEVNULL)
    plain = b"Content-Type: text/plain\n\nhello\n"

    def run(*args):
        return b"From: a@b.test\nSubject: s/mime\n" + subprocess.run(
            ["openssl", "smime", *map(str, args)], input=plain, check=True,
            stdout=subprocess.PIPE).stdout.replace(b"\r\n", b"\n")
    yield "S/MIME signed", run("-sign", "-signer", cert, "-inkey", key)
    yield "S/MIME opaque", run("-sign", "-nodetach", "-signer", cert, "-inkey",
                               key)
    yield "S/MIME encrypted", run("-encrypt", "-aes256", cert)


def pgp(scratch):
    home = scratch / "gnupg"
    home.mkdir(mode=0o700)

    def gpg(*args, data=b""):
        return subprocess.run(
            ["gpg", "--homedir", home, "--batch", "--yes", "--passphrase", "",
             "--pinentry-mode", "loopback", *args], input=data, check=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    def agent():
        """gpg itself waits 5 s for it."""
        return subprocess.run(["gpgconf", "--homedir", home, "--launch", "gpg-agent"],
                              stderr=subprocess.DEVNULL, check=False
                              ).returncode == 0
    try:
        until(agent, of="gpg-agent")
        gpg("--quick-gen-key", "a@b.test", "ed25519", "sign", "never")
        armor = gpg("--passphrase", "x", "--armor", "--symmetric",
                    data=b"Content-Type: text/plain\n\nsecret\n")
        inner = b"Content-Type: text/plain\n\nhello\n"
        signature = gpg("--armor", "--detach-sign",
                        data=inner.replace(b"\n", b"\r\n"))
        clear = gpg("--clearsign", data=b"hello\n")
        public = gpg("--armor", "--export")
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"],
                       check=False)
        shutil.rmtree(home, ignore_errors=True)
    head = b"From: a@b.test\nSubject: pgp\nMIME-Version: 1.0\nContent-Type: "
    yield "PGP/MIME encrypted", (
        head + b'multipart/encrypted; protocol="application/pgp-encrypted"; '
        b"boundary=p\n\n--p\nContent-Type: application/pgp-encrypted\n\n"
        b"Version: 1\n--p\nContent-Type: application/octet-stream; "
        b'name="encrypted.asc"\n\n' + armor + b"--p--\n")
    yield "PGP/MIME signed", (
        head + b"multipart/signed; micalg=pgp-sha512; boundary=p; protocol="
        b'"application/pgp-signature"\n\n--p\n' + inner + b"--p\nContent-Type: "
        b'application/pgp-signature; name="signature.asc"\n\n' + signature +
        b"--p--\n")
    yield "PGP inline", head + b"text/plain\n\n" + clear
    yield "PGP key", wrap(part("key.asc", "application/pgp-keys", public))
    yield "PGP binary", wrap(part("s.gpg", "application/octet-stream",
                                  base64.b64decode(b"".join(
                                      armor.split(b"\n\n", 1)[1]
                                      .split(b"\n=", 1)[0].split(b"\n")))))


def harmless(scratch):
    """(name, message): each passes untouched."""
    for name, kind, data in files():
        yield name, attach(name, kind, data)
    yield from messages(scratch)


def example_policy(conf):
    """The rules that contrib/vbox.conf shows, as they stand there."""
    with open(conf, encoding="utf-8") as f:
        text = f.read()
    block = text[text.index("#content_rules = {"):]
    block = block[:block.index("#}") + 2].replace("#", "")
    return [line.strip().strip(",").strip('"') for line in block.splitlines()
            if line.strip().startswith('"')]
