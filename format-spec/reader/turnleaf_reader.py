#!/usr/bin/env python3
"""A second reader of turnleaf stores, written from SPEC.md and RECOVERY.md alone.

Python 3 standard library only; it writes nothing. Blocks are inflated with `compression.zstd`
(Python 3.14), `zstandard`, `pyzstd` or the program `zstd`, whichever is there. BLAKE3 is not in the
standard library: digests are compared with the catalogue, but not computed.

    turnleaf_reader.py vectors DIR
    turnleaf_reader.py file PATH [--store-id HEX]
    turnleaf_reader.py store DIR

Exit codes: 0 good, 2 usage, 3 nothing there, 4 damage.
"""

import argparse
import json
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import zlib

FORMAT = 2
MIB = 1 << 20
BODY_MAX = 24 << 20
RAW_MAX = (64 << 10) + MIB + 64
FRAMES_AT = 8192
CLASSES = ("run", "pack", "catalogue")
BEGUN = ("first", "full", "opened", "failed")


class Bad(Exception):
    """A structure is refused; the text is the reason as vectors name it."""

    def __init__(self, reason, what=""):
        super().__init__("%s: %s" % (what, reason) if what else reason)
        self.reason = reason


def require(condition, reason, what=""):
    if not condition:
        raise Bad(reason, what)


def crc(*parts):
    """[S:layout-4]"""
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return value


def u64(value):
    return struct.pack("<Q", value)


def hex64(value):
    return "%016x" % value


def checked(data, magic, size, seed=b""):
    """Magic, length and checksum of a fixed header. [S:layout-6]"""
    require(len(data) >= 4, "short")
    require(data[:4] == magic, "magic")
    require(len(data) >= size, "short")
    head = bytes(data[:size])
    require(struct.unpack_from("<I", head, size - 4)[0] == crc(seed, head[:-4]), "header checksum")
    return head


def versions(head, size):
    """[S:version-3]"""
    stored, _, readable = struct.unpack_from("<HBB", head, 4)
    require(readable <= FORMAT, "version")
    require(stored == size, "length")


def zero(head, start, end):
    """[S:layout-3]"""
    require(not any(head[start:end]), "reserved")


# --- Chains -------------------------------------------------------------------------------------


def thread_chain(before, thread, ordinal, kind, flags, length, payload_crc):
    """[S:chain-1]"""
    text = struct.pack(
        "<QQQBBHQI", before, thread, ordinal, kind, flags, 0, length, payload_crc
    )
    return crc(text) << 32 | payload_crc


def journal_start(store, generation):
    """[S:chain-2]"""
    number = u64(generation)
    return crc(store, number) << 32 | crc(number, store)


def journal_next(before, header_crc, body_crc):
    return crc(struct.pack("<QII", before, header_crc, body_crc)) << 32 | header_crc


# --- Structures ---------------------------------------------------------------------------------


def journal_header(data):
    """[S:journal-1] [S:journal-7]"""
    head = checked(data, b"TLJH", 512)
    versions(head, 512)
    names = "generation capacity epoch oldest_live previous_generation previous_offset"
    header = dict(zip(names.split(), struct.unpack_from("<6Q", head, 24)))
    header["store_id"] = head[8:24]
    header["previous_chain"] = struct.unpack_from("<Q", head, 72)[0]
    begun = head[80]
    require(begun < len(BEGUN), "reserved")
    header["begun"] = BEGUN[begun]
    zero(head, 81, 88)
    sealed, chain, created = struct.unpack_from("<QQq", head, 88)
    header.update(catalogue_sealed_end=sealed, catalogue_chain=chain, created_ms=created)
    zero(head, 112, 508)
    generation, offset = header["previous_generation"], header["previous_offset"]
    if begun == 0:
        place = generation == 0 and offset == 0 and header["previous_chain"] == 0
    else:
        place = 1 <= generation < header["generation"] and offset >= FRAMES_AT and offset % 8 == 0
    live = 1 <= header["oldest_live"] <= header["generation"]
    require(place and live and header["capacity"] >= FRAMES_AT, "length")
    return header


def frame_header(data, store, generation, offset):
    """[S:frame-1] [S:frame-4]"""
    head = checked(data, b"TLFR", 96, store)
    size, readable, flags = struct.unpack_from("<HBB", head, 4)
    require(readable <= FORMAT, "version")
    require(size == 96, "length")
    (at_generation, at_offset, thread, first, count, body_len, durable_generation,
     durable_offset, epoch, journal_chain, chain, body_crc, header_crc) = struct.unpack_from(
        "<4Q2I5Q2I", head, 8)
    require((at_generation, at_offset) == (generation, offset), "place")
    marker = count == 0
    require(flags == int(marker), "reserved")
    if marker:
        require((thread, first, body_len, chain, body_crc) == (0,) * 5, "reserved")
    require(body_len <= BODY_MAX and 20 * count <= body_len, "length")
    require((durable_generation, durable_offset) <= (generation, offset), "length")
    return {
        "generation": generation, "offset": offset, "thread": thread, "first_ordinal": first,
        "entry_count": count, "body_len": body_len,
        "durable_upto": [durable_generation, durable_offset], "epoch": epoch,
        "journal_chain": journal_chain, "thread_chain": chain, "body_crc": body_crc,
        "header_crc": header_crc, "marker": marker, "stride": (96 + body_len + 7) // 8 * 8,
    }


def entries_of(body, count):
    """Entries that fill `body` exactly. [S:record-1] [S:record-4]"""
    body, at, found = bytes(body), 0, []
    for _ in range(count):
        require(at + 4 <= len(body), "reserved" if at + 2 <= len(body) and body[at + 1] > 7
                else "short")
        kind, flags, form, pad = struct.unpack_from("<4B", body, at)
        require(flags < 8 and pad == 0, "reserved")
        require(at + 20 <= len(body), "short")
        length, stamp, payload_crc = struct.unpack_from("<IqI", body, at + 4)
        require(form < 2, "reserved")
        entry = {"kind": kind, "flags": flags, "timestamp_ms": stamp, "crc": payload_crc}
        size = 20
        if form == 1:
            require(at + 36 <= len(body), "short")
            offset, record_crc, last = struct.unpack_from("<QIB", body, at + 20)
            require(not any(body[at + 33:at + 36]), "reserved")
            require(offset < 1 << 63, "length")
            require(last == 1 or last == 0 and record_crc == 0, "reserved")
            full = offset > 0 and 1 <= length <= MIB if last else length == MIB
            require(offset % MIB == 0 and full, "length")
            entry.update(chunk_offset=offset, last=bool(last))
            if last:
                entry["record_crc"] = record_crc
            size = 36
        require(length <= MIB, "length")
        require(at + size + length <= len(body), "short")
        entry["payload"] = body[at + size:at + size + length]
        entry["len"] = length
        require(crc(entry["payload"]) == payload_crc, "body checksum")
        found.append(entry)
        at += size + length
    require(at == len(body), "trailing")
    return found


def segment_header(data):
    """[S:segment-1]"""
    head = checked(data, b"TLSG", 128)
    versions(head, 128)
    segment, number = struct.unpack_from("<QB", head, 24)
    require(number < len(CLASSES), "reserved")
    zero(head, 33, 40)
    created = struct.unpack_from("<q", head, 40)[0]
    zero(head, 48, 124)
    return {"store_id": head[8:24], "segment": segment, "class": CLASSES[number],
            "created_ms": created}


