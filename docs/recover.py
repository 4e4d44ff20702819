#!/usr/bin/env python3
"""Opens a Holdfast backup with nothing but its files and a key: no Holdfast, no Temporal, no catalog.

Fetch one copy, the folder <source>/<tier>/<backup-id>/, with any tool (aws s3 cp --recursive, rclone, cp), then:

    python3 recover.py FOLDER --key ops.key --check sign.pub.pem --to OUT        # every part
    python3 recover.py FOLDER --key escrow.pem --check sign.pub.pem --to OUT --part database
    python3 recover.py FOLDER --list

Afterwards: pg_restore -d NEWDB OUT/database.dump;  tar -xf OUT/media.tar;  psql -f OUT/globals.sql
A file appears under its final name only after everything about it was checked; exit code 0 means all of them did.

Needs Python 3.9 or later, the package `cryptography`, and for zstd one of: Python 3.14, the package `zstandard`, the
program `zstd`. The format is specified in format.md, to whose sections the comments point.
"""
import argparse, base64, binascii, gzip, hashlib, io, json, os, re, shutil, struct, subprocess, sys, threading
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SUITE = 0x0478  # AES-256-GCM, HKDF-SHA512, key commitment, no signature
EXTENSIONS = {"pg_dump-custom": "dump", "sql": "sql", "tar": "tar", "json": "json"}


class Refused(Exception):
    pass


def refuse_unless(condition, reason):
    if not condition:
        raise Refused(reason)


def read_manifest(folder, public_pem):
    """Section 3: one signed JSON document."""
    with open(os.path.join(folder, "manifest.json"), "rb") as file:
        document = json.loads(file.read().decode("utf-8"))
    manifest, signature = document["manifest"], document["signature"]
    if public_pem:
        canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        key = serialization.load_pem_public_key(public_pem)
        try:
            key.verify(base64.b64decode(signature["value"], validate=True), canonical.encode("utf-8"))
        except InvalidSignature:
            raise Refused("the manifest was not signed by this key, or was changed afterwards")
    refuse_unless(manifest["format"] == "holdfast-backup" and manifest["version"] == 1, "unknown format version")
    return manifest


def stored_bytes(folder, part):
    """Section 2: the objects of a part, one after the other; every size and SHA-256 is checked."""
    whole, total = hashlib.sha256(), 0
    for entry in part["objects"]:
        name = entry["name"]
        refuse_unless(re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name), f"{name!r} is no object name")
        path = os.path.join(folder, name)
        refuse_unless(os.path.getsize(path) == entry["bytes"], f"{name} has not the {entry['bytes']} bytes it had")
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                whole.update(chunk)
                total += len(chunk)
                yield chunk
        refuse_unless(digest.hexdigest() == entry["sha256"], f"{name} holds other bytes than were stored")
    refuse_unless(total == part["storedBytes"] and whole.hexdigest() == part["sha256"], "the objects are not the part")


class Reader(io.RawIOBase):
    """A file over an iterator of chunks, with reads of exact lengths for the message format."""

    def __init__(self, chunks):
        self.chunks, self.buffer, self.count, self.failure = iter(chunks), b"", 0, None

    def readable(self):
        return True

    def readinto(self, target):
        while not self.buffer:
            try:
                self.buffer = next(self.chunks, None)
            except Exception as error:  # kept, because decompressors report their own kind of end
                self.failure = error
                raise
            if self.buffer is None:
                self.buffer = b""
                return 0
        taken = self.buffer[: len(target)]
        target[: len(taken)], self.buffer = taken, self.buffer[len(taken) :]
        self.count += len(taken)
        return len(taken)

    def exactly(self, length):
        pieces, missing = [], length
        while missing:
            piece = self.read(missing)
            refuse_unless(piece, "the sealed part is cut")
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)


