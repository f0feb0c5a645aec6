"""struct, array, memoryview over a bytearray, int.to_bytes, an LFSR by generator send, decimals in a localcontext, Fractions, datetime, uuid5, secrets-free hashing, Huffman by heapq."""
# %% setup
import array, datetime as dt, decimal, heapq, itertools, random, struct, uuid, zlib
from fractions import Fraction
random.seed(99)
# %% cell
buf = bytearray(64)
view = memoryview(buf)[8:40]
words = view.cast("I")
arr = array.array("H", range(10))
def lfsr(seed):
    s = seed
    while True:
        bit = (s ^ (s >> 2) ^ (s >> 3) ^ (s >> 5)) & 1
        s = (s >> 1) | (bit << 15)
        flip = yield s
        if flip: s ^= flip
g = lfsr(0xACE1); next(g)
acc, when, ids = [], dt.datetime(2024, 2, 28, 23, tzinfo=dt.timezone(dt.timedelta(hours=2))), []
with decimal.localcontext() as ctx:
    ctx.prec = 40
    x = decimal.Decimal(2)
    guess = decimal.Decimal(1)
    for i in range(70):
        s = g.send(random.getrandbits(4))
        words[i % 8] = s * 65537 & 0xFFFFFFFF
        struct.pack_into("<dH", buf, 40, random.random(), i)
        arr.append(s); arr.pop(0)
        guess = (guess + x / guess) / 2 + decimal.Decimal(s) * decimal.Decimal("1e-30")
        acc.append(zlib.crc32(buf))
        when += dt.timedelta(minutes=s % 300)
        ids.append(uuid.uuid5(uuid.NAMESPACE_DNS, str(s)))
        tick()
sym = {}
heap = [[w, n, chr(97 + n)] for n, w in enumerate(random.choices(range(1, 30), k=12))]
heapq.heapify(heap); n = itertools.count(len(heap))
while len(heap) > 1:
    lo, hi = heapq.heappop(heap), heapq.heappop(heap)
    heapq.heappush(heap, [lo[0] + hi[0], next(n), (lo, hi)])
    tick()
def walk(node, code=""):
    if isinstance(node[2], str): sym[node[2]] = code or "0"
    else:
        for b, kid in zip("01", node[2]): walk(kid, code + b)
walk(heap[0])
egypt, r = [], Fraction(23, 29)
while r:
    d = -(-r.denominator // r.numerator)
    egypt.append(d); r -= Fraction(1, d); tick()
str(guess)[:20], acc[-1], when.isoformat(), ids[-1], sorted(sym.items())[:3], egypt[:3], words.tobytes().hex()[:16], decimal.getcontext().prec
# %% after
words[0] = 7
shared = buf[8]