def block_header(data, store, segment, offset):
    """[S:block-1] [S:block-2] [S:block-3]"""
    head = checked(data, b"TLBK", 64, store + u64(segment))
    codec = head[4]
    require(codec < 2, "reserved")
    zero(head, 5, 8)
    place, thread, first, count, raw, stored, stored_crc, chain = struct.unpack_from(
        "<3Q4IQ", head, 8)
    zero(head, 56, 60)
    require(place == offset, "place")
    require(0 < count and 20 * count <= raw <= RAW_MAX and stored <= raw, "length")
    require(codec == 1 or stored == raw, "length")
    return {"codec": ("raw", "zstd")[codec], "thread": thread, "first_ordinal": first,
            "entry_count": count, "raw_len": raw, "stored_len": stored, "stored_crc": stored_crc,
            "chain": chain}


RUN = ("thread first_ordinal ordinal_end chain_before chain_after first_block block_count "
       "payload_bytes notes_offset notes_len notes_crc").split()
BLOCK = "offset first_ordinal stored_len raw_len entry_count continues".split()


def footer_of(data):
    """[S:footer-1] to [S:footer-4]"""
    require(len(data) >= 4, "short")
    require(data[:4] == b"TLFT", "magic")
    require(len(data) >= 16, "short")
    run_count, block_count, pad = struct.unpack_from("<3I", data, 4)
    require(pad == 0, "reserved")
    require(len(data) == 16 + 80 * run_count + 32 * block_count, "length")
    runs, blocks = [], []
    for index in range(run_count):
        at = 16 + 80 * index
        runs.append(dict(zip(RUN, struct.unpack_from("<5Q2I2Q2I", data, at))))
        zero(data, at + 72, at + 80)
    for index in range(block_count):
        row = struct.unpack_from("<2Q4I", data, 16 + 80 * run_count + 32 * index)
        require(row[5] < 2, "reserved")
        blocks.append(dict(zip(BLOCK, row[:5] + (bool(row[5]),))))
    next_block, thread = 0, None
    for run in runs:
        own = blocks[run["first_block"]:run["first_block"] + run["block_count"]]
        firsts = [block["first_ordinal"] for block in own]
        require(thread is None or thread < run["thread"], "length")
        require(run["first_block"] == next_block and run["block_count"] > 0, "length")
        require(len(own) == run["block_count"], "length")
        require(not own[0]["continues"] and firsts[0] == run["first_ordinal"], "length")
        require(firsts == sorted(firsts) and firsts[-1] < run["ordinal_end"], "length")
        notes = run["notes_offset"], run["notes_len"], run["notes_crc"]
        require(notes == (0, 0, 0) or notes[0] >= 128 and notes[1] > 0, "length")
        next_block, thread = next_block + run["block_count"], run["thread"]
    require(next_block == len(blocks), "length")
    for block, after in zip(blocks, blocks[1:]):
        require(block["offset"] + 64 + block["stored_len"] <= after["offset"], "length")
    return {"runs": runs, "blocks": blocks}


def trailer_of(data, file_len):
    """[S:segment-3]"""
    head = checked(data, b"TLTR", 96)
    versions(head, 96)
    segment, offset, length, footer_crc = struct.unpack_from("<3QI", head, 24)
    zero(head, 52, 56)
    zero(head, 88, 92)
    require(offset >= 128 and offset + length + 96 == file_len, "length")
    return {"store_id": head[8:24], "segment": segment, "footer_offset": offset,
            "footer_len": length, "footer_crc": footer_crc, "digest": head[56:88]}


class Fields:
    """A payload read from its start."""

    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def take(self, size):
        require(self.at + size <= len(self.data), "short")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def thread(self):
        number = self.number("Q")
        require(number != 0, "reserved")
        return number

    def text(self):
        try:
            return self.take(self.number("H")).decode("utf-8")
        except UnicodeDecodeError:
            raise Bad("text") from None


STAMPED = {132: "archived", 133: "unarchived", 134: "deleted", 135: "purged"}


def lineage_record(kind, fields):
    """[S:lineage-2] to [S:lineage-5]"""
    take = fields.number
    if kind == 141:
        record = {"record": "rollout_created", "rollout": fields.thread(),
                  "thread": fields.thread(), "at_ms": take("q"), "id": fields.text()}
    elif kind == 142:
        return {"record": "based", "rollout": fields.thread(), "base": fields.thread(),
                "base_end": take("Q"), "base_chain": take("Q"), "at_ms": take("q")}
    elif kind == 143:
        record = {"record": "awaits", "rollout": fields.thread(), "stated_end": take("Q"),
                  "stated_bytes": take("Q"), "base_id": fields.text()}
    else:
        return {"record": "current", "thread": fields.thread(), "rollout": fields.thread(),
                "at_ms": take("q")}
    text = record["id"] if kind == 141 else record["base_id"]
    require(re.fullmatch("[A-Za-z0-9_-]{1,128}", text), "text")
    return record


def catalogue_record(kind, payload):
    """[S:catalogue-2] [S:catalogue-3] [S:catalogue-4]"""
    fields = Fields(payload)
    take = fields.number
    if kind == 128:
        record = {"record": "store_created", "store_id": fields.take(16), "at_ms": take("q")}
    elif kind == 129 or (kind == 145 and FORMAT >= 2):
        name = "thread_created" if kind == 129 else "thread_created_again"
        record = {"record": name, "thread": fields.thread(), "at_ms": take("q")}
        record["id"] = fields.text()
        require(re.fullmatch("[A-Za-z0-9_-]{1,128}", record["id"]), "text")
    elif kind == 130:
        record = {"record": "segment_published", "segment": take("Q")}
        number = take("B")
        require(number < len(CLASSES), "reserved")
        record["class"] = CLASSES[number]
        require(fields.take(3) == bytes(3), "reserved")
        count, record["file_bytes"] = take("I"), take("Q")
        record["digest"], record["runs"] = fields.take(32), []
        names = RUN[:5] + ["payload_bytes"]
        thread = -1
        for _ in range(count):
            run = dict(zip(names, struct.unpack("<6Q", fields.take(48))))
            require(run["first_ordinal"] < run["ordinal_end"], "length")
            require(thread < run["thread"], "length")
            thread = run["thread"]
            record["runs"].append(run)
        require(record["runs"], "length")
    elif kind == 131:
        record = {"record": "replaced", "old": take("Q"), "thread": fields.thread(),
                  "new": take("Q")}
    elif kind in STAMPED:
        record = {"record": STAMPED[kind], "thread": fields.thread(), "at_ms": take("q")}
    elif kind == 136:
        record = {"record": "import", "thread": fields.thread(), "source_bytes": take("Q"),
                  "ordinal_end": take("Q"), "file_bytes": take("Q"), "modified_ns": take("q"),
                  "path": fields.text()}
    elif kind == 137:
        record = {"record": "epoch", "epoch": take("Q"), "at_ms": take("q"), "pid": take("I"),
                  "host": fields.text()}
    elif kind == 139:
        record = {"record": "lost", "thread": take("Q"), "first_ordinal": take("Q"),
                  "ordinal_end": take("Q"), "chain_after": take("Q"), "at_ms": take("q")}
        require(record["first_ordinal"] <= record["ordinal_end"], "length")
    elif kind == 140:
        record = {"record": "journal_lost", "generation": take("Q"), "offset": take("Q"),
                  "end": take("Q"), "at_ms": take("q")}
        require(record["generation"] > 0 and record["offset"] <= record["end"], "length")
    elif 141 <= kind <= 144 and FORMAT >= 2:
        record = lineage_record(kind, fields)
    else:
        return {"record": "unknown", "kind": kind}
    require(fields.at == len(fields.data), "trailing")
    return record