def decrypted(reader, key, expected):
    """Section 4.2: an AWS Encryption SDK message, version 2; no byte is handed out before its frame's tag was checked."""
    header = reader.exactly(1 + 2 + 32 + 2)
    version, suite, message_id, context_length = struct.unpack(">BH32sH", header)
    refuse_unless((version, suite) == (2, SUITE), "the part is not sealed the way Holdfast seals")
    context = reader.exactly(context_length)
    header += context
    pairs = [text.encode() for pair in sorted(expected.items()) for text in pair]
    wanted = struct.pack(">H", len(expected)) + b"".join(struct.pack(">H", len(text)) + text for text in pairs)
    refuse_unless(context == wanted, "the part was sealed as something else: " + repr(context))

    def take(length):
        nonlocal header
        taken = reader.exactly(length)
        header += taken
        return taken

    recipients = []
    for _ in range(struct.unpack(">H", take(2))[0]):
        recipients.append([take(struct.unpack(">H", take(2))[0]) for _ in range(3)])
    _content_type, frame_length, commitment = struct.unpack(">BI32s", take(1 + 4 + 32))
    data_key = unwrap(key, recipients, context)

    # Key derivation and commitment: RFC 5869 with the message id as salt.
    derive = lambda info: HKDF(hashes.SHA512(), 32, message_id, info).derive(data_key)
    refuse_unless(derive(b"COMMITKEY") == commitment, "the part is sealed under two keys, or its header was changed")
    cipher = AESGCM(derive(struct.pack(">H", SUITE) + b"DERIVEKEY"))
    cipher.decrypt(bytes(12), reader.exactly(16), header)

    number, final = 0, False
    while not final:
        number += 1
        (mark,) = struct.unpack(">I", reader.exactly(4))
        final = mark == 0xFFFFFFFF
        if final:
            (mark,) = struct.unpack(">I", reader.exactly(4))
        refuse_unless(mark == number, f"frame {mark} stands where frame {number} belongs")
        iv = reader.exactly(12)
        length = struct.unpack(">I", reader.exactly(4))[0] if final else frame_length
        refuse_unless(length <= frame_length, "a frame is too long")
        kind = b"AWSKMSEncryptionClient Final Frame" if final else b"AWSKMSEncryptionClient Frame"
        yield cipher.decrypt(iv, reader.exactly(length + 16), message_id + kind + struct.pack(">IQ", number, length))
    refuse_unless(not reader.read(1), "bytes follow the final frame")


def unwrap(key, recipients, context):
    """Section 4.3: the data key, wrapped for every recipient."""
    names = []
    for provider, info, wrapped in recipients:
        names.append(info.split(b"\0")[0].decode("ascii", "replace"))
        if provider != b"holdfast":
            continue
        if isinstance(key, bytes) and info.startswith(aes_key_id(key) + struct.pack(">II", 128, 12)):
            return AESGCM(key).decrypt(info[-12:], wrapped, context)
        if not isinstance(key, bytes) and info == rsa_key_id(key):
            oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
            return key.decrypt(wrapped, oaep)
    raise Refused("this key opens it not; it opens with " + " or ".join(names))


def aes_key_id(key):
    return b"aes256-" + hashlib.sha256(b"holdfast aes-256 key id\0" + key).hexdigest()[:16].encode()


def rsa_key_id(key):
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return b"rsa-" + hashlib.sha256(der).hexdigest()[:16].encode()


def load_key(path):
    """Section 5: 32 bytes as base64 or hex, or an RSA private key in PEM."""
    with open(path, "rb") as file:
        text = file.read().strip()
    if text.startswith(b"-----"):
        return serialization.load_pem_private_key(text, None)
    key = binascii.unhexlify(text) if len(text) == 64 else base64.urlsafe_b64decode(text.replace(b"+", b"-").replace(b"/", b"_") + b"==")
    refuse_unless(len(key) == 32, "the key file holds no 32 bytes in base64 or hex, and no PEM")
    return key


