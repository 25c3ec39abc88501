#!/usr/bin/env python3
"""Tests of the second reader: vectors, flipped bytes, and whole stores built here by hand."""

import contextlib
import io
import json
import os
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import turnleaf_reader as reader  # noqa: E402

VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors")
V1 = os.path.join(VECTORS, "v1")
STORE = b"turnleaf-vectors"
CAPACITY = 16384


def vectors():
    """Each vector is for a reader of its own format; this is one until the next is asked for."""
    for name in ("v1", "v2"):
        with open(os.path.join(VECTORS, name, "index.json"), encoding="utf-8") as file:
            index = json.load(file)
        for vector in index["vectors"]:
            with open(os.path.join(VECTORS, name, vector["file"]), "rb") as data:
                bytes_of_it = data.read()
            reader.read_as(index["format"])
            try:
                yield vector, bytes_of_it
            finally:
                reader.read_as(2)


def vector_bytes(name):
    return next(data for vector, data in vectors() if vector["file"] == name + ".bin")


def quietly(call, *arguments):
    """Exit code and last line of a command."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = call(*arguments)
    return code, out.getvalue()


class Vectors(unittest.TestCase):
    def test_every_vector_is_read_or_refused_as_meant(self):
        count = 0
        for vector, data in vectors():
            with self.subTest(vector["file"]):
                self.assertIsNone(reader.check_vector(vector, data, STORE))
            count += 1
        self.assertGreater(count, 90)

    def test_every_flipped_byte_of_a_header_is_refused(self):
        headers = ("journal header", "frame", "segment header", "block header", "trailer")
        for vector, data in vectors():
            if vector["structure"] not in headers or "refused" in vector:
                continue
            for at in range(len(data)):
                for mask in (1, 0x80):
                    flipped = bytearray(data)
                    flipped[at] ^= mask
                    with self.assertRaises(reader.Bad, msg="%s byte %d" % (vector["file"], at)):
                        reader.read_vector(
                            vector["structure"], vector["place"], bytes(flipped), STORE)

    def test_every_cut_is_refused(self):
        for vector, data in vectors():
            if "refused" in vector or len(data) > 9000:
                continue
            if vector["file"] == "catalogue-unknown.bin":
                continue
            for length in range(len(data)):
                with self.assertRaises(reader.Bad, msg="%s cut to %d" % (vector["file"], length)):
                    reader.read_vector(
                        vector["structure"], vector["place"], data[:length], STORE)

    def test_every_flipped_byte_of_a_segment_is_found(self):
        for name in ("segment-pack", "segment-catalogue"):
            data = vector_bytes(name)
            for at in range(len(data)):
                flipped = bytearray(data)
                flipped[at] ^= 0x10
                with self.assertRaises(reader.Bad, msg="%s byte %d" % (name, at)):
                    reader.Segment(bytes(flipped), STORE, 0x51, strict=True)

    def test_every_flipped_byte_of_a_frame_is_found(self):
        data = vector_bytes("journal-clean")
        good = reader.read_journal(data, STORE)
        for at in range(8192, good["end"]):
            flipped = bytearray(data)
            flipped[at] ^= 0x10
            journal = reader.Journal(bytes(flipped), STORE)
            journal.scan()
            # The marker at the end proves all before it; its own loss looks like a torn group.
            if at >= good["end"] - 96:
                self.assertIn(journal.verdict, ("torn", "end"), at)
                self.assertEqual(len(journal.frames), 3)
            else:
                self.assertTrue(journal.damage, at)

    def test_one_bad_block_leaves_its_neighbours_readable(self):
        segment = reader.Segment(vector_bytes("segment-block-rot"), STORE, 0x51)
        self.assertEqual(len(segment.damage), 1)
        self.assertEqual([run["whole"] for run in segment.runs], [False, True])


# --- Stores built by hand -----------------------------------------------------------------------


def entry(kind, payload, flags=0, chunk=None, stamp=7):
    out = struct.pack("<4BIqI", kind, flags, int(chunk is not None), 0, len(payload), stamp,
                      reader.crc(payload))
    if chunk is not None:
        offset, last = chunk
        out += struct.pack("<QIB3x", offset, last or 0, int(last is not None))
    return out + payload


class Thread:
    """Counts ordinals and chain of records that are written."""

    def __init__(self, number):
        self.number, self.ordinal, self.chain = number, 0, 0

    def add(self, kind, payload, flags=0):
        self.chain = reader.thread_chain(self.chain, self.number, self.ordinal, kind, flags,
                                         len(payload), reader.crc(payload))
        self.ordinal += 1
        return entry(kind, payload, flags)


class JournalFile:
    def __init__(self, generation, begun, previous, sealed=(0, 0), oldest=1, capacity=CAPACITY,
                 asks=1):
        self.generation, self.end, self.capacity = generation, 8192, capacity
        self.chain = reader.journal_start(STORE, generation)
        head = struct.pack("<4sHBB16s4Q3Q8B2Qq", b"TLJH", 512, asks, asks, STORE, generation,
                           capacity, 1, oldest, *previous, begun, *[0] * 7, *sealed, 5)
        head = head.ljust(508, b"\0")
        head += struct.pack("<I", reader.crc(head))
        self.data = bytearray(capacity)
        self.data[0:512] = self.data[4096:4608] = head
        self.durable = (generation, 8192)

    def frame(self, thread, first, chain, entries):
        body = b"".join(entries)
        asks = 2 if any(entry[0] in range(141, 146) for entry in entries) else 1
        head = struct.pack("<4sHBB4Q2I5QI", b"TLFR", 96, asks, int(not entries), self.generation,
                           self.end, thread, first, len(entries), len(body), *self.durable, 1,
                           self.chain, chain, reader.crc(body))
        check = reader.crc(STORE, head)
        frame = head + struct.pack("<I", check) + body
        self.data[self.end:self.end + len(frame)] = frame
        self.chain = reader.journal_next(self.chain, check, reader.crc(body))
        self.end += (len(frame) + 7) // 8 * 8
        self.durable = (self.generation, self.end)

    def append(self, thread, *records):
        first, chain = thread.ordinal, thread.chain
        self.frame(thread.number, first, chain, [thread.add(*record) for record in records])

    def marker(self):
        self.frame(0, 0, 0, [])

    def link(self):
        return self.generation, self.end, self.chain


def segment(number, class_code, thread, records):
    """A segment of one run in one raw block; also the row that publishes it."""
    data = struct.pack("<4sHBB16sQ8Bq", b"TLSG", 128, 1, 1, STORE, number, class_code,
                       *[0] * 7, 5).ljust(124, b"\0")
    data += struct.pack("<I", reader.crc(data))
    first, before = thread.ordinal, thread.chain
    raw = b"".join(thread.add(*record) for record in records)
    block = struct.pack("<4s4B3Q4IQ4x", b"TLBK", 0, 0, 0, 0, 128, thread.number, first,
                        len(records), len(raw), len(raw), reader.crc(raw), before)
    block += struct.pack("<I", reader.crc(STORE, reader.u64(number), block))
    size = sum(len(record[1]) for record in records)
    footer = struct.pack("<4s3I", b"TLFT", 1, 1, 0)
    row = (thread.number, first, thread.ordinal, before, thread.chain)
    footer += struct.pack("<5Q2I2Q2I8x", *row, 0, 1, size, 0, 0, 0)
    footer += struct.pack("<2Q4I", 128, first, len(raw), len(raw), len(records), 0)
    data += block + raw
    trailer = struct.pack("<4sHBB16s3QI4x32s4x", b"TLTR", 96, 1, 1, STORE, number, len(data),
                          len(footer), reader.crc(footer), b"\x55" * 32)
    data += footer + trailer + struct.pack("<I", reader.crc(trailer))
    published = struct.pack("<QB3xIQ32s", number, class_code, 1, len(data), b"\x55" * 32)
    return data, published + struct.pack("<6Q", *row, size)


STORE_CREATED = (128, STORE + struct.pack("<q", 5))


def created(number, name):
    return 129, struct.pack("<QqH", number, 5, len(name)) + name


class Stores(unittest.TestCase):
    def setUp(self):
        reader.read_as(2)
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.files = {}

    def build(self, torn=False):
        """Two journal files, a catalogue segment, one published segment, one orphan."""
        catalogue, one, two = Thread(0), Thread(1), Thread(2)
        sealed, _ = segment(1, 2, catalogue, [STORE_CREATED, created(1, b"one")])
        point = catalogue.ordinal, catalogue.chain
        begin = JournalFile(1, 0, (0, 0, 0))
        lines = [(0, b"line %d" % at) for at in range(4)]
        moved, published = segment(2, 0, one, lines)
        again = Thread(1)
        begin.append(again, *lines[:2])
        begin.append(again, *lines[2:])
        begin.append(catalogue, created(2, b"two"), (130, published))
        begin.append(two, (0, b"a"), (1, b"{}"))
        end = begin.link()
        # A group that was never durable: void by the next header.
        begin.append(Thread(2), (0, b"void"))
        newest = JournalFile(2, 2, end, point)
        newest.append(one, (0, b"newest", 2))
        newest.append(two, (0, b"last"))
        newest.marker()
        if torn:
            newest.frame(2, two.ordinal, two.chain, [entry(0, b"x" * 99)])
            newest.data[newest.end - 50:] = bytes(newest.capacity - newest.end + 50)
        self.files = {
            "LOCK": b"", "journal/00000000.tlj": bytes(begin.data),
            "journal/00000001.tlj": bytes(newest.data), "journal/00000002.tlj": b"",
            "catalogue/0000000000000001.tls": sealed,
            "segments/0000000000000002.tls": moved,
            "segments/0000000000000003.tls": b"orphan",
            "segments/0000000000000004.tls.tmp": b"unfinished",
        }
        self.ends = {"one": (5, one.chain, 30), "two": (3, two.chain, 7)}

    def check(self, expected):
        for name, data in self.files.items():
            path = os.path.join(self.directory.name, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        code, out = quietly(reader.command_store, self.directory.name)
        self.assertEqual(code, expected, out)
        return json.loads(out.splitlines()[-1]), out

    def flip(self, name, at):
        data = bytearray(self.files[name])
        data[at] ^= 1
        self.files[name] = bytes(data)

    def test_a_good_store(self):
        self.build()
        said, out = self.check(0)
        self.assertEqual((said["threads"], said["records"], said["payload_bytes"]), (2, 8, 37))
        self.assertEqual(said["catalogue_records"], 4)
        for name, (records, chain, size) in self.ends.items():
            thread = said["per_thread"][name]
            self.assertEqual(thread["records"], records)
            self.assertEqual(thread["chain"], reader.hex64(chain))
            self.assertEqual(thread["payload_bytes"], size)
        self.assertIn("orphan  segments/0000000000000003.tls", out)
        self.assertIn("free    journal/00000002.tlj", out)

    def test_what_is_lost_is_passed_by(self):
        catalogue, one = Thread(0), Thread(1)
        file = JournalFile(1, 0, (0, 0, 0))
        file.append(catalogue, STORE_CREATED, created(1, b"one"))
        file.append(one, (0, b"a"), (0, b"b"))
        file.append(catalogue, (139, struct.pack("<QQQQq", 1, 2, 5, 77, 0)))
        one.ordinal, one.chain = 5, 77
        file.append(one, (0, b"c"))
        file.marker()
        self.files = {"LOCK": b"", "journal/00000000.tlj": bytes(file.data)}
        said, _ = self.check(0)
        thread = said["per_thread"]["one"]
        self.assertEqual((thread["records"], thread["payload_bytes"]), (6, 3))
        self.assertEqual(thread["chain"], reader.hex64(one.chain))

    def test_a_torn_tail_is_no_damage(self):
        self.build(torn=True)
        said, _ = self.check(0)
        self.assertTrue(said["torn"])
        self.assertEqual(said["records"], 8)

    def test_an_empty_directory_is_an_empty_store(self):
        said, _ = self.check(0)
        self.assertEqual(said["threads"], 0)

    def test_missing_files_are_damage(self):
        for name in ("journal/00000000.tlj", "catalogue/0000000000000001.tls",
                     "segments/0000000000000002.tls"):
            with self.subTest(name):
                self.build()
                del self.files[name]
                self.directory.cleanup()
                os.makedirs(self.directory.name)
                self.check(4)

    def test_a_journal_that_is_gone_is_damage(self):
        self.build()
        self.files = {name: data for name, data in self.files.items() if "journal" not in name}
        self.check(4)

    def test_one_header_copy_is_enough(self):
        self.build()
        self.flip("journal/00000001.tlj", 100)
        self.check(0)

    def test_two_bad_header_copies_over_frames_are_damage(self):
        for name in ("journal/00000000.tlj", "journal/00000001.tlj"):
            with self.subTest(name):
                self.build()
                self.flip(name, 100)
                self.flip(name, 4196)
                self.check(4)

    def test_two_files_of_one_generation_are_damage(self):
        self.build()
        self.files["journal/00000003.tlj"] = self.files["journal/00000001.tlj"]
        self.check(4)

    def test_a_file_of_another_store_is_damage(self):
        self.build()
        other = bytearray(self.files["journal/00000000.tlj"])
        for at in (0, 4096):
            other[at + 8] ^= 1
            other[at + 508:at + 512] = struct.pack("<I", reader.crc(other[at:at + 508]))
        self.files["journal/00000000.tlj"] = bytes(other)
        self.check(4)

    def lineages(self, base_chain=None, base_end=3, gone=()):
        """Thread one with a further rollout 3 that it shows, a fork of that (2), one that waits."""
        catalogue, one, two, three, four = (Thread(at) for at in range(5))
        begin = JournalFile(1, 0, (0, 0, 0))
        begin.append(catalogue, STORE_CREATED, created(1, b"one"))
        begin.append(one, *[(0, b"line %d" % at) for at in range(3)])
        cut = one.chain
        begin.append(one, (0, b"behind the cut"))
        newest = JournalFile(2, 1, begin.link(), asks=2)
        base_chain = cut if base_chain is None else base_chain
        newest.append(
            catalogue, (141, struct.pack("<QQqH", 3, 1, 5, 3) + b"one"),
            (142, struct.pack("<4Qq", 3, 1, base_end, base_chain, 5)),
            (144, struct.pack("<QQq", 1, 3, 5)))
        newest.append(three, (0, b"other"), (0, b"more"))
        newest.append(
            catalogue, created(2, b"two"), (142, struct.pack("<4Qq", 2, 3, 2, three.chain, 5)),
            created(4, b"four"), (143, struct.pack("<3QH", 4, 9, 0, 4) + b"gone"))
        newest.append(two, (0, b"forked"))
        if gone:
            newest.append(catalogue, *[(134, struct.pack("<Qq", thread, 5)) for thread in gone])
        newest.marker()
        self.files = {"journal/00000000.tlj": bytes(begin.data),
                      "journal/00000001.tlj": bytes(newest.data)}

    def test_lineages_are_followed(self):
        self.lineages()
        said, _ = self.check(0)
        rollouts = said["per_rollout"]
        parts = {number: rollout["parts"] for number, rollout in rollouts.items()}
        self.assertEqual(parts, {"1": [[1, 4]], "3": [[1, 3], [3, 2]],
                                 "2": [[1, 3], [3, 2], [2, 1]], "4": []})
        shown = {number for number, rollout in rollouts.items() if rollout["shown"]}
        self.assertEqual(shown, {"2", "3", "4"})
        self.assertEqual(rollouts["4"]["awaits"], "gone")
        self.assertEqual(rollouts["2"]["records"], 6)

    def test_a_deleted_thread_takes_its_rollouts_along(self):
        self.lineages(gone=(2, 1))
        said, _ = self.check(0)
        self.assertEqual(list(said["per_rollout"]), ["4"])

    def test_a_base_that_does_not_fit_is_damage(self):
        self.lineages(base_chain=7)
        self.assertIn("another chain", self.check(4)[1])
        self.lineages(base_end=9)
        self.assertIn("its base ends at 4", self.check(4)[1])

    def test_a_reader_of_format_1_refuses_lineages_as_newer(self):
        self.lineages()
        reader.read_as(1)
        self.addCleanup(reader.read_as, 2)
        self.assertIn("newer reader", self.check(4)[1])

    def test_an_id_is_given_again(self):
        """[S:catalogue-16]"""
        again = lambda thread, name: (145, created(thread, name)[1])
        catalogue, one, two = (Thread(at) for at in range(3))
        newest = JournalFile(1, 0, (0, 0, 0), asks=2)
        newest.append(catalogue, STORE_CREATED, created(1, b"one"))
        newest.append(one, (0, b"old"))
        newest.append(catalogue, (134, struct.pack("<Qq", 1, 5)), again(2, b"one"))
        newest.append(two, (0, b"new"), (0, b"newer"))
        newest.marker()
        self.files = {"journal/00000000.tlj": bytes(newest.data)}
        said, _ = self.check(0)
        self.assertEqual(list(said["per_rollout"]), ["2"])
        self.assertEqual(said["per_rollout"]["2"]["records"], 2)
        reader.read_as(1)
        self.addCleanup(reader.read_as, 2)
        self.assertIn("newer reader", self.check(4)[1])

    def test_a_header_for_newer_readers_is_refused(self):
        self.build()
        newer = bytearray(self.files["journal/00000001.tlj"])
        for at in (0, 4096):
            newer[at + 7] = 3
            newer[at + 508:at + 512] = struct.pack("<I", reader.crc(newer[at:at + 508]))
        self.files["journal/00000001.tlj"] = bytes(newer)
        _, out = self.check(4)
        self.assertIn("newer reader", out)

    def test_a_cut_journal_file_is_damage(self):
        self.build()
        self.files["journal/00000001.tlj"] = self.files["journal/00000001.tlj"][:-1]
        self.check(4)

    def test_rot_in_every_part_is_damage(self):
        cases = [("journal/00000000.tlj", 8192 + 20), ("journal/00000000.tlj", 8192 + 120),
                 ("journal/00000001.tlj", 8192 + 120), ("segments/0000000000000002.tls", 300),
                 ("catalogue/0000000000000001.tls", 230)]
        for name, at in cases:
            with self.subTest("%s %d" % (name, at)):
                self.build()
                self.flip(name, at)
                self.check(4)

    def test_a_segment_that_is_not_the_published_one_is_damage(self):
        self.build()
        other = Thread(1)
        lines = [(0, b"LINE %d" % at) for at in range(4)]
        self.files["segments/0000000000000002.tls"] = segment(2, 0, other, lines)[0]
        self.check(4)


class Chunks(unittest.TestCase):
    def test_a_record_of_chunks_has_the_chain_of_its_whole(self):
        whole = bytes(range(256)) * 4096 + b"tail"
        last = entry(0, whole[reader.MIB:], chunk=(reader.MIB, reader.crc(whole)))
        body = entry(0, whole[:reader.MIB], chunk=(0, None)) + last
        records = reader.Records(3, 0, 0)
        for one in reader.entries_of(body, 2):
            records.feed(one)
        straight = reader.thread_chain(0, 3, 0, 0, 0, len(whole), reader.crc(whole))
        self.assertEqual((records.ordinal, records.chain), (1, straight))
        self.assertEqual(records.payload_bytes, len(whole))

    def test_a_new_beginning_voids_an_unfinished_record(self):
        records = reader.Records(3, 0, 0)
        for one in reader.entries_of(entry(0, b"a" * reader.MIB, chunk=(0, None)), 1):
            self.assertIsNone(records.feed(one))
        for one in reader.entries_of(entry(0, b"again"), 1):
            records.feed(one)
        self.assertEqual((records.ordinal, records.payload_bytes), (1, 5))

    def test_the_last_chunk_says_flags_and_time(self):
        whole = b"a" * reader.MIB + b"b"
        last = entry(0, b"b", flags=2, chunk=(reader.MIB, reader.crc(whole)), stamp=8)
        records = reader.Records(3, 0, 0)
        for one in reader.entries_of(entry(0, whole[:-1], chunk=(0, None)) + last, 2):
            records.feed(one)
        straight = reader.thread_chain(0, 3, 0, 0, 2, len(whole), reader.crc(whole))
        self.assertEqual(records.chain, straight)
        boundary = entry(0, b"b", flags=1, chunk=(reader.MIB, reader.crc(whole)))
        records = reader.Records(3, 0, 0)
        with self.assertRaises(reader.Bad):
            for one in reader.entries_of(entry(0, whole[:-1], chunk=(0, None)) + boundary, 2):
                records.feed(one)

    def test_a_chunk_without_its_beginning_is_refused(self):
        one = reader.entries_of(entry(0, b"a", chunk=(reader.MIB, 1)), 1)[0]
        self.assertRaises(reader.Bad, reader.Records(3, 0, 0).feed, one)


class Commands(unittest.TestCase):
    def test_file_and_vectors(self):
        self.assertEqual(quietly(reader.main, ["vectors", V1])[0], 0)
        path = os.path.join(V1, "journal-clean.bin")
        self.assertEqual(quietly(reader.main, ["file", path])[0], 0)
        self.assertEqual(quietly(reader.main, ["file", path, "--store-id", "ee" * 16])[0], 4)
        self.assertEqual(quietly(reader.main, ["file", path + ".none"])[0], 3)
        path = os.path.join(V1, "segment-run-zstd.bin")
        self.assertEqual(quietly(reader.main, ["file", path])[0], 0)
        path = os.path.join(V1, "journal-damaged.bin")
        self.assertEqual(quietly(reader.main, ["file", path])[0], 4)

    def test_without_zstd_the_rest_is_checked(self):
        inflater, reader.INFLATE = reader.INFLATE, None
        try:
            path = os.path.join(V1, "segment-run-zstd.bin")
            code, out = quietly(reader.main, ["file", path])
            self.assertEqual(code, 0)
            self.assertIn(reader.NO_ZSTD, out)
            self.assertEqual(quietly(reader.main, ["vectors", V1])[0], 0)
        finally:
            reader.INFLATE = inflater


if __name__ == "__main__":
    unittest.main()