# --- zstd ---------------------------------------------------------------------------------------


def content_size(frame):
    """The inflated length that a zstd frame states, or None."""
    require(len(frame) >= 6 and frame[:4] == b"\x28\xb5\x2f\xfd", "body checksum", "zstd frame")
    flags = frame[4]
    require(flags & 3 == 0, "body checksum", "zstd frame with a dictionary")
    single, size = flags >> 5 & 1, flags >> 6
    width = (single, 2, 4, 8)[size]
    at = 5 + (1 - single)
    if width == 0:
        return None
    require(len(frame) >= at + width, "body checksum", "zstd frame")
    return int.from_bytes(frame[at:at + width], "little") + (256 if size == 1 else 0)


def find_inflater():
    """A function (bytes, bound) -> bytes, or None."""
    try:
        from compression import zstd  # Python 3.14

        return lambda data, bound: zstd.ZstdDecompressor().decompress(data, bound + 1)
    except ImportError:
        pass
    try:
        import zstandard

        return lambda data, bound: zstandard.ZstdDecompressor().decompressobj().decompress(data)
    except ImportError:
        pass
    try:
        import pyzstd

        return lambda data, bound: pyzstd.ZstdDecompressor().decompress(data, bound + 1)
    except ImportError:
        pass
    program = shutil.which("zstd")
    if program is None:
        return None

    def run(data, bound):
        done = subprocess.run([program, "-d", "-q", "-c"], input=data, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise ValueError("zstd refuses")
        return done.stdout

    # One start of the program for many blocks: it inflates frames that follow each other.
    run.joins = True
    return run


INFLATE = find_inflater()
NO_ZSTD = "blocks not inflated: no zstd"


def inflate(stored, raw_len):
    """One zstd frame of exactly `raw_len` bytes. [S:block-2]"""
    require(content_size(stored) in (None, raw_len), "body checksum", "zstd frame length")
    try:
        raw = INFLATE(stored, raw_len)
    except Exception as error:  # every library has its own
        raise Bad("body checksum", "zstd: %s" % error) from None
    require(len(raw) == raw_len, "length", "inflated block")
    return raw


def inflate_all(blocks):
    """The inflated bytes of (header, stored) pairs; None where a block must be tried alone."""
    packed = [(head, stored) for head, stored in blocks if head["codec"] == "zstd"]
    if INFLATE is None or not getattr(INFLATE, "joins", False) or len(packed) < 2:
        return {}
    try:
        for head, stored in packed:
            require(content_size(stored) in (None, head["raw_len"]), "length")
        raw = INFLATE(b"".join(stored for _, stored in packed), None)
    except (Bad, ValueError):
        return {}
    if len(raw) != sum(head["raw_len"] for head, _ in packed):
        return {}
    found, at = {}, 0
    for head, _ in packed:
        found[id(head)] = raw[at:at + head["raw_len"]]
        at += head["raw_len"]
    return found


# --- Records ------------------------------------------------------------------------------------


class Records:
    """Walks the logical records of one thread. [S:thread-2] [S:record-5] [S:record-7]"""

    def __init__(self, thread, ordinal, chain):
        self.thread, self.ordinal, self.chain = thread, ordinal, chain
        self.part = None
        self.payload_bytes = 0

    def feed(self, entry):
        """Takes the next entry; returns the whole record it completes, or None."""
        catalogue = self.thread == 0
        require((entry["kind"] >= 128) == catalogue, "place", "kind %d" % entry["kind"])
        same = entry["kind"], entry["flags"] & 1
        if "chunk_offset" not in entry:
            self.part = None
            return self.complete(entry, entry["len"], entry["crc"], entry["payload"])
        if entry["chunk_offset"] == 0:
            self.part = [same, 0, 0, [] if catalogue else None]
        require(self.part is not None, "place", "a chunk without the ones before")
        known, length, running, pieces = self.part
        require(known == same and length == entry["chunk_offset"], "place", "chunk")
        length, running = length + entry["len"], zlib.crc32(entry["payload"], running)
        if pieces is not None:
            pieces.append(entry["payload"])
        self.part = [known, length, running, pieces]
        if not entry["last"]:
            return None
        require(running == entry["record_crc"], "body checksum", "record of chunks")
        self.part = None
        return self.complete(entry, length, running, b"".join(pieces or []))

    def complete(self, entry, length, payload_crc, payload):
        self.chain = thread_chain(self.chain, self.thread, self.ordinal, entry["kind"],
                                  entry["flags"], length, payload_crc)
        self.ordinal += 1
        self.payload_bytes += length
        return {"kind": entry["kind"], "len": length, "payload": payload}


# --- Files --------------------------------------------------------------------------------------


class Journal:
    """A journal file: header, valid frames, end and verdict."""

    def __init__(self, data, store=None):
        self.data, self.frames, self.damage = data, [], []
        self.header, self.copies, errors = None, 0, []
        self.end, self.chain, self.verdict, self.resumes = FRAMES_AT, 0, "end", False
        for offset in (0, 4096):
            try:
                header = journal_header(data[offset:offset + 512])
            except Bad as error:
                errors.append(error)
                continue
            self.copies += 1
            if self.header is None or header["generation"] > self.header["generation"]:
                self.header = header
        newer = [error for error in errors if error.reason == "version"]
        self.blank = not any(data[:512]) and not any(data[4096:4608])
        if newer or self.header is None:
            raise newer[0] if newer else errors[0]
        if store is not None and self.header["store_id"] != store:
            raise Bad("place", "journal file of store " + self.header["store_id"].hex())
        self.store, self.generation = self.header["store_id"], self.header["generation"]

    def frame(self, offset, chain):
        """The frame at `offset`; `chain` is None behind an invalid place. [R:frame-1]"""
        header = frame_header(self.data[offset:offset + 96], self.store, self.generation, offset)
        body = self.data[offset + 96:offset + 96 + header["body_len"]]
        require(len(body) == header["body_len"], "short", "frame body")
        require(crc(body) == header["body_crc"], "body checksum", "frame body")
        require(chain is None or chain == header["journal_chain"], "place", "journal chain")
        header["entries"] = entries_of(body, header["entry_count"])
        end = offset + header["stride"]
        require(end <= self.header["capacity"], "length", "frame beyond the capacity")
        return header

    def magics(self, start):
        at = self.data.find(b"TLFR", start)
        while at >= 0:
            if at % 8 == 0:
                yield at
            at = self.data.find(b"TLFR", at + 1)

    def found(self, start):
        """Right frame headers of this generation from `start` on, whatever their bodies are."""
        for at in self.magics(start):
            try:
                yield frame_header(self.data[at:at + 96], self.store, self.generation, at)
            except Bad:
                continue

    def scan(self, limit=None, limit_chain=None):
        """Reads frames up to `limit` (stated by the next file), or to the end of the newest."""
        at, chain = FRAMES_AT, journal_start(self.store, self.generation)
        lost = False
        while limit is None or at < limit:
            try:
                frame = self.frame(at, chain)
            except Bad as error:
                if limit is None:
                    verdict = self.tail(at)
                    if not lost:
                        self.end, self.chain, self.verdict = at, chain, verdict
                    if verdict != "damage":
                        return
                if not self.resumes:
                    self.damage.append((at, str(error)))
                at = self.next_frame(at + 8, limit)
                if at is None:
                    return
                chain, lost, self.resumes = None, True, True
                continue
            frame["beyond_damage"] = lost
            self.frames.append(frame)
            chain = journal_next(frame["journal_chain"], frame["header_crc"], frame["body_crc"])
            gap = at + 96 + frame["body_len"]
            at += frame["stride"]
            if any(self.data[gap:at]):
                self.damage.append((gap, "the gap after a frame is not zero"))
            self.resumes = False
            if limit is None and at >= self.header["capacity"]:
                break
        if limit is None and lost:
            return
        self.end, self.chain = at, chain
        if limit is not None and at != limit:
            self.damage.append((at, "frames pass over the end that the next file states"))
        elif limit is not None and chain != limit_chain:
            self.damage.append((at, "the journal chain is not the one that the next file states"))

    def next_frame(self, start, limit):
        for at in self.magics(start):
            if limit is not None and at >= limit:
                return None
            try:
                self.frame(at, None)
                return at
            except Bad:
                continue
        return None

    def tail(self, end):
        """Torn or damaged. [R:tail-1] to [R:tail-6]"""
        later = list(self.found(end))
        if any(tuple(head["durable_upto"]) > (self.generation, end) for head in later):
            return "damage"
        begins = self.data[end:end + 4] == b"TLFR" and \
            self.data[end + 8:end + 16] == u64(self.generation)
        # Both checksums right, but refused: not the work of a power cut. [R:frame-4]
        for head in later:
            if head["offset"] == end:
                body = self.data[end + 96:end + 96 + head["body_len"]]
                if crc(body) == head["body_crc"] and len(body) == head["body_len"]:
                    return "damage"
        return "torn" if begins or later else "end"


class Segment:
    """A segment file, read whole. Damage is collected; `strict` raises the first instead."""

    def __init__(self, data, store=None, number=None, strict=False, visit=None):
        self.data, self.strict, self.damage, self.runs = data, strict, [], []
        self.inflated = True
        require(len(data) >= 96, "short", "segment file")
        self.header = segment_header(data)
        self.store = self.header["store_id"] if store is None else store
        self.number = self.header["segment"] if number is None else number
        self.trailer = trailer_of(data[-96:], len(data))
        for part in (self.header, self.trailer):
            same = (part["store_id"], part["segment"]) == (self.store, self.number)
            require(same, "place", "segment file")
        footer = data[self.trailer["footer_offset"]:-96]
        require(crc(footer) == self.trailer["footer_crc"], "body checksum", "footer")
        self.footer = footer_of(footer)
        self.check_class()
        self.check_places()
        for run in self.footer["runs"]:
            self.read_run(run, visit)

    def fail(self, offset, error):
        if self.strict:
            raise error
        self.damage.append((offset, str(error)))

    def check_class(self):
        """[S:segment-2]"""
        threads = [run["thread"] for run in self.footer["runs"]]
        right = {"run": len(threads) == 1 and threads[0] != 0, "catalogue": threads == [0],
                 "pack": len(threads) >= 1 and 0 not in threads}[self.header["class"]]
        if not right:
            self.fail(0, Bad("place", "class %s" % self.header["class"]))

    def check_places(self):
        """No byte of the file belongs to nobody. [S:block-5]"""
        at = 128
        for run in self.footer["runs"]:
            for row in self.rows(run):
                if row["offset"] != at:
                    self.fail(at, Bad("place", "a gap before a block"))
                at = row["offset"] + 64 + row["stored_len"]
            if run["notes_len"]:
                if run["notes_offset"] != at:
                    self.fail(at, Bad("place", "a gap before notes"))
                at = run["notes_offset"] + run["notes_len"]
        if at != self.trailer["footer_offset"]:
            self.fail(at, Bad("place", "a gap before the footer"))

    def rows(self, run):
        return self.footer["blocks"][run["first_block"]:run["first_block"] + run["block_count"]]

    def block(self, row):
        """Header and stored bytes of a block. [S:footer-5]"""
        offset = row["offset"]
        head = block_header(self.data[offset:offset + 64], self.store, self.number, offset)
        for name in ("first_ordinal", "stored_len", "raw_len", "entry_count"):
            require(head[name] == row[name], "place", "block row: " + name)
        stored = self.data[offset + 64:offset + 64 + head["stored_len"]]
        require(len(stored) == head["stored_len"], "short", "block")
        require(crc(stored) == head["stored_crc"], "body checksum", "block")
        return head, stored

    def read_run(self, run, visit):
        blocks = []
        for row in self.rows(run):
            try:
                blocks.append((row, self.block(row)))
            except Bad as error:
                self.fail(row["offset"], error)
                blocks.append((row, None))
        ready = inflate_all([block for _, block in blocks if block])
        records = Records(run["thread"], run["first_ordinal"], run["chain_before"])
        whole = True
        for row, block in blocks:
            if block is None:
                records, whole = None, False
                continue
            head, stored = block
            try:
                if records is None:
                    records = Records(run["thread"], head["first_ordinal"], head["chain"])
                    if row["continues"]:
                        # Its beginning is lost: the record that goes on here is lost too.
                        records = None
                        continue
                at = records.ordinal, records.chain, run["thread"]
                agrees = (head["first_ordinal"], head["chain"], head["thread"]) == at
                continues = records.part is not None
                if head["codec"] == "zstd" and INFLATE is None:
                    self.inflated, records, whole = False, None, False
                    continue
                require(agrees, "place", "thread chain or ordinal of a block")
                require(continues == row["continues"], "place", "block row: continues")
                raw = stored
                if head["codec"] == "zstd":
                    raw = ready.get(id(head))
                    raw = inflate(stored, head["raw_len"]) if raw is None else raw
                for entry in entries_of(raw, head["entry_count"]):
                    ordinal, before = records.ordinal, records.chain
                    record = records.feed(entry)
                    if record is not None and visit is not None:
                        visit(run["thread"], ordinal, before, record)
            except Bad as error:
                self.fail(row["offset"], error)
                records, whole = None, False
        notes = self.data[run["notes_offset"]:run["notes_offset"] + run["notes_len"]]
        if crc(notes) != run["notes_crc"] or len(notes) != run["notes_len"]:
            self.fail(run["notes_offset"], Bad("body checksum", "notes"))
        if whole:
            reached = records.ordinal, records.chain, records.payload_bytes
            stated = run["ordinal_end"], run["chain_after"], run["payload_bytes"]
            if reached != stated or records.part is not None:
                self.fail(run["notes_offset"], Bad("place", "end of the run of %d" % run["thread"]))
        self.runs.append({"thread": run["thread"], "first_ordinal": run["first_ordinal"],
                          "ordinal_end": run["ordinal_end"],
                          "payload_bytes": run["payload_bytes"],
                          "chain_after": run["chain_after"], "notes": notes, "whole": whole})


# --- vectors ------------------------------------------------------------------------------------

HEXED = {"previous_chain", "catalogue_chain", "journal_chain", "thread_chain", "chain",
         "chain_before", "chain_after", "crc", "record_crc", "body_crc", "header_crc",
         "stored_crc", "footer_crc", "notes_crc", "base_chain"}


def shown(value, name=""):
    """A decoded value as index.json writes it."""
    if isinstance(value, dict):
        out = {key: shown(item, key) for key, item in value.items()}
        if "previous_generation" in out:
            out["previous_end"] = [out.pop("previous_generation"), out.pop("previous_offset")]
        return out
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if name in HEXED:
        return hex64(value)
    return value


def shown_entries(entries):
    return [{key: shown(value, key) for key, value in entry.items()
             if key != "payload" or entry["len"] <= 64} for entry in entries]


def read_frame(data, store, place):
    header = frame_header(data, store, place["generation"], place["offset"])
    body = data[96:]
    right = len(body) == header["body_len"] and crc(body) == header["body_crc"]
    require(right, "body checksum", "frame body")
    entries = shown_entries(entries_of(body, header["entry_count"]))
    del header["generation"], header["offset"]
    return dict(shown(header), entries=entries)


def read_journal(data, store):
    journal = Journal(data, store)
    journal.scan()
    names = ("offset", "thread", "first_ordinal", "entry_count", "durable_upto")
    frames = [frame for frame in journal.frames if not frame["beyond_damage"]]
    return {"header": shown(journal.header), "copies": journal.copies,
            "frames": [{name: frame[name] for name in names} for frame in frames],
            "end": journal.end, "journal_chain": hex64(journal.chain),
            "verdict": journal.verdict}


def read_segment(data, store, place):
    segment = Segment(data, store, place["segment"], strict=True)
    if not segment.inflated:
        return None
    runs = [shown({key: value for key, value in run.items() if key != "whole"})
            for run in segment.runs]
    return {"class": segment.header["class"], "runs": runs,
            "blocks": len(segment.footer["blocks"])}


def read_vector(structure, place, data, store):
    value = read_structure(structure, place, data, store)
    if FORMAT >= 2 and structure in ("journal header", "frame", "segment header", "trailer"):
        value["readable_by"] = data[6 if structure == "frame" else 7]
    return value


def read_structure(structure, place, data, store):
    if structure == "frame":
        return read_frame(data, store, place)
    if structure == "entries":
        return shown_entries(entries_of(data, place["count"]))
    if structure == "journal file":
        return read_journal(data, store)
    if structure == "segment file":
        return read_segment(data, store, place)
    return shown({
        "journal header": lambda: journal_header(data),
        "segment header": lambda: segment_header(data),
        "block header": lambda: block_header(data, store, place["segment"], place["offset"]),
        "footer": lambda: footer_of(data),
        "trailer": lambda: trailer_of(data, place["file_len"]),
        "catalogue record": lambda: catalogue_record(place["kind"], data),
    }[structure]())


def check_vector(vector, data, store):
    """None when the vector is read as meant, else what differs."""
    try:
        value = read_vector(vector["structure"], vector["place"], data, store)
    except Bad as error:
        if vector.get("refused") == error.reason:
            return None
        return "refused (%s), expected %s" % (error, vector.get("refused", "a value"))
    if "refused" in vector:
        return "read, but it is to be refused: %s" % vector["refused"]
    if value is None:
        print("%s: %s" % (vector["file"], NO_ZSTD))
        return None
    if value != vector["expect"]:
        return "read as %s" % json.dumps(value, sort_keys=True)
    return None


def read_as(number):
    """From here on this is a reader of that format. [S:vectors-1]"""
    global FORMAT
    FORMAT = number


def command_vectors(directory):
    with open(os.path.join(directory, "index.json"), encoding="utf-8") as file:
        index = json.load(file)
    read_as(index["format"])
    store, wrong = bytes.fromhex(index["store_id"]), 0
    for vector in index["vectors"]:
        data = read_file(os.path.join(directory, vector["file"]))
        problem = check_vector(vector, data, store)
        if problem is not None:
            wrong += 1
            print("%s: %s" % (vector["file"], problem))
    print(json.dumps({"vectors": len(index["vectors"]), "wrong": wrong}))
    return 4 if wrong else 0


# --- file ---------------------------------------------------------------------------------------


def read_file(path):
    """Only regular files count. [S:names-6]"""
    mode = os.lstat(path).st_mode
    require(stat.S_ISREG(mode), "place", "not a regular file")
    with open(path, "rb") as file:
        return file.read()


def journal_threads(frames, damage):
    """Checks frames of one file alone: each thread continues itself."""
    threads = {}
    for frame in frames:
        if frame["marker"]:
            continue
        number = frame["thread"]
        records = threads.get(number)
        begins = frame["entries"][0].get("chunk_offset", 0) == 0
        if records is None:
            records = Records(number, frame["first_ordinal"], frame["thread_chain"])
            if not begins:
                continue
            threads[number] = records
        try:
            same = (records.ordinal, records.chain)
            require(same == (frame["first_ordinal"], frame["thread_chain"]), "place",
                    "thread %d does not continue" % number)
            for entry in frame["entries"]:
                records.feed(entry)
        except Bad as error:
            damage.append((frame["offset"], str(error)))
            threads.pop(number, None)
    return threads


def command_file(path, store):
    try:
        data = read_file(path)
    except FileNotFoundError:
        print("%s: not there" % path)
        return 3
    damage = []
    try:
        if data[:4] == b"TLSG" or path.endswith(".tls"):
            number = None
            if re.fullmatch("[0-9a-f]{16}[.]tls", os.path.basename(path)):
                number = int(os.path.basename(path)[:16], 16)
            segment = Segment(data, store, number)
            damage = segment.damage
            said = {"file": "segment", "class": segment.header["class"],
                    "segment": segment.number, "blocks": len(segment.footer["blocks"]),
                    "runs": [shown(dict(run, notes=len(run["notes"]))) for run in segment.runs],
                    "digest": "not checked"}
            if not segment.inflated:
                print(NO_ZSTD)
        else:
            journal = Journal(data, store)
            journal.scan()
            threads = journal_threads(journal.frames, journal.damage)
            damage = journal.damage
            said = {"file": "journal", "header": shown(journal.header),
                    "copies": journal.copies, "frames": len(journal.frames),
                    "end": journal.end, "verdict": journal.verdict,
                    "threads": {str(number): hex64(records.chain)
                                for number, records in sorted(threads.items())}}
    except Bad as error:
        damage, said = [(0, str(error))], {"file": "refused"}
    for offset, why in damage:
        print("%s: damage at %d: %s" % (path, offset, why))
    print(json.dumps(dict(said, ok=not damage)))
    return 4 if damage else 0


# --- store --------------------------------------------------------------------------------------


class Store:
    """All files of a store."""

    def __init__(self, directory):
        self.directory, self.damage, self.store = directory, 0, None
        self.frames, self.newest, self.needed = {}, None, {}
        self.inflated, self.torn = True, False
        self.threads, self.ids, self.published, self.epoch = {}, {}, {}, 0
        self.replaced, self.known, self.bytes, self.lost = set(), {}, {}, {}
        self.catalogue_end, self.catalogue_chain = 0, 0
        # Lineages: further rollouts, bases, what is waited for, what threads show, and the chains
        # that were met where a base is cut.
        self.rollouts, self.based, self.awaits, self.current = {}, {}, {}, {}
        self.cuts = {}

    def say(self, verdict, path, text=""):
        if verdict == "damage":
            self.damage += 1
        print("%-7s %s%s" % (verdict, path, ": " + text if text else ""))

    def names(self, directory):
        try:
            return sorted(os.listdir(os.path.join(self.directory, directory)))
        except FileNotFoundError:
            return []

    def load(self, directory, pattern):
        """(path, number, bytes) of the files whose names are ours. [S:names-5]"""
        for name in self.names(directory):
            path = directory + "/" + name
            match = re.fullmatch(pattern, name)
            if name.endswith(".tmp"):
                self.say("void", path, "unfinished")
            elif path == "catalogue/checkpoint":
                self.say("cache", path, "not read")  # [S:checkpoint-1]
            elif match is None:
                self.say("other", path, "not ours")
            else:
                try:
                    data = read_file(os.path.join(self.directory, path))
                except (Bad, OSError) as error:
                    self.say("damage", path, str(error))
                    continue
                yield path, int(match.group(1), 16), data

    # Journal.

    def read_journals(self):
        """The set of journal files. [R:set-1] to [R:set-18]"""
        files, headless = [], []
        for path, _, data in self.load("journal", "([0-9a-f]{8})[.]tlj"):
            try:
                files.append((path, Journal(data)))
            except Bad as error:
                headless.append((path, data, error))
        short = [item for item in files if len(item[1].data) < item[1].header["capacity"]]
        for path, journal in short:
            if any(True for _ in journal.found(FRAMES_AT)):
                self.say("damage", path, "shorter than its capacity")
            else:
                files.remove((path, journal))
                self.say("free", path, "was being created")
        newest = max(files, key=lambda item: item[1].generation, default=None)
        if newest is not None:
            self.newest, self.store = newest[1].header, newest[1].store
        oldest = self.newest["oldest_live"] if self.newest else 1
        self.judge_headless(headless, oldest)
        if self.newest is None:
            if any(name.endswith(".tls") for part in ("segments", "catalogue")
                   for name in self.names(part)):
                self.say("damage", "journal", "segments, but no journal file")
            return
        by_generation = {}
        for path, journal in files:
            if journal.store != self.store:
                self.say("damage", path, "of another store: " + journal.store.hex())
                continue
            if journal.copies < 2:
                self.say("note", path, "only one header copy is right")
            by_generation.setdefault(journal.generation, []).append((path, journal))
        self.follow_links(by_generation, oldest)

    def judge_headless(self, headless, oldest):
        for path, data, error in headless:
            live = []
            if self.store is not None:
                for at in range(FRAMES_AT, len(data) - 95, 8):
                    if data[at:at + 4] != b"TLFR":
                        continue
                    generation, offset = struct.unpack_from("<QQ", data, at + 8)
                    try:
                        frame_header(data[at:at + 96], self.store, generation, offset)
                        if offset == at and generation >= oldest:
                            live.append(generation)
                    except Bad:
                        continue
            if error.reason == "version":
                self.say("damage", path, "was written for a newer reader")
            elif live or error.reason not in ("short", "magic", "header checksum"):
                self.say("damage", path, "header: %s; live frames: %d" % (error, len(live)))
            else:
                self.say("free", path, "no header, no live frame")

    def follow_links(self, by_generation, oldest):
        """[S:journal-8] to [S:journal-10]"""
        live, limit, generation = [], None, self.newest["generation"]
        while True:
            found = by_generation.get(generation, [])
            if len(found) > 1:
                names = " ".join(path for path, _ in found)
                self.say("damage", names, "two files of generation %d" % generation)
            if len(found) != 1:
                if not found:
                    self.say("damage", "journal", "generation %d is missing" % generation)
                below = [number for number in by_generation if oldest <= number < generation]
                if not below:
                    break
                generation, limit = max(below), ("unknown", 0)
                continue
            path, journal = found[0]
            live.append((path, journal, limit))
            header = journal.header
            previous = header["previous_generation"]
            if header["begun"] == "first" or previous < oldest:
                break
            limit = (header["previous_offset"], header["previous_chain"])
            generation = previous
        for path, journal, limit in reversed(live):
            self.read_journal(path, journal, limit)
        used = {path for path, _, _ in live}
        for generation in sorted(by_generation):
            for path, journal in by_generation[generation]:
                if path not in used:
                    verdict = "free" if generation < oldest else "void"
                    self.say(verdict, path, "generation %d" % generation)

    def read_journal(self, path, journal, limit):
        if limit is None or limit[0] == "unknown":
            journal.scan()
        else:
            journal.scan(limit[0], limit[1])
        for offset, why in journal.damage:
            self.say("damage", path, "at %d: %s" % (offset, why))
        text = "generation %d, %d frames, end %d" % (
            journal.generation, len(journal.frames), journal.end)
        if journal.verdict == "torn":
            self.torn = True
            text += ", torn tail"
        if not journal.damage:
            self.say("ok", path, text)
        epoch = 0
        for frame in journal.frames:
            if frame["epoch"] < epoch:
                self.say("damage", path, "at %d: epoch goes back" % frame["offset"])
            epoch = max(epoch, frame["epoch"])
            if not frame["marker"]:
                frame["path"] = path
                self.frames.setdefault(frame["thread"], []).append(frame)
                self.needed.setdefault(frame["thread"], set()).add(frame["first_ordinal"])

    # Threads.

    def visit(self, counted, sink=None):
        """Notes the chains that frames must continue, and counts records from `counted` on."""
        def note(thread, ordinal, before, record):
            if ordinal in self.cuts.get(thread, ()):
                self.cuts[thread][ordinal] = before
            if ordinal in self.needed.get(thread, ()):
                self.known.setdefault(thread, {}).setdefault(ordinal, set()).add(before)
            if ordinal >= counted.get(thread, 0):
                self.bytes[thread] = self.bytes.get(thread, 0) + record["len"]
            if sink is not None:
                sink(ordinal, record)
        return note

    def behind_lost(self, thread, end, chain):
        """Where a thread goes on that stands at what is lost. [S:catalogue-11]"""
        for lost in self.lost.get(thread, []):
            if lost["first_ordinal"] <= end <= lost["ordinal_end"]:
                end, chain = lost["ordinal_end"], lost["chain_after"]
        return end, chain

    def cover(self, thread, runs):
        """The runs that are read, lowest first, and where they end. [S:segment-7]"""
        end, chain, chosen = 0, 0, []
        while True:
            end, chain = self.behind_lost(thread, end, chain)
            fits = [run for run in runs if run["first_ordinal"] <= end < run["ordinal_end"]]
            if not fits:
                break
            best = max(fits, key=lambda run: run["ordinal_end"])
            if best["first_ordinal"] == end and best["chain_before"] != chain:
                self.say("damage", "thread %d" % thread, "runs do not continue at %d" % end)
            chosen.append((best, end))
            end, chain = best["ordinal_end"], best["chain_after"]
        if any(run["first_ordinal"] > end for run in runs):
            self.say("damage", "thread %d" % thread, "no run holds ordinal %d" % end)
        return chosen, end, chain

    def walk_frames(self, thread, end, chain, sink=None):
        """Frames after the cover. [S:thread-1] [R:frame-6] to [R:frame-14]"""
        records = None
        for frame in self.frames.get(thread, []):
            first, before = frame["first_ordinal"], frame["thread_chain"]
            try:
                if records is None or records.ordinal != first:
                    back = records is not None and first < records.ordinal
                    require(not back, "place", "ordinal goes back to %d" % first)
                    if records is not None and first > records.ordinal:
                        end, chain = self.behind_lost(thread, records.ordinal, records.chain)
                        records = None
                    reach = end if records is None else max(end, records.ordinal)
                    require(first <= reach, "place", "ordinals from %d are missing" % reach)
                    known = self.known.get(thread, {}).get(first)
                    if first == end:
                        known = {chain}
                    require(known is None or known == {before}, "place",
                            "thread chain at %d" % first)
                    records = Records(thread, first, before)
                require(records.chain == before, "place", "thread chain at %d" % first)
                for entry in frame["entries"]:
                    ordinal = records.ordinal
                    if records.part is None and ordinal in self.cuts.get(thread, ()):
                        self.cuts[thread][ordinal] = records.chain
                    if records.part is None and entry.get("chunk_offset", 0) > 0 and ordinal < end:
                        records = None
                        break
                    record = records.feed(entry)
                    if records.ordinal == end and record is not None:
                        require(records.chain == chain, "place", "thread chain at %d" % end)
                    if record is not None and ordinal >= end:
                        self.bytes[thread] = self.bytes.get(thread, 0) + record["len"]
                        if sink is not None:
                            sink(ordinal, record)
            except Bad as error:
                text = "at %d, thread %d: %s" % (frame["offset"], thread, error)
                self.say("damage", frame["path"], text)
                return end, chain
        if records is not None and records.ordinal > end:
            end, chain = records.ordinal, records.chain
        return self.behind_lost(thread, end, chain)

    # Catalogue.

    def read_catalogue(self):
        """[R:cat-1] to [R:cat-8]"""
        sealed = self.newest["catalogue_sealed_end"] if self.newest else 0
        self.needed.setdefault(0, set()).add(sealed)
        runs, records = [], {}
        for path, number, data in self.load("catalogue", "([0-9a-f]{16})[.]tls"):
            found = {}
            sink = lambda ordinal, record, found=found: found.setdefault(ordinal, record)
            segment = self.open_segment(path, number, data, self.visit({0: 1 << 63}, sink))
            if segment is None:
                continue
            if segment.header["class"] != "catalogue":
                self.say("damage", path, "class " + segment.header["class"])
                continue
            for ordinal, record in found.items():
                records.setdefault(ordinal, record)
            runs.extend(segment.footer["runs"])
        _, end, chain = self.cover(0, runs)
        known = self.known.get(0, {})
        at_sealed = {chain} if sealed == end else {0} if sealed == 0 else known.get(sealed)
        if sealed > end:
            self.say("damage", "catalogue", "sealed to %d, segments reach %d" % (sealed, end))
        elif self.newest and self.inflated and at_sealed != {self.newest["catalogue_chain"]}:
            self.say("damage", "catalogue", "chain at %d is not the journal's" % sealed)
        if sealed <= end:
            sink = lambda ordinal, record: records.__setitem__(ordinal, record)
            end, chain = self.walk_frames(0, end, chain, sink)
        self.catalogue_end, self.catalogue_chain = end, chain
        for ordinal in range(end):
            if ordinal in records:
                try:
                    self.fold(ordinal, records[ordinal])
                except Bad as error:
                    self.say("damage", "catalogue", "record %d: %s" % (ordinal, error))

    def fold(self, ordinal, entry):
        record = catalogue_record(entry["kind"], entry["payload"])
        name, thread = record["record"], record.get("thread")
        require((ordinal == 0) == (name == "store_created"), "place", name)
        if name == "store_created":
            require(record["store_id"] == self.store, "place", "store id")
        elif name in ("thread_created", "thread_created_again"):
            before = self.ids.get(record["id"])
            fresh = before is None
            if name == "thread_created_again":  # [S:catalogue-16]
                fresh = True
                if before is not None:
                    self.threads[before]["gone"] = True
            fresh = fresh and not self.is_rollout(thread)
            require(fresh, "place", "thread %d or its id is there already" % thread)
            self.threads[thread], self.ids[record["id"]] = dict(record, gone=False), thread
        elif name == "segment_published":
            require(record["segment"] not in self.published, "place", "published twice")
            for run in record["runs"]:
                missing = run["thread"] != 0 and not self.is_rollout(run["thread"])
                require(not missing, "place", "unknown thread %d" % run["thread"])
            self.published[record["segment"]] = record
        elif name == "replaced":
            for segment in (record["old"], record["new"]):
                known = segment in self.published or (segment == 0 and segment == record["new"])
                require(known, "place", "unknown segment %d" % segment)
            self.replaced.add((record["old"], thread))
        elif name == "lost":
            known = thread == 0 or self.is_rollout(thread)
            require(known, "place", "unknown thread %d" % thread)
            self.lost.setdefault(thread, []).append(record)
            self.lost[thread].sort(key=lambda lost: lost["first_ordinal"])
        elif name == "epoch":
            require(record["epoch"] > self.epoch, "place", "epoch goes back")
            self.epoch = record["epoch"]
        elif name in ("rollout_created", "based", "awaits", "current"):
            self.fold_lineage(name, record)
        elif name == "import":
            require(self.is_rollout(thread), "place", "unknown thread %d" % thread)
        elif thread is not None:
            require(thread in self.threads, "place", "unknown thread %d" % thread)
            if name in ("deleted", "purged"):
                self.threads[thread]["gone"] = True

    # Lineages.

    def is_rollout(self, number):
        return number in self.threads or number in self.rollouts

    def thread_of(self, rollout):
        return rollout if rollout in self.threads else self.rollouts[rollout]["thread"]

    def is_gone(self, rollout):
        """Of a deleted thread nothing is asked for. [S:catalogue-9] [S:lineage-6]"""
        return self.is_rollout(rollout) and self.threads[self.thread_of(rollout)]["gone"]

    def fold_lineage(self, name, record):
        """[S:lineage-2] to [S:lineage-5]"""
        rollout = record["rollout"]
        if name == "rollout_created":
            fresh = not self.is_rollout(rollout) and record["thread"] in self.threads
            require(fresh, "place", "rollout %d is there already, or of no thread" % rollout)
            self.rollouts[rollout] = record
            return
        require(self.is_rollout(rollout), "place", "unknown rollout %d" % rollout)
        if name == "current":
            own = self.thread_of(rollout) == record["thread"]
            require(own, "place", "another thread's rollout")
            self.current[record["thread"]] = rollout
            return
        require(rollout not in self.based, "place", "rollout %d has a base" % rollout)
        if name == "awaits":
            self.awaits[rollout] = record
            return
        base = record["base"]
        require(self.is_rollout(base), "place", "unknown base %d" % base)
        while base is not None:
            require(base != rollout, "place", "rollout %d is its own base" % rollout)
            base = self.based[base]["base"] if base in self.based else None
        self.based[rollout] = record
        self.awaits.pop(rollout, None)
        self.cuts.setdefault(record["base"], {})[record["base_end"]] = None

    def shows(self, rollout, end):
        """Parts (rollout, ordinal end), oldest first, of what a rollout shows up to there."""
        parts = []
        while rollout is not None:
            parts.append((rollout, end))
            record = self.based.get(rollout)
            rollout, end = (record["base"], record["base_end"]) if record else (None, 0)
        return [part for part in reversed(parts) if part[1] > 0]

    def check_base(self, rollout, ends):
        """The base reaches the cut, and has the stated chain there. [S:lineage-3]"""
        record = self.based[rollout]
        base, cut = record["base"], record["base_end"]
        end, chain = ends[base]
        found = self.cuts[base][cut]
        if cut == 0:
            found = 0
        elif cut == end:
            found = chain
        if cut > end:
            self.say("damage", "rollout %d" % rollout, "its base ends at %d" % end)
        elif found is None and self.inflated and not self.lost.get(base):
            self.say("damage", "rollout %d" % rollout, "the base has no record at its end")
        elif found is not None and found != record["base_chain"]:
            self.say("damage", "rollout %d" % rollout, "the base has another chain")

    def lineages(self, ends):
        """Each rollout that is not deleted: its own end and chain, and what it shows."""
        said = {}
        for rollout, (end, chain) in sorted(ends.items()):
            if rollout in self.based:
                self.check_base(rollout, ends)
            parts = self.shows(rollout, end)
            thread = self.thread_of(rollout)
            said[str(rollout)] = {
                "thread": self.threads[thread]["id"], "own_records": end, "chain": hex64(chain),
                "records": sum(end for _, end in parts), "parts": [list(part) for part in parts],
                "shown": self.current.get(thread, thread) == rollout}
            if rollout in self.awaits:
                said[str(rollout)]["awaits"] = self.awaits[rollout]["base_id"]
        return said

    # Segments.

    def open_segment(self, path, number, data, visit, published=None):
        try:
            segment = Segment(data, self.store, number, visit=visit)
        except Bad as error:
            self.say("damage", path, str(error))
            return None
        damage = list(segment.damage)
        if published is not None:
            damage.extend((0, text) for text in disagreements(segment, published))
        for offset, why in damage:
            self.say("damage", path, "at %d: %s" % (offset, why))
        if not damage:
            text = "%s, %d runs, %d blocks" % (
                segment.header["class"], len(segment.runs), len(segment.footer["blocks"]))
            self.say("ok", path, text)
        self.inflated = self.inflated and segment.inflated
        return segment

    def needs(self, record, run):
        replaced = (record["segment"], run["thread"]) in self.replaced
        return not replaced and not self.is_gone(run["thread"])

    def read_threads(self):
        runs = {}
        for record in self.published.values():
            for run in record["runs"]:
                if record["class"] != "catalogue" and self.needs(record, run):
                    runs.setdefault(run["thread"], []).append(dict(run, segment=record["segment"]))
        covers, counted = {}, {}
        for thread in sorted(runs):
            covers[thread] = self.cover(thread, runs[thread])
            for run, start in covers[thread][0]:
                counted.setdefault(run["segment"], {})[thread] = start
        self.read_segments(counted)
        totals, ends = {}, {}
        for thread in sorted([*self.threads, *self.rollouts]):
            chosen, end, chain = covers.get(thread, ([], 0, 0))
            if not self.inflated:
                self.bytes[thread] = sum(run["payload_bytes"] for run, _ in chosen)
            if self.is_gone(thread):
                continue
            ends[thread] = self.walk_frames(thread, end, chain)
            if thread in self.threads:
                totals[self.threads[thread]["id"]] = {
                    "number": thread, "records": ends[thread][0],
                    "payload_bytes": self.bytes.get(thread, 0), "chain": hex64(ends[thread][1])}
        for thread in sorted(self.frames):
            if thread != 0 and not self.is_rollout(thread):
                self.say("damage", "catalogue", "frames of unknown thread %d" % thread)
        return totals, self.lineages(ends)

    def read_segments(self, counted):
        seen = set()
        for path, number, data in self.load("segments", "([0-9a-f]{16})[.]tls"):
            record = self.published.get(number)
            if record is None:
                self.say("orphan", path, "not published")
                continue
            seen.add(number)
            if not any(self.needs(record, run) for run in record["runs"]):
                self.say("left", path, "all its runs are replaced")
                continue
            # A run that is not part of the cover is read, but not counted.
            start = {run["thread"]: 1 << 63 for run in record["runs"]}
            start.update(counted.get(number, {}))
            self.open_segment(path, number, data, self.visit(start), record)
        for number, record in sorted(self.published.items()):
            needed = any(self.needs(record, run) for run in record["runs"])
            if number not in seen and needed and record["class"] != "catalogue":
                self.say("damage", "segments/%016x.tls" % number, "published, but not there")

    def read(self):
        self.read_journals()
        if self.store is None and self.damage == 0:
            totals, lineages = {}, {}
        else:
            self.read_catalogue()
            totals, lineages = self.read_threads()
        if not self.inflated:
            print(NO_ZSTD)
        print(json.dumps({
            "ok": self.damage == 0, "damage": self.damage, "torn": self.torn,
            "store_id": self.store.hex() if self.store else None,
            "threads": len(totals),
            "records": sum(thread["records"] for thread in totals.values()),
            "payload_bytes": sum(thread["payload_bytes"] for thread in totals.values()),
            "catalogue_records": self.catalogue_end,
            "catalogue_chain": hex64(self.catalogue_chain),
            "blocks_inflated": self.inflated, "digests_checked": False,
            "per_thread": totals, "per_rollout": lineages,
        }))
        return 4 if self.damage else 0


def disagreements(segment, published):
    """What a segment says otherwise than its SegmentPublished record. [S:catalogue-7]"""
    if len(segment.data) != published["file_bytes"]:
        yield "length is not the published one"
    if segment.trailer["digest"] != published["digest"]:
        yield "digest is not the published one"
    if segment.header["class"] != published["class"]:
        yield "class is not the published one"
    names = RUN[:5] + ["payload_bytes"]
    rows = [{name: run[name] for name in names} for run in segment.footer["runs"]]
    if rows != published["runs"]:
        yield "runs are not the published ones"


def command_store(directory):
    if not os.path.isdir(directory):
        print("%s: no such directory" % directory)
        return 3
    return Store(directory).read()


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("vectors").add_argument("directory")
    one = commands.add_parser("file")
    one.add_argument("path")
    one.add_argument("--store-id", type=bytes.fromhex)
    commands.add_parser("store").add_argument("directory")
    chosen = parser.parse_args(arguments)
    if chosen.command == "vectors":
        return command_vectors(chosen.directory)
    if chosen.command == "file":
        return command_file(chosen.path, chosen.store_id)
    return command_store(chosen.directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