def decompressed(source, kind):
    """Section 4.1: frames or members, one after the other."""
    if kind == "gzip":
        return gzip.GzipFile(fileobj=source)
    try:
        from compression import zstd

        return zstd.ZstdFile(source)
    except ImportError:
        pass
    try:
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(source, read_size=1 << 20, read_across_frames=True)
    except ImportError:
        refuse_unless(shutil.which("zstd"), "install the package zstandard or the program zstd")
        return through_zstd(source)


def through_zstd(source):
    process = subprocess.Popen(["zstd", "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def feed():
        try:
            shutil.copyfileobj(source, process.stdin, 1 << 20)
            process.stdin.close()
        except Exception:  # the failure of the source is kept by it; zstd's own end shows in the counts
            process.kill()

    threading.Thread(target=feed, daemon=True).start()
    return process.stdout


def drain(reader):
    try:
        while reader.read(1 << 20):
            pass
    except Exception:  # it is kept in reader.failure
        pass


def recover(folder, manifest, part, key, to):
    context = {"holdfast:backup": manifest["id"], "holdfast:part": part["part"], "holdfast:source": manifest["source"]}
    name = f"{part['part']}.{EXTENSIONS[part['format']]}"
    refuse_unless(re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name), f"{name!r} is no file name")
    target, partial = os.path.join(to, name), os.path.join(to, f".{name}.partial")
    stored = Reader(stored_bytes(folder, part))
    compressed = Reader(decrypted(stored, key, context))
    original = 0
    try:
        with open(partial, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            try:
                plain = decompressed(compressed, part["compression"]["type"])
                while chunk := plain.read(1 << 20):
                    original += len(chunk)
                    refuse_unless(original <= part["originalBytes"], "it opens to more bytes than were backed up")
                    file.write(chunk)
                refuse_unless(compressed.read(1) == b"", "bytes follow the compressed data")
            except Exception as error:
                drain(stored)  # which object is damaged says more than which frame
                raise stored.failure or compressed.failure or error
            if compressed.failure:
                raise compressed.failure
            counts = (stored.count, compressed.count, original)
            expected = (part["storedBytes"], part["compressedBytes"], part["originalBytes"])
            refuse_unless(counts == expected, f"it has {counts} stored, compressed and original bytes, not {expected}")
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, target)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
    return target


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="a copy: the folder with manifest.json in it")
    parser.add_argument("--key", help="AES key file, or RSA private key in PEM")
    parser.add_argument("--check", help="public half of the signing key, in PEM")
    parser.add_argument("--part", action="append", help="only this part; may be repeated")
    parser.add_argument("--to", default=".", help="where the parts are written")
    parser.add_argument("--list", action="store_true", help="show the parts and the keys that open them")
    options = parser.parse_args()
    try:
        public_pem = open(options.check, "rb").read() if options.check else None
        if public_pem is None:
            print("warning: without --check anybody may have written this manifest", file=sys.stderr)
        manifest = read_manifest(options.folder, public_pem)
        parts = [part for part in manifest["parts"] if not options.part or part["part"] in options.part]
        unknown = set(options.part or []) - {part["part"] for part in parts}
        refuse_unless(not unknown, "no such part: " + ", ".join(sorted(unknown)))
        if options.list:
            for part in parts:
                print(part["part"], part["format"], part["originalBytes"], "opens with", " or ".join(part["keyIds"]))
            return 0
        refuse_unless(options.key, "which key? give --key FILE")
        key = load_key(options.key)
        os.makedirs(options.to, mode=0o700, exist_ok=True)
        for part in parts:
            try:
                print(recover(options.folder, manifest, part, key, options.to))
            except InvalidTag:
                raise Refused(f"part {part['part']}: its bytes are not what was sealed")
            except (Refused, ValueError, EOFError) as reason:
                raise Refused(f"part {part['part']}: {reason}")
    except (Refused, OSError, KeyError, ValueError, EOFError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
