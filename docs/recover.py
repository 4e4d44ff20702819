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
import argparse, base64, binascii, hashlib, io, json, os, re, shutil, struct, subprocess, sys, threading, zlib
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SUITE = 0x0478  # AES-256-GCM, HKDF-SHA512, key commitment, no signature
NAME = r"[a-z0-9][a-z0-9._-]*"
BACKUP_ID = r"\d{8}T\d{6}Z-[0-9a-z]{6}"
TIERS = ("daily", "weekly", "monthly", "manual", "pre-restore")
MANIFEST_BYTES_AT_MOST = 64 << 20
PIECE_BYTES_AT_MOST = 8 << 20
EXTENSIONS = {"pg_dump-custom": "dump", "sql": "sql", "tar": "tar", "json": "json"}


class Refused(Exception):
    pass


def refuse_unless(condition, reason):
    if not condition:
        raise Refused(reason)


def read_manifest(folder, public_pem):
    """Section 3: one signed JSON document."""
    with open(os.path.join(folder, "manifest.json"), "rb") as file:
        text = file.read(MANIFEST_BYTES_AT_MOST + 1)
    refuse_unless(len(text) <= MANIFEST_BYTES_AT_MOST, "the manifest is too large to be one")
    document = json.loads(text.decode("utf-8"))
    manifest, signature = document["manifest"], document["signature"]
    if public_pem:
        canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        try:
            key = serialization.load_pem_public_key(public_pem)
        except ValueError:
            raise Refused("what --check names is no public key in PEM")
        refuse_unless(isinstance(key, ed25519.Ed25519PublicKey), "what --check names is no signing key: those are Ed25519")
        try:
            key.verify(base64.b64decode(signature["value"], validate=True), canonical.encode("utf-8"))
        except InvalidSignature:
            raise Refused("the manifest was not signed by this key, or was changed afterwards")
    refuse_unless(manifest["format"] == "holdfast-backup" and manifest["version"] == 1, "unknown format version")
    for part in manifest["parts"]:
        refuse_unless(re.fullmatch(NAME, part["part"]), f"{part['part']!r} is no part's name")
        refuse_unless(part["format"] in EXTENSIONS, f"{part['format']!r} is no known format")
    return manifest


def check_place(folder, manifest):
    """Section 3: a well signed manifest in another backup's folder is not that backup's."""
    place = os.path.abspath(folder).split(os.sep)[-3:]
    own = [manifest["source"], manifest["tier"], manifest["id"]]
    if re.fullmatch(BACKUP_ID, place[-1]):
        refuse_unless(place[-1] == own[-1], f"the folder is of {place[-1]}, the manifest of {own[-1]!r}")
        whole = len(place) == 3 and place[1] in TIERS
        refuse_unless(not whole or place == own, f"the folder is {'/'.join(place)}, the manifest of {own!r}")
    print(f"backup {own[2]!r} of source {own[0]!r}, tier {own[1]!r}, begun {manifest['startedAt']!r}", file=sys.stderr)


def stored_bytes(folder, part):
    """Section 2: the objects of a part, one after the other; every size and SHA-256 is checked."""
    whole, total = hashlib.sha256(), 0
    for entry in part["objects"]:
        name = entry["name"]
        refuse_unless(re.fullmatch(NAME, name), f"{name!r} is no object name")
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
            refuse_unless(piece, "it is cut")
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
        names.append(repr(info[: 24 if provider == b"holdfast" else 256].split(b"\0")[0])[2:-1])
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
        refuse_unless(b" PRIVATE KEY-----" in text, "what --key names is no private key: only the private half opens")
        try:
            key = serialization.load_pem_private_key(text, None)
        except TypeError:
            raise Refused("what --key names is under a passphrase: take it off first, with openssl pkey -in FILE -out OTHER")
        except ValueError:
            raise Refused("what --key names is no private key in PEM, or a damaged one")
        refuse_unless(isinstance(key, rsa.RSAPrivateKey), "what --key names is a key of another kind: only RSA and AES keys open")
        return key
    try:
        key = binascii.unhexlify(text) if len(text) == 64 else base64.urlsafe_b64decode(text.replace(b"+", b"-").replace(b"/", b"_") + b"==")
    except ValueError:
        key = b""
    refuse_unless(len(key) == 32, "the key file holds no 32 bytes in base64 or hex, and no PEM")
    return key


def decompressed(frames):
    try:
        from compression import zstd

        return zstd.ZstdFile(frames)
    except ImportError:
        pass
    try:
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(frames, read_size=1 << 20, read_across_frames=True)
    except ImportError:
        refuse_unless(shutil.which("zstd"), "install the package zstandard or the program zstd")
        return Reader(through_zstd(frames))


