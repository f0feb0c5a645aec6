"""Sets of strings as the heads of loops: their order follows the hash seed, what comes out does not."""
# %% setup
import random

random.seed(331)
words = {f"word{i}" for i in range(50)}
frozen = frozenset(words)
# %% cell
lengths, seen, pairs = {5: 0, 6: 0}, set(), 0
for word in words:
    seen.add(word.upper())
    lengths[len(word)] += 1
    tick()
for letter in ("a", "b"):
    for word in frozen - {"word1", "word2"}:
        seen.add(letter + word)
        pairs += len(word)
        tick()
del word
(lengths, len(seen), pairs, len(words))
