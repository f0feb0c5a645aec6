"""A replay buffer as a deque with its own constructor, an LRU cache on OrderedDict, votes in a named Counter, a history list with a best value."""
# %% setup
import collections, random
random.seed(4)
class Replay(collections.deque):
    def __init__(self, capacity): super().__init__(maxlen=capacity)
    def sample(self, k): return random.sample(self, k)
class LRU(collections.OrderedDict):
    def __init__(self, cap): super().__init__(); self.cap = cap
    def __setitem__(self, k, v):
        super().__setitem__(k, v); self.move_to_end(k)
        if len(self) > self.cap: self.popitem(last=False)
class Votes(collections.Counter):
    def __init__(self, name): super().__init__(); self.name = name
class History(list):
    def __init__(self, name): self.name, self.best = name, None
    def append(self, v):
        super().append(v)
        if self.best is None or v < self.best: self.best = v
# %% cell
buffer, cache, votes, hist = Replay(20), LRU(5), Votes("actions"), History("loss")
for step in range(120):
    buffer.append((step, random.random())); cache[step % 9] = step; votes[step % 4] += 1
    if len(buffer) > 8: hist.append(sum(r for _, r in buffer.sample(4)))
    tick()
len(buffer), buffer.maxlen, list(cache), dict(votes), votes.name, hist.best