def zstd_frames(compressed):
    """Section 4.1, RFC 8878: decompressors let cut, foreign and unchecked frames pass, so their headers are walked."""
    source, more = Reader(iter(lambda: compressed.read(1 << 20), b"")), True
    while more:
        head = source.exactly(5)
        refuse_unless(head[:4] == b"\x28\xb5\x2f\xfd", "what stands there is no compression frame")
        flags = head[4]
        single, checksum, dictionary = flags >> 5 & 1, flags >> 2 & 1, flags & 3
        refuse_unless(checksum and not dictionary, "a compression frame has no checksum, or needs a dictionary")
        size = (single, 2, 4, 8)[flags >> 6]
        rest = source.exactly(1 - single + size)
        claimed = int.from_bytes(rest[1 - single :], "little") + (256 if size == 2 else 0)
        refuse_unless(claimed <= PIECE_BYTES_AT_MOST, "a compression frame claims too many bytes")
        yield head + rest
        last = 0
        while not last:
            block = source.exactly(3)
            header = int.from_bytes(block, "little")
            last, kind, length = header & 1, header >> 1 & 3, header >> 3
            refuse_unless(kind != 3, "a compression frame is damaged")
            yield block + source.exactly(1 if kind == 1 else length)
        tail, following = source.exactly(4), source.read(1)
        more = bool(following)
        source.buffer = following + source.buffer
        yield tail


def gzip_members(source):
    """Section 4.1, RFC 1952: the modules for it overlook zeros behind the last member."""
    data = source.read(1 << 20)
    refuse_unless(data, "there is no compressed data at all")
    while data:
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            piece = member.decompress(data, 1 << 20)
            yield piece
            data = member.unconsumed_tail
            if not data and not member.eof and len(piece) < 1 << 20:
                data = source.read(1 << 20)
                refuse_unless(data, "the compressed data is cut")
        data = member.unused_data or source.read(1 << 20)


def through_zstd(source):
    process = subprocess.Popen(["zstd", "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def feed():
        try:
            shutil.copyfileobj(source, process.stdin, 1 << 20)
            process.stdin.close()
        except Exception:  # the failure of the source is kept by it; zstd's own is in its exit code
            process.kill()

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        while chunk := process.stdout.read(1 << 20):
            yield chunk
        feeder.join()
        said = process.stderr.read().decode("utf-8", "replace").strip()
        refuse_unless(process.wait() == 0, "its compressed content does not open: " + said)
    finally:
        process.kill()


def drain(reader):
    try:
        while reader.read(1 << 20):
            pass
    except Exception:  # it is kept in reader.failure
        pass


def recover(folder, manifest, part, key, to):
    context = {"holdfast:backup": manifest["id"], "holdfast:part": part["part"], "holdfast:source": manifest["source"]}
    name = f"{part['part']}.{EXTENSIONS[part['format']]}"
    target, partial = os.path.join(to, name), os.path.join(to, f".{name}.partial")
    stored = Reader(stored_bytes(folder, part))
    compressed = Reader(decrypted(stored, key, context))
    # A gzip member checks itself; a zstd frame has to be looked at first.
    kind, original = part["compression"]["type"], 0
    refuse_unless(kind in ("zstd", "gzip"), f"{kind!r} is no known compression")
    checked = Reader(zstd_frames(compressed) if kind == "zstd" else gzip_members(compressed))
    try:
        with open(partial, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            try:
                plain = decompressed(checked) if kind == "zstd" else checked
                while chunk := plain.read(1 << 20):
                    original += len(chunk)
                    refuse_unless(original <= part["originalBytes"], "it opens to more bytes than were backed up")
                    file.write(chunk)
                refuse_unless(checked.read(1) == b"", "bytes follow the compressed data")
            except Exception as error:
                drain(stored)  # which object is damaged says more than which frame
                failure = stored.failure or compressed.failure or checked.failure or error
                if isinstance(failure, (Refused, InvalidTag, OSError)):
                    raise failure
                raise Refused(f"its compressed content does not open: {failure}")
            if checked.failure:
                raise checked.failure
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
        check_place(options.folder, manifest)
        parts = [part for part in manifest["parts"] if not options.part or part["part"] in options.part]
        unknown = set(options.part or []) - {part["part"] for part in parts}
        refuse_unless(not unknown, "no such part: " + ", ".join(sorted(unknown)))
        if options.list:
            for part in parts:
                opens = " or ".join(json.dumps(key)[1:-1] for key in part["keyIds"])  # no escape sequence reaches the terminal
                print(part["part"], part["format"], int(part["originalBytes"]), "opens with", opens)
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
    except (Refused, OSError, ValueError, EOFError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        print(f"refused: the manifest is not what format.md says: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
