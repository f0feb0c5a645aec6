"""BPE tokenizer training with Counter.most_common, Markov text by defaultdict(lambda: defaultdict(int)), string.Template, str.translate, print(end)."""
# %% setup
import random, re, string, textwrap
from collections import Counter, defaultdict
corpus = ("the quick brown fox jumps over the lazy dog and the lazier cat . " * 3 + "low lower lowest new newer newest wide wider widest ") * 2
random.seed(1234)
# %% cell
class BPE:
    def __init__(self, merges=40):
        self.n, self.merges, self.vocab = merges, {}, None
        self._cache = {}
    @staticmethod
    def get_stats(vocab):
        pairs = defaultdict(int)
        for word, freq in vocab.items():
            for a, b in zip(word, word[1:]):
                pairs[a, b] += freq
        return pairs
    def train(self, text):
        words = Counter(text.split())
        vocab = {tuple(w) + ("</w>",): c for w, c in words.items()}
        for i in range(self.n):
            if not (pairs := self.get_stats(vocab)):
                break
            best = max(pairs, key=lambda p: (pairs[p], p))
            if pairs[best] < 2:
                print(f"stopped at {i}")
                break
            new = {}
            for word, f in vocab.items():
                out, j = [], 0
                while j < len(word):
                    if j < len(word) - 1 and (word[j], word[j + 1]) == best:
                        out.append(word[j] + word[j + 1]); j += 2
                    else:
                        out.append(word[j]); j += 1
                new[tuple(out)] = f
            vocab = new
            self.merges[best] = i
            tick()
            print(f"merge {i:02d} {best} -> {''.join(best)!r:12}", end="\r", flush=True)
        self.vocab = sorted({t for w in vocab for t in w})
        return self
    def encode(self, word):
        if word in self._cache: return self._cache[word]
        toks = list(word) + ["</w>"]
        while len(toks) > 1:
            pair = min(zip(toks, toks[1:]), key=lambda p: self.merges.get(p, float("inf")))
            if pair not in self.merges: break
            i = list(zip(toks, toks[1:])).index(pair)
            toks[i:i + 2] = ["".join(pair)]
        self._cache[word] = toks
        return toks

bpe = BPE(60).train(corpus)
model = defaultdict(lambda: defaultdict(int))
starts = Counter()
for sent in re.split(r"\s*\.\s*", corpus):
    toks = [t for w in sent.split() for t in bpe.encode(w)]
    if not toks: continue
    starts[toks[0]] += 1
    for a, b, c in zip(toks, toks[1:], toks[2:]):
        model[a, b][c] += 1
    tick()
def generate(n=25):
    t1, t2 = random.choice(list(model))
    yield t1; yield t2
    for _ in range(n):
        nxt = model.get((t1, t2))
        if nxt is None:
            return
        t1, t2 = t2, random.choices(list(nxt), weights=list(nxt.values()))[0]
        yield t2
tmpl = string.Template("$n: ${text}!")
poems, table = [], str.maketrans({"o": "0", "e": "3"})
for n in range(50):
    text = "".join(generate()).replace("</w>", " ").strip()
    poems.append(tmpl.substitute(n=n, text=text.translate(table)))
    tick()
print(textwrap.fill(poems[-1], 40))
len(bpe.vocab), poems[-1][:20], len(model), bpe.encode("lowest")
